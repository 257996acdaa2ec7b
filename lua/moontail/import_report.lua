-- What an import did with each part of the other's configuration, and readers of its values that say
-- so: a key that nobody took is in the report by itself.
local lua_text = require "moontail.lua_text"

local M = {}

local Report = {}
Report.__index = Report

local KINDS = { "mapped", "different", "not mapped", "not there yet" }
local MEANING = {
  mapped = "says the same here",
  different = "works otherwise here, or relied on a quirk",
  ["not mapped"] = "has no counterpart, or needs a hand",
  ["not there yet"] = "stands in config.lua as a comment",
}

function M.new(name)
  local self = setmetatable({ name = name, entries = {} }, Report)
  for _, kind in ipairs(KINDS) do self.entries[kind] = {} end
  return self
end

-- where: the path in their file; said: a sentence or what it became.
function Report:add(kind, where, said, line)
  local list = self.entries[kind]
  list[#list + 1] = { where = where, said = said, line = line }
end

function Report:text()
  local lines = { self.name .. ":" }
  for _, kind in ipairs(KINDS) do
    local list = self.entries[kind]
    if #list > 0 then
      lines[#lines + 1] = ""
      lines[#lines + 1] = ("%s (%d): %s"):format(kind, #list, MEANING[kind])
    end
    for _, entry in ipairs(list) do
      lines[#lines + 1] = ("  %s%s: %s"):format(entry.line and ("line " .. entry.line .. " ") or "", entry.where, entry.said)
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

-- ---- values ----

local function meta_of(value) return type(value) == "table" and getmetatable(value) or {} end

function M.is_list(value) return meta_of(value).list == true end
function M.is_map(value) return type(value) == "table" and not M.is_list(value) end
function M.keys(map) return meta_of(map).keys or {} end

-- Go's durations ("1m30s", "1.5s", a bare number of nanoseconds) as ours, or nil.
local UNITS = { ns = 1e-6, us = 1e-3, ["µs"] = 1e-3, ms = 1, s = 1000, m = 60000, h = 3600000 }
local NAMES = { { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }, { "us", 1e-3 } }

function M.duration(value)
  local ms, rest = 0, value
  if type(value) == "number" then
    ms, rest = value * 1e-6, ""
  elseif type(value) ~= "string" or value == "" then
    return nil
  end
  while rest ~= "" do
    local number, unit, after = rest:match "^([%d.]+)([numµsh]+)(.*)$"
    if not number or not tonumber(number) or not UNITS[unit] then return nil end
    ms, rest = ms + tonumber(number) * UNITS[unit], after
  end
  for _, name in ipairs(NAMES) do
    local count = ms / name[2]
    if count >= 1 and math.abs(count - math.floor(count + 0.5)) < 1e-9 then return ("%d%s"):format(count + 0.5, name[1]) end
  end
  return ms == 0 and "0s" or nil
end

local function piece(name, default)
  if default then return ("env(%s, %s)"):format(lua_text.quote(name), lua_text.quote(default)) end
  return "env " .. lua_text.quote(name)
end

-- ${env:NAME}, ${NAME}, ${env:NAME:-default} and $$ of a string: a string, or code that gives one.
function M.expand(text)
  local parts, literals, at = {}, {}, 1
  local function end_literal()
    local literal = table.concat(literals)
    if literal ~= "" then parts[#parts + 1] = lua_text.quote(literal) end
    literals = {}
    return literal
  end
  for from, mark in text:gmatch "()%$([%${])" do
    local inside, to = text:match("^%${([^{}]+)}()", from)
    if from >= at and (mark == "$" or inside) then
      literals[#literals + 1] = text:sub(at, inside and from - 1 or from)
      at = to or from + 2
      if inside then
        end_literal()
        local name = inside:gsub("^env:", "")
        local variable, default = name:match "^([%w_]+):%-(.*)$"
        parts[#parts + 1] = piece(variable or name, default)
      end
    end
  end
  literals[#literals + 1] = text:sub(at)
  local is_text, rest = #parts == 0, end_literal()
  return is_text and rest or lua_text.code(table.concat(parts, " .. "))
end

-- A number with its unit, or code for it.
function M.with_unit(number, unit)
  return type(number) == "table" and lua_text.code(("%s .. %s"):format(number.text, lua_text.quote(unit))) or number .. unit
end

-- ---- names ----

-- What some of their components are called besides; newer releases have the ones with underscores.
local OTHER_NAMES = {
  otlp_grpc = "otlp",
  otlp_http = "otlphttp",
  aws_xray = "awsxray",
  aws_emf = "awsemf",
  prometheus_remote_write = "prometheusremotewrite",
  resource_detection = "resourcedetection",
  span_metrics = "spanmetrics",
  service_graph = "servicegraph",
  bearer_token_auth = "bearertokenauth",
  sigv4_auth = "sigv4auth",
}

-- The type of their "TYPE/instance".
function M.type_of(id)
  local type_ = id:match "^([^/]+)"
  return OTHER_NAMES[type_] or type_
end

-- A text as a part of a name of ours.
function M.safe(text) return (text:gsub("[^%w_.-]", "-")) end

-- Their "TYPE/instance" under our type.
function M.name_of(type_, id)
  local instance = id:match "/(.+)$"
  return instance and type_ .. "/" .. M.safe(instance) or type_
end

-- ---- sections ----

local Section = {}
Section.__index = Section

-- Reads the map at `path`; done() tells of the keys that were not taken.
function M.section(notes, map, path)
  return setmetatable({ notes = notes, map = M.is_map(map) and map or {}, path = path, taken = {} }, Section)
end

function Section:line(key)
  local lines = meta_of(self.map).lines
  return lines and lines[key]
end

function Section:add(kind, key, said) self.notes:add(kind, self.path .. "." .. tostring(key), said, self:line(key)) end

-- The value as it stands; nil when absent.
function Section:raw(key)
  self.taken[key] = true
  return self.map[key]
end

function Section:has(key) return self.map[key] ~= nil end

function Section:wrong(key, wanted)
  self:add("not mapped", key, "is not " .. wanted)
  return nil
end

-- Any scalar, with its ${...}.
function Section:value(key)
  local value = self:raw(key)
  if type(value) == "string" then return M.expand(value) end
  if type(value) == "table" then return self:wrong(key, "a single value") end
  return value
end

function Section:string(key)
  local value = self:value(key)
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return value
end

function Section:number(key)
  local value = self:value(key)
  if value == nil or type(value) == "number" then return value end
  if type(value) == "string" then return tonumber(value) or self:wrong(key, "a number") end
  if type(value) == "table" then return lua_text.code("tonumber(" .. value.text .. ")") end
  return self:wrong(key, "a number")
end

-- A number that says nothing where it is 0, as there.
function Section:unless_zero(key)
  local value = self:number(key)
  return value ~= 0 and value or nil
end

-- A share in percent: 0 where none is given, all above 100.
function Section:share(key)
  local value = self:number(key) or 0
  return type(value) == "number" and math.min(math.max(value, 0), 100) or value
end

-- Whether the two are bounds between which nothing is; says so.
function Section:is_nothing_within(low_key, low, high_key, high)
  if type(low) ~= "number" or type(high) ~= "number" or low <= high then return false end
  self:add("not mapped", low_key, "is above " .. high_key .. ": nothing is within")
  return true
end

function Section:boolean(key)
  local value = self:value(key)
  if value == nil or type(value) == "boolean" then return value end
  if type(value) == "table" then return lua_text.code(value.text .. ' == "true"') end
  return self:wrong(key, "true or false")
end

function Section:duration(key)
  local value = self:value(key)
  if value == nil or getmetatable(value) then return value end
  return M.duration(value) or self:wrong(key, "a duration that moontail can keep")
end

-- A list of scalars; a single one counts as a list of one.
function Section:list(key)
  local value, result = self:raw(key), {}
  if value == nil then return nil end
  if not M.is_list(value) then value = { value } end
  for i, item in ipairs(value) do
    if type(item) == "table" then return self:wrong(key, "a list of single values") end
    result[i] = type(item) == "string" and M.expand(item) or item
  end
  return result
end

local function deep(value)
  if type(value) == "string" then return M.expand(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, inner in pairs(value) do copy[key] = deep(inner) end
  return copy
end

-- Whatever stands there, with all its ${...}.
function Section:deep(key) return deep(self:raw(key)) end

-- The maps of a list, each as a section.
function Section:sections(key)
  local value, result = self:raw(key), {}
  if value ~= nil and not M.is_list(value) then return self:wrong(key, "a list") or {} end
  for i, item in ipairs(value or {}) do result[i] = M.section(self.notes, item, ("%s.%s[%d]"):format(self.path, key, i)) end
  return result
end

function Section:section(key)
  local value = self:raw(key)
  if value ~= nil and not M.is_map(value) then self:wrong(key, "a map") end
  return M.section(self.notes, value, self.path .. "." .. key)
end

-- Keys that change nothing here, with the reason.
function Section:ignore(key, why)
  if self:has(key) then
    self:raw(key)
    self:add("different", key, why)
  end
end

-- { key = reason }; told in the order of the file.
function Section:ignore_all(reasons)
  for _, key in ipairs(M.keys(self.map)) do
    if reasons[key] then self:ignore(key, reasons[key]) end
  end
end

-- Whether all keys were taken.
function Section:done()
  local all = true
  for _, key in ipairs(M.keys(self.map)) do
    if not self.taken[key] then
      self:add("not mapped", key, "there is no such setting here")
      all = false
    end
  end
  return all
end

-- ---- what has no counterpart yet ----

local function yaml_lines(value, indent, lines, left)
  if left.count == 0 then return end
  left.count = left.count - 1
  if M.is_list(value) then
    for _, item in ipairs(value) do
      if type(item) == "table" then
        lines[#lines + 1] = indent .. "-"
        yaml_lines(item, indent .. "  ", lines, left)
      else
        lines[#lines + 1] = indent .. "- " .. tostring(item)
      end
    end
    return
  end
  for _, key in ipairs(M.keys(value)) do
    local item = value[key]
    if type(item) == "table" then
      lines[#lines + 1] = indent .. key .. ":"
      yaml_lines(item, indent .. "  ", lines, left)
    else
      lines[#lines + 1] = indent .. key .. ": " .. tostring(item):gsub("%c", " ")
    end
  end
end

-- A component as a comment, with its options as they stood.
function M.as_comment(head, options)
  local lines = { head }
  if type(options) == "table" then yaml_lines(options, "  ", lines, { count = 1000 }) end
  return lua_text.note(table.concat(lines, "\n"))
end

return M
