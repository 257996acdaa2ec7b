-- Conditions of the OpenTelemetry Transformation Language: text -> a tree.
--
--   or, and         { op =, left, right }
--   not             { op = "not", one }
--   compare         { op = "==", left, right }, the other comparisons likewise
--   value           { op = "string", value = }, number, bool, nil, enum (name =), bytes (hex =)
--   path            { op = "path", names = { "resource", "attributes" }, keys = { ... } }
--   call            { op = "call", name =, args = { ... } }
--   math            { op = "math", sign = "-", left, right }
-- Each has `at`, the place in the text where it begins. What is wrong is raised as { at =, why = }.
local M = {}

local MAX_DEPTH, MAX_BYTES = 32, 16384

local function fail(at, why, ...) error({ at = at, why = select("#", ...) > 0 and why:format(...) or why }, 0) end

-- ---- tokens ----

local ESCAPES = { n = "\n", t = "\t", r = "\r", ["\\"] = "\\", ['"'] = '"' }

local function string_token(text, at)
  local parts, i = {}, at + 1
  while true do
    local c = text:sub(i, i)
    if c == "" then fail(at, "the string does not end") end
    if c == '"' then return { kind = "string", value = table.concat(parts), at = at }, i + 1 end
    if c == "\\" then
      i = i + 1
      c = ESCAPES[text:sub(i, i)]
      if not c then fail(i - 1, "this escape is not known") end
    end
    parts[#parts + 1] = c
    i = i + 1
  end
end

local function number_token(text, at)
  local hex = text:match("^0[xX](%x+)", at)
  if hex then return { kind = "bytes", hex = hex:lower(), at = at }, at + 2 + #hex end
  local digits = text:match("^%d*%.?%d+[eE][+-]?%d+", at) or text:match("^%d+%.%d+", at) or text:match("^%.%d+", at) or text:match("^%d+", at)
  local value = tonumber(digits)
  if not digits:find "[.eE]" and value >= 2 ^ 53 then fail(at, "whole numbers below 2^53 are understood") end
  return { kind = "number", value = value, at = at }, at + #digits
end

local SYMBOLS = { "==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", "{", "}", ",", ".", "+", "-", "*", "/" }

local function symbol_token(text, at)
  for _, symbol in ipairs(SYMBOLS) do
    if text:sub(at, at + #symbol - 1) == symbol then return { kind = symbol, at = at }, at + #symbol end
  end
  fail(at, "this is not understood")
end

local function next_token(text, at)
  at = text:find("%S", at) or #text + 1
  if at > #text then return { kind = "end", at = at }, at end
  if text:find('^"', at) then return string_token(text, at) end
  if text:find("^%d", at) or text:find("^%.%d", at) then return number_token(text, at) end
  local word = text:match("^[%a_][%w_]*", at)
  if word then return { kind = "word", value = word, at = at }, at + #word end
  return symbol_token(text, at)
end

local function tokens_of(text)
  local tokens, at = {}, 1
  repeat
    tokens[#tokens + 1], at = next_token(text, at)
  until tokens[#tokens].kind == "end"
  return tokens
end

-- ---- the tree ----

local Parser = {}
Parser.__index = Parser

function Parser:peek(ahead) return self.tokens[self.i + (ahead or 0)] or self.tokens[#self.tokens] end

function Parser:take()
  local token = self:peek()
  self.i = self.i + 1
  return token
end

function Parser:expect(kind)
  if self:peek().kind ~= kind then fail(self:peek().at, "'%s' is expected here", kind) end
  return self:take()
end

function Parser:is_word(word) return self:peek().kind == "word" and self:peek().value == word end

local COMPARES = { ["=="] = true, ["!="] = true, ["<"] = true, ["<="] = true, [">"] = true, [">="] = true }

function Parser:key()
  self:expect "["
  local token = self:take()
  if token.kind ~= "string" and token.kind ~= "number" then fail(token.at, "a key is a string or a number") end
  self:expect "]"
  return token.value
end

function Parser:call(name)
  local node = { op = "call", name = name.value, args = {}, at = name.at }
  self:expect "("
  while self:peek().kind ~= ")" do
    if #node.args > 0 then self:expect "," end
    node.args[#node.args + 1] = self:sum()
  end
  self:expect ")"
  return node
end

function Parser:path(first)
  local node = { op = "path", names = { first.value }, keys = {}, at = first.at }
  while true do
    local kind = self:peek().kind
    if kind == "." then
      self:take()
      node.names[#node.names + 1] = self:expect("word").value
    elseif kind == "[" then
      node.keys[#node.keys + 1] = self:key()
    else
      return node
    end
  end
end

local WORDS = {
  ["true"] = { op = "bool", value = true },
  ["false"] = { op = "bool", value = false },
  ["nil"] = { op = "nil" },
}

function Parser:word()
  local token = self:take()
  local known = WORDS[token.value]
  if known then return { op = known.op, value = known.value, at = token.at } end
  if self:peek().kind == "(" then return self:call(token) end
  if token.value:find "^%u[%u%d_]*$" then return { op = "enum", name = token.value, at = token.at } end
  return self:path(token)
end

function Parser:value()
  local token = self:peek()
  if token.kind == "word" then return self:word() end
  if token.kind == "string" or token.kind == "number" or token.kind == "bytes" then
    self:take()
    return { op = token.kind, value = token.value, hex = token.hex, at = token.at }
  end
  if token.kind == "-" and self:peek(1).kind == "number" then
    self:take()
    return { op = "number", value = -self:take().value, at = token.at }
  end
  if token.kind == "(" then return self:sum_in_parentheses() end
  if token.kind == "[" or token.kind == "{" then fail(token.at, "lists and maps are not understood") end
  fail(token.at, "a value is expected here")
end

local SIGNS = { ["+"] = true, ["-"] = true, ["*"] = true, ["/"] = true }

-- Of one level: sums and products that mix are not understood by what compiles them.
function Parser:sum()
  local left = self:value()
  while SIGNS[self:peek().kind] do
    local sign = self:take()
    left = { op = "math", sign = sign.kind, left, self:value(), at = left.at }
  end
  return left
end

function Parser:sum_in_parentheses()
  local open = self:take()
  self:enter()
  local node = self:sum()
  self.depth = self.depth - 1
  if self:peek().kind ~= ")" then fail(open.at, "this parenthesis is not closed") end
  self:take()
  return node
end

-- Whether the parenthesis that opens here holds a condition.
function Parser:is_condition()
  local depth, i = 0, self.i
  repeat
    local kind = self.tokens[i].kind
    if kind == "(" then depth = depth + 1 end
    if kind == ")" then depth = depth - 1 end
    i = i + 1
  until depth == 0 or kind == "end"
  local after = self.tokens[i]
  return not after or not (COMPARES[after.kind] or SIGNS[after.kind])
end

function Parser:group()
  local open = self:take()
  local node = self:either()
  if self:peek().kind ~= ")" then fail(open.at, "this parenthesis is not closed") end
  self:take()
  return node
end

function Parser:comparison()
  if self:peek().kind == "(" and self:is_condition() then return self:group() end
  local left = self:sum()
  local op = self:peek()
  if not COMPARES[op.kind] then return left end
  self:take()
  return { op = "compare", sign = op.kind, left, self:sum(), at = left.at, sign_at = op.at }
end

function Parser:negation()
  if not self:is_word "not" then return self:comparison() end
  local at = self:take().at
  return { op = "not", self:comparison(), at = at }
end

function Parser:both()
  local left = self:negation()
  while self:is_word "and" do
    self:take()
    left = { op = "and", left, self:negation(), at = left.at }
  end
  return left
end

function Parser:enter()
  self.depth = self.depth + 1
  if self.depth > MAX_DEPTH then fail(self:peek().at, "more than %d parentheses are not understood", MAX_DEPTH) end
end

function Parser:either()
  self:enter()
  local left = self:both()
  while self:is_word "or" do
    self:take()
    left = { op = "or", left, self:both(), at = left.at }
  end
  self.depth = self.depth - 1
  return left
end

-- The tree of a condition. Raises { at =, why = }.
function M.parse(text)
  if #text > MAX_BYTES then fail(1, "more than %d bytes are not understood", MAX_BYTES) end
  local parser = setmetatable({ tokens = tokens_of(text), i = 1, depth = 0 }, Parser)
  if parser:peek().kind == "end" then fail(1, "a condition is expected here") end
  local tree = parser:either()
  if parser:peek().kind ~= "end" then fail(parser:peek().at, "the condition should end here, or go on with 'and' or 'or'") end
  return tree
end

M.fail = fail

return M
