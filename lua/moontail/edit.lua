-- What processors see: spans that can be edited. The edits are splices in C over the span's bytes;
-- every read sees them.
local access = require "moontail.access"
local core = require "moontail.policy_core"

local getmetatable, setmetatable, error, type, tostring, ipairs, pairs = getmetatable, setmetatable, error, type, tostring, ipairs, pairs
local sort = table.sort

-- enum attr_owner and enum splice_action
local OWNER_SPAN, OWNER_RESOURCE, OWNER_EVENT, OWNER_LINK = 0, 1, 3, 4
local UPSERT, INSERT, DELETE = 0, 1, 3
local STATUSES = { unset = 0, ok = 1, error = 2 }

local function check_key(key, what)
  if type(key) ~= "string" then error(what .. " takes the key of an attribute, a string, not " .. type(key), 3) end
end

-- A table as C reads it: { list = true, ... }, or { map = true, key, value, ... } in the order of keys.
local function plain(value, level, depth)
  if type(value) ~= "table" then
    if type(value) == "string" or type(value) == "boolean" or type(value) == "number" then return value end
    error("an attribute can't be a " .. type(value) .. "; allowed: a string, number, boolean, a list or a map", level)
  end
  if depth > 8 then error("an attribute is nested more than 8 deep", level) end
  local keys, count = {}, 0
  for key in pairs(value) do
    count = count + 1
    keys[count] = key
  end
  if count == #value then
    local list = { list = true }
    for i, one in ipairs(value) do list[i] = plain(one, level + 1, depth + 1) end
    return list
  end
  for _, key in ipairs(keys) do
    if type(key) ~= "string" then error("a map has strings as keys, not " .. tostring(key), level) end
  end
  sort(keys)
  local map = { map = true }
  for _, key in ipairs(keys) do
    map[#map + 1] = key
    map[#map + 1] = plain(value[key], level + 1, depth + 1)
  end
  return map
end

-- number: which event or link; the others have none.
local function editing(owner, check)
  local methods = {}
  local numbered = owner == OWNER_EVENT or owner == OWNER_LINK
  local set, rename = core.edit_set, core.edit_rename
  local function put(name, action)
    methods[name] = function(self, key, value)
      check(self)
      check_key(key, name)
      if value == nil then error(name .. " takes a value; unset takes an attribute away", 2) end
      set(self[1], owner, numbered and self[3] or 0, action, key, plain(value, 3, 1))
    end
  end
  put("set", UPSERT)
  put("set_new", INSERT)
  function methods.unset(self, key)
    check(self)
    check_key(key, "unset")
    set(self[1], owner, numbered and self[3] or 0, DELETE, key)
  end
  function methods.rename(self, old, new)
    check(self)
    check_key(old, "rename")
    check_key(new, "rename")
    return rename(self[1], owner, numbered and self[3] or 0, old, new)
  end
  return methods
end

local function check_truncate(max_bytes)
  if type(max_bytes) ~= "number" or max_bytes ~= max_bytes or max_bytes < 0 then error("truncate takes a number of bytes, 0 or more", 3) end
end

local function check_redact(rules)
  if getmetatable(rules) ~= "redaction" then error("redact takes what redaction { ... } made, not " .. type(rules), 3) end
end

local function check_of(what)
  return function(self) access.check(self, what) end
end

local function merged(...)
  local all = {}
  for _, t in ipairs { ... } do
    for name, value in pairs(t) do all[name] = value end
  end
  return all
end

-- ---- resource, events, links ----

local resource_class = access.by_name.resource
local Resource = access.class("resource", resource_class.fields, merged(resource_class.methods, editing(OWNER_RESOURCE, check_of "resource")))

-- Events and links are known by their number, as an edit moves the others; reads want the place.
local function inner_class(what, owner)
  local class = access.by_name[what]
  local fields, methods = {}, {}
  local function placed(self) return { self[1], self[2], core.edit_inner_at(self[1], owner, self[3]) } end
  for name, get in pairs(class.fields) do
    fields[name] = function(self) return get(placed(self)) end
  end
  for name, method in pairs(class.methods) do
    methods[name] = function(self, ...) return method(placed(self), ...) end
  end
  local metatable = access.class(what, fields, merged(methods, editing(owner, check_of(what))))
  local function next_inner(span, i)
    access.check(span, "span")
    if core.edit_inner_at(span[1], owner, i + 1) < 0 then return nil end
    return i + 1, setmetatable({ span[1], span[2], i + 1 }, metatable)
  end
  return function(self)
    access.check(self, "span")
    return next_inner, self, 0
  end
end

-- ---- the span ----

local span_class = access.by_name.span
local check_span = check_of "span"
local fields = merged(span_class.fields)
local methods = merged(span_class.methods, editing(OWNER_SPAN, check_span))

function fields.resource(self)
  check_span(self)
  return setmetatable({ self[1], self[2] }, Resource)
end

methods.events = inner_class("event", OWNER_EVENT)
methods.links = inner_class("link", OWNER_LINK)

function methods.set_name(self, name)
  check_span(self)
  if type(name) ~= "string" then error("set_name takes a name, a string, not " .. type(name), 2) end
  core.edit_name(self[1], name)
end

function methods.set_status(self, status, message)
  check_span(self)
  local code = STATUSES[status]
  if not code then error("'" .. tostring(status) .. "' is no status; allowed: unset, ok, error", 2) end
  if message ~= nil and type(message) ~= "string" then error("the message of a status is a string, not " .. type(message), 2) end
  core.edit_status(self[1], code, message)
end

function methods.truncate(self, max_bytes)
  check_span(self)
  check_truncate(max_bytes)
  return core.edit_truncate(self[1], max_bytes)
end

function methods.redact(self, rules)
  check_span(self)
  check_redact(rules)
  core.edit_redact(self[1], rules)
end

local Span = access.class("span", fields, methods)
Span.__eq = span_class.__eq -- a span that can be edited is the span that it is

-- ---- metrics and logs ----

-- Adds redact, and truncate where there is text.
local function item(what, own, truncates)
  local of = access.by_name[what]
  local checked = check_of(of.name)
  function own.redact(self, rules)
    checked(self)
    check_redact(rules)
    core.edit_redact(self[1], rules)
  end
  if truncates then
    function own.truncate(self, max_bytes)
      checked(self)
      check_truncate(max_bytes)
      return core.edit_truncate(self[1], max_bytes)
    end
  end
  return access.class(of.name, of.fields, merged(of.methods, own))
end

local log = editing(OWNER_SPAN, check_of "log record")

function log.set_body(self, value)
  access.check(self, "log record")
  if value == nil then error("set_body takes a value", 2) end
  core.edit_body(self[1], plain(value, 3, 1))
end

local SEVERITIES = { trace = true, debug = true, info = true, warn = true, error = true, fatal = true }

function log.set_severity(self, severity, label)
  access.check(self, "log record")
  local number = type(severity) == "number" and severity >= 0 and severity <= 24 and severity % 1 == 0
  if not number and not SEVERITIES[severity] then
    error("'" .. tostring(severity) .. "' is no severity; allowed: trace, debug, info, warn, error, fatal, or 0 to 24", 2)
  end
  if label ~= nil and type(label) ~= "string" then error("the text of a severity is a string, not " .. type(label), 2) end
  core.edit_severity(self[1], severity, label)
end

-- SPLICE_METRIC_NAME and the like
local metric = editing(OWNER_SPAN, check_of "processed metric")
for name, field in pairs { set_name = 1, set_description = 2, set_unit = 3 } do
  metric[name] = function(self, value)
    access.check(self, "processed metric")
    if type(value) ~= "string" then error(name .. " takes a string, not " .. type(value), 2) end
    core.edit_metric(self[1], field, value)
  end
end

return {
  Span = Span,
  Log = item("log", log, true),
  Metric = access.class("processed metric", access.by_name.metric.fields, merged(access.by_name.metric.methods, metric)),
  Point = item("point", editing(OWNER_SPAN, check_of "data point"), true),
  Resource = item("resource", editing(OWNER_RESOURCE, check_of "resource")),
}
