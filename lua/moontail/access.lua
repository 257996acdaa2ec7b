-- What policies see of a trace: small proxies whose reads go to C.
--
-- A proxy is { span, number of its trace, position of an event or link }. The trusted functions here
-- hold the pointers; scripts never do. A number written into a proxy by a script is checked in C.
local ffi = require "ffi"
local core = require "moontail.policy_core"
local host = require "moontail.host"

local reader = ffi.cast(ffi.typeof("$ *", ffi.typeof(core.reader_type)), core.reader)
local c = ffi.cast(ffi.typeof("const $ *", ffi.typeof(core.functions_type)), core.functions)

local read_root, read_entry, read_order, read_parent = c.root, c.entry, c.order, c.parent
local read_kind, read_status, read_field, read_attr = c.kind, c.status, c.field, c.attr
local inner_next, inner_field = c.inner_next, c.inner_field
local find_match, count_match, matches_match, holds = c.find, c.count, c.matches, c.holds
local has_service, fraction = c.has_service, c.fraction
local copy_value, copy_text, trace_id, trace_decision = core.value, core.text, core.id, core.decision

local setmetatable, getmetatable, error, type, tostring = setmetatable, getmetatable, error, type, tostring
local debug_getmetatable = debug.getmetatable
local select = select
local text_of = ffi.string

-- enum value_type and enum attr_owner
local ABSENT, STRING, BOOL, INT, DOUBLE, BYTES = 0, 1, 2, 3, 4, 7
local OWNER_SPAN, OWNER_RESOURCE, OWNER_SCOPE, OWNER_EVENT, OWNER_LINK = 0, 1, 2, 3, 4
local KINDS = { [0] = "unspecified", "internal", "server", "client", "producer", "consumer" }
local STATUSES = { [0] = "unset", "ok", "error" }

-- by owner ("span") and name, the number in C and its type
local FIELDS = {}
for _, f in ipairs(core.field_names()) do
  FIELDS[f.owner] = FIELDS[f.owner] or {}
  FIELDS[f.owner][f.name] = f
end

local function stale(what)
  error("this " .. what .. " belongs to a trace that is over: keep its values, not the " .. what, 4)
end

local function check(self, what)
  if self[2] ~= reader.number then stale(what) end
end

-- The value that was read last.
local function value_of(kind)
  if kind == STRING or kind == BYTES then return text_of(reader.text, reader.len) end
  if kind == INT or kind == DOUBLE then return reader.value end
  if kind == BOOL then return reader.value ~= 0 end
  if kind == ABSENT then return nil end
  return copy_value()
end

local function names_of(class)
  local names = {}
  for name in pairs(class.fields) do names[#names + 1] = name end
  for name in pairs(class.methods) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function unknown(class, name)
  local near = type(name) == "string" and host.nearest(name, names_of(class))
  local hint = near and (" (did you mean '" .. near .. "'?)") or ""
  if not near and class.methods.attr then hint = ("; an attribute is asked for with %s:attr '%s'"):format(class.name, tostring(name)) end
  error(class.name .. " has no field '" .. tostring(name) .. "'" .. hint, 3)
end

-- fields: name -> function(self); methods: name -> function, given out as it is.
local function class(name, fields, methods, numeric)
  local self = { name = name, fields = fields, methods = methods }
  self.__metatable = false
  self.__index = function(proxy, key)
    local get = fields[key]
    if get then return get(proxy) end
    local method = methods[key]
    if method then return method end
    unknown(self, key)
  end
  self.__newindex = function(_, key)
    error(name .. " can't be changed: '" .. tostring(key) .. "'", 2)
  end
  self.__eq = function(a, b)
    return debug_getmetatable(a).name == debug_getmetatable(b).name and a[1] == b[1] and a[2] == b[2] and rawget(a, 3) == rawget(b, 3)
  end
  self.__tostring = function() return name end
  return self
end

local function text_field(number, what)
  return function(self)
    check(self, what)
    if read_field(reader, self[1], number) == ABSENT then return nil end
    return text_of(reader.text, reader.len)
  end
end

local function number_field(number, what)
  return function(self)
    check(self, what)
    if read_field(reader, self[1], number) == ABSENT then return nil end
    return reader.value
  end
end

local function boolean_field(number, what)
  return function(self)
    check(self, what)
    read_field(reader, self[1], number)
    return reader.value ~= 0
  end
end

local function plain_fields(owner, what)
  local fields = {}
  for name, f in pairs(FIELDS[owner]) do
    local make = f.type == STRING and text_field or f.type == BOOL and boolean_field or number_field
    fields[name] = make(f.number, what or owner)
  end
  return fields
end

-- ---- attributes ----

local function check_key(key)
  if type(key) ~= "string" then error("the key of an attribute is a string, not " .. type(key), 3) end
end

local function attribute_methods(owner, what)
  local methods = {}
  local inner = owner == OWNER_EVENT or owner == OWNER_LINK -- lies at a position in the span
  function methods.attr(self, key, second, ...)
    check(self, what)
    check_key(key)
    local at = inner and self[3] or 0
    local kind = read_attr(reader, self[1], owner, at, key, #key)
    if kind ~= ABSENT or second == nil then return value_of(kind) end
    check_key(second)
    kind = read_attr(reader, self[1], owner, at, second, #second)
    if kind ~= ABSENT then return value_of(kind) end
    for i = 1, select("#", ...) do
      local other = select(i, ...)
      check_key(other)
      kind = read_attr(reader, self[1], owner, at, other, #other)
      if kind ~= ABSENT then return value_of(kind) end
    end
    return nil
  end
  function methods.attr_text(self, key)
    check(self, what)
    check_key(key)
    local kind = read_attr(reader, self[1], owner, inner and self[3] or 0, key, #key)
    if kind == ABSENT then return nil end
    if kind == STRING then return text_of(reader.text, reader.len) end
    return copy_text()
  end
  function methods.has(self, key)
    check(self, what)
    check_key(key)
    return read_attr(reader, self[1], owner, inner and self[3] or 0, key, #key) ~= ABSENT
  end
  return methods
end

-- ---- what hangs on a span ----

local Resource = class("resource", {}, attribute_methods(OWNER_RESOURCE, "resource"))
local Scope = class("scope", plain_fields "scope", attribute_methods(OWNER_SCOPE, "scope"))
local Http = class("http", plain_fields "http", {})
local Db = class("db", plain_fields "db", {})
local Rpc = class("rpc", plain_fields "rpc", {})

-- enum inner_field
local INNER_NAME, INNER_OFFSET_MS, INNER_TRACE_ID, INNER_SPAN_ID = 0, 1, 2, 3

local function inner_reader(owner, what, number)
  return function(self)
    check(self, what)
    return value_of(inner_field(reader, self[1], owner, self[3], number))
  end
end

local Event = class("event", {
  name = inner_reader(OWNER_EVENT, "event", INNER_NAME),
  offset_ms = inner_reader(OWNER_EVENT, "event", INNER_OFFSET_MS),
}, attribute_methods(OWNER_EVENT, "event"))

local Link = class("link", {
  trace_id = inner_reader(OWNER_LINK, "link", INNER_TRACE_ID),
  span_id = inner_reader(OWNER_LINK, "link", INNER_SPAN_ID),
}, attribute_methods(OWNER_LINK, "link"))

-- The loop's state remembers where the next one begins.
local function next_inner(loop, i)
  local at = loop.at
  check(loop.span, loop.what)
  local behind = inner_next(reader, loop.span[1], loop.owner, at)
  if behind < 0 then return nil end
  loop.at = behind
  return i + 1, setmetatable({ loop.span[1], loop.span[2], at }, loop.class)
end

-- ---- spans ----

local function child_proxy(metatable)
  return function(self)
    check(self, "span")
    return setmetatable({ self[1], self[2] }, metatable)
  end
end

local span_fields = plain_fields "span"
local span_methods = attribute_methods(OWNER_SPAN, "span")
local Span = class("span", span_fields, span_methods)

function span_fields.kind(self)
  check(self, "span")
  return KINDS[read_kind(reader, self[1])]
end

function span_fields.status(self)
  check(self, "span")
  return STATUSES[read_status(reader, self[1])]
end

function span_fields.is_error(self)
  check(self, "span")
  return read_status(reader, self[1]) == 2
end

function span_fields.parent(self)
  check(self, "span")
  local parent = read_parent(reader, self[1])
  if parent < 0 then return nil end
  return setmetatable({ parent, self[2] }, Span)
end

span_fields.resource = child_proxy(Resource)
span_fields.scope = child_proxy(Scope)
span_fields.http = child_proxy(Http)
span_fields.db = child_proxy(Db)
span_fields.rpc = child_proxy(Rpc)

function span_methods.events(self)
  check(self, "span")
  return next_inner, { span = self, what = "span", owner = OWNER_EVENT, class = Event, at = 0 }, 0
end

function span_methods.links(self)
  check(self, "span")
  return next_inner, { span = self, what = "span", owner = OWNER_LINK, class = Link, at = 0 }, 0
end

-- Exporters alone see a span as it leaves.
local function check_exporter(name)
  if not trace_decision() then error("span." .. name .. " is there in exporters only", 3) end
end

function span_fields.start_ns(self)
  check(self, "span")
  check_exporter "start_ns"
  return (core.span_times(self[1]))
end

function span_fields.end_ns(self)
  check(self, "span")
  check_exporter "end_ns"
  local _, end_ns = core.span_times(self[1])
  return end_ns
end

function span_methods.otlp_json(self)
  check(self, "span")
  check_exporter "otlp_json()"
  return core.span_json(self[1])
end

local function check_matcher(m, what)
  if getmetatable(m) ~= "match" then error(what .. " takes a match{...}, not " .. type(m), 3) end
end

local FOR_WHERE = -2
local function for_where()
  error("the matcher asks for decision or trace fields, which only an exporter's where knows", 3)
end

function span_methods.matches(self, m)
  check(self, "span")
  check_matcher(m, "span:matches")
  local answer = matches_match(reader, self[1], m)
  if answer == FOR_WHERE then for_where() end
  return answer == 1
end

-- ---- metrics and logs ----

-- Each stands where a span does: what is read of it is of owner "span".
local function item_class(owner, name)
  local fields, methods = plain_fields(owner, name), attribute_methods(OWNER_SPAN, name)
  fields.resource = function(self)
    check(self, name)
    return setmetatable({ self[1], self[2] }, Resource)
  end
  fields.scope = function(self)
    check(self, name)
    return setmetatable({ self[1], self[2] }, Scope)
  end
  fields.service = text_field(FIELDS.span.service.number, name)
  function methods.matches(self, m)
    check(self, name)
    check_matcher(m, name .. ":matches")
    local answer = matches_match(reader, self[1], m)
    if answer == FOR_WHERE then for_where() end
    return answer == 1
  end
  return class(name, fields, methods)
end

local Log = item_class("log", "log record")
local Metric = item_class("metric", "processed metric")
local Point = item_class("point", "data point")

function Log.fields.body(self)
  check(self, "log record")
  return value_of(read_field(reader, self[1], FIELDS.log.body.number))
end

function Point.fields.metric(self)
  check(self, "data point")
  return setmetatable({ self[1], self[2] }, Metric)
end

-- ---- the trace ----

local trace_fields, trace_methods = {}, {}
local Trace = class("trace", trace_fields, trace_methods)
Trace.__metatable = "trace" -- what getmetatable gives: compiled code can ask it

function trace_fields.id(self)
  check(self, "trace")
  return trace_id()
end

function trace_fields.entry(self)
  check(self, "trace")
  local span = read_entry(reader)
  if span < 0 then error("not enough memory", 0) end
  return setmetatable({ span, self[2] }, Span)
end

function trace_fields.root(self)
  check(self, "trace")
  local span = read_root(reader)
  if span < 0 then return nil end
  return setmetatable({ span, self[2] }, Span)
end

function trace_fields.complete(self)
  check(self, "trace")
  return reader.complete ~= 0
end

function trace_fields.trigger(self)
  check(self, "trace")
  return text_of(reader.trigger)
end

function trace_fields.duration_ms(self)
  check(self, "trace")
  return reader.duration_ms
end

function trace_fields.decided_ms(self)
  check(self, "trace")
  return reader.decided_ms
end

function trace_fields.start_ms(self)
  check(self, "trace")
  return reader.start_ms
end

function trace_fields.span_count(self)
  check(self, "trace")
  return reader.count
end

function trace_fields.error_count(self)
  check(self, "trace")
  return reader.errors
end

function trace_fields.bytes(self)
  check(self, "trace")
  return reader.bytes
end

function trace_fields.decision(self)
  check(self, "trace")
  return trace_decision()
end

local function next_span(trace, rank)
  check(trace, "trace")
  local span = read_order(reader, rank)
  if span < 0 then return nil end
  return rank + 1, setmetatable({ span, trace[2] }, Span)
end

function trace_methods.spans(self)
  check(self, "trace")
  return next_span, self, 0
end

function trace_methods.find(self, m)
  check(self, "trace")
  check_matcher(m, "trace:find")
  local span = find_match(reader, m)
  if span < 0 then
    if span == FOR_WHERE then for_where() end
    return nil
  end
  return setmetatable({ span, self[2] }, Span)
end

function trace_methods.count(self, m)
  check(self, "trace")
  check_matcher(m, "trace:count")
  local n = count_match(reader, m)
  if n == FOR_WHERE then for_where() end
  return n
end

function trace_methods.has_service(self, name)
  check(self, "trace")
  if type(name) ~= "string" then error("trace:has_service takes a name, not " .. type(name), 2) end
  return has_service(reader, name, #name)
end

function trace_methods.fraction(self, salt)
  check(self, "trace")
  if type(salt) ~= "string" then error("trace:fraction takes a salt, a string, not " .. type(salt), 2) end
  return fraction(reader, salt, #salt)
end

return {
  Trace = Trace,
  Span = Span,
  by_name = { span = Span, resource = Resource, event = Event, link = Link, log = Log, metric = Metric, point = Point },
  class = class,
  check = check,
  reader = reader,
  value_of = value_of,
  holds = holds,
  fields = FIELDS,
  shape = c.shape,
  classes = { Trace, Span, Resource, Scope, Http, Db, Rpc, Event, Link, Log, Metric, Point }, -- { name, fields, methods }
  trace = function() return setmetatable({ 0, reader.number }, Trace) end,
}
