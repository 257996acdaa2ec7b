-- The file for editors, read as the language server reads it: every annotation is one that there is, every type in
-- it can be parsed, and every name of a type is declared.
local printer = require "moontail.api_print"
local scaffold = require "moontail.scaffold"

local BUILT_IN = {}
for name in ("any nil boolean number integer string table function userdata"):gmatch "%a+" do BUILT_IN[name] = true end

-- ---- types ----

local Parser = {}
Parser.__index = Parser

function Parser:space() self.at = self.text:match("^%s*()", self.at) end

function Parser:take(pattern)
  self:space()
  local found, stop = self.text:match("^(" .. pattern .. ")()", self.at)
  if found then self.at = stop end
  return found
end

function Parser:need(pattern, what)
  return self:take(pattern) or error(("%s expected at '%s' of '%s'"):format(what, self.text:sub(self.at), self.text), 0)
end

function Parser:list(close, item)
  if self:take(close) then return end
  repeat
    item()
  until not self:take ","
  self:need(close, close)
end

-- name?: type
function Parser:named_type()
  self:need("[%a_][%w_]*", "a name")
  self:take "%?"
  self:need(":", "':'")
  self:type()
end

function Parser:parameter()
  if self:take "%.%.%." then
    if self:take ":" then self:type() end
    return
  end
  local name = self:need("[%a_][%w_]*", "a parameter")
  self:take "%?"
  if self:take ":" then
    self:type()
  else
    assert(name == "self", "parameter " .. name .. " has no type in " .. self.text)
  end
end

function Parser:returns()
  if self:take "%(" then return self:list("%)", function() self:type() end) end
  self:type()
  while self:take "," do self:type() end
end

function Parser:single()
  if self:take "%(" then
    self:type()
    self:need("%)", "')'")
  elseif self:take '"[^"]*"' then -- one value
    return
  elseif self:take "{" then
    self:list("}", function() self:named_type() end)
  elseif self:take "fun%(" then
    self:list("%)", function() self:parameter() end)
    if self:take ":" then self:returns() end
  else
    local name = self:need("[%a_][%w_]*", "a type")
    self.names[name] = true
    if self:take "<" then self:list(">", function() self:type() end) end
  end
end

function Parser:type()
  repeat
    self:single()
    while self:take "%[%]" or self:take "%?" do end
  until not self:take "|"
end

-- Names of types that `text` has; raises where it is no type.
local function names_in(text, names)
  local parser = setmetatable({ text = text, at = 1, names = names }, Parser)
  parser:type()
  parser:space()
  assert(parser.at > #text, ("'%s' is left of '%s'"):format(text:sub(parser.at), text))
end

-- ---- the file ----

local function without_comment(text) return (text:gsub("%s# .*$", "")) end

-- What it declares and what it uses: { name = true }.
local function read(text)
  local declared, used, class = {}, {}, nil
  local annotations = {
    meta = function() end,
    alias = function(rest)
      local name, type_ = rest:match "^(%w+) (.+)$"
      declared[name] = true
      names_in(without_comment(type_), used)
    end,
    class = function(rest)
      local name, parents = rest:match "^(%w+):? ?(.*)$"
      assert(not declared[name], name .. " is declared twice")
      declared[name], class = true, name
      for parent in parents:gmatch "[^, ]+" do used[parent] = true end
    end,
    field = function(rest)
      local name, type_ = rest:match "^([%a_][%w_]*) (.+)$"
      assert(class and name, "a field of no class: " .. rest)
      names_in(without_comment(type_), used)
    end,
    overload = function(rest) names_in(rest, used) end,
    type = function(rest) names_in(rest, used) end,
  }
  for line in text:gmatch "[^\n]+" do
    local what, rest = line:match "^%-%-%-@(%w+) ?(.*)$"
    if what then
      assert(annotations[what], "no such annotation: " .. line)(rest)
    elseif not line:find "^%-%-" then
      assert(line:find "^[%a_][%w_]* = nil$", "neither annotation nor global: " .. line)
      class = nil
    end
  end
  return declared, used
end

describe("the file for editors", function()
  it("can be parsed, and every type in it is declared", function()
    local declared, used = read(printer.luacats())
    for name in pairs(used) do assert.truthy(declared[name] or BUILT_IN[name], name .. " is no type") end
    for _, name in ipairs { "Trace", "Span", "EditSpan", "EditResource", "ProcessorSpec", "PolicySpec", "ExporterSpec", "Batch", "Request", "Reply" } do
      assert.truthy(declared[name], name)
    end
  end)

  it("is what init writes", function()
    for _, file in ipairs(scaffold.files()) do
      if file[1] == "types/moontail.lua" then return assert.equal(printer.luacats(), file[2]) end
    end
    error "init writes none"
  end)
end)

describe("the reader of types", function()
  local function names(text)
    local found, list = {}, {}
    names_in(text, found)
    for name in pairs(found) do list[#list + 1] = name end
    table.sort(list)
    return list
  end

  it("takes what a language server takes, and no more", function()
    assert.same({ "A", "B", "C", "integer" }, names "fun(self, a?:A, ...:B[]):fun():(integer, C?)")
    assert.same({ "K", "V", "table" }, names '("x"|"y")|table<K, V>?|{a:K, b?:V}')
    for _, wrong in ipairs { "fun(a)", "A|", "{a}", "fun(a:A", "A B", '"x', "table<A" } do
      assert.has_error(function() names(wrong) end)
    end
  end)
end)
