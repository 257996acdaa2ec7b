-- Runs the golden cases of the mapping to X-Ray (spec/xray/*.lua). A case says what a span is and what becomes of it:
--
--   { "name", options = {}, resource = {}, span = { kind =, parent = true, name =, attrs = { { key, value }, ... }, status =,
--     message =, events = {}, links = {}, start_ns =, end_ns = }, compat = {}, default = {}, second = {} }
--
-- `compat` has the fields of the document that are other than in BASE; `default` what is other than that without compat (g.GONE:
-- a field that is not there); `second`, `second_default` likewise of the second document. only = "default": compat is not run. Ids of
-- exceptions are #1, #2 ... in order, that of a made segment is #segment.
local t = require "moontail.testing"
local core = require "moontail.policy_core"
local xray = require "moontail.xray"

local g = { GONE = {}, NULL = core.json_null }

local TRACE, SPAN, PARENT = "5f84c7a1e7d1852db8c4fd35d88bf49a", "1111111111111111", "2222222222222222"
local KINDS = { unspecified = 0, internal = 1, server = 2, client = 3, producer = 4, consumer = 5 }
local BASE = {
  id = SPAN, trace_id = "1-5f84c7a1-e7d1852db8c4fd35d88bf49a", name = "op", start_time = 1700000000.5, end_time = 1700000002,
  fault = false, error = false, throttle = false, aws = { xray = { auto_instrumentation = false } },
}

-- ---- OTLP/JSON ----

local typed = { int = "intValue", double = "doubleValue", bytes = "bytesValue" }
function g.int(digits) return { type = "int", value = digits } end
function g.double(number) return { type = "double", value = number } end
function g.bytes(base64) return { type = "bytes", value = base64 } end
function g.map(pairs_) return { type = "map", value = pairs_ } end

local attributes

-- Text, so that empty lists are lists.
local function value_of(v)
  if type(v) == "string" then return '{"stringValue":' .. t.json.encode(v) .. "}" end
  if type(v) == "boolean" then return '{"boolValue":' .. tostring(v) .. "}" end
  if type(v) == "number" then return v % 1 == 0 and ('{"intValue":"%.0f"}'):format(v) or ('{"doubleValue":%.17g}'):format(v) end
  if v.type == "map" then return '{"kvlistValue":{"values":' .. attributes(v.value) .. "}}" end
  if v.type then return ('{"%s":%s}'):format(typed[v.type], v.type == "double" and v.value or '"' .. v.value .. '"') end
  local list = {}
  for i, each in ipairs(v) do list[i] = value_of(each) end
  return '{"arrayValue":{"values":[' .. table.concat(list, ",") .. "]}}"
end

function attributes(list)
  local out = {}
  for i, pair in ipairs(list or {}) do out[i] = ('{"key":%s,"value":%s}'):format(t.json.encode(pair[1]), value_of(pair[2])) end
  return "[" .. table.concat(out, ",") .. "]"
end

local function event_of(e)
  return ('{"name":%s,"timeUnixNano":"%s","attributes":%s}'):format(t.json.encode(e.name), e.time_ns or "1700000001000000000", attributes(e.attrs))
end

local function link_of(l)
  return ('{"traceId":"%s","spanId":"%s","attributes":%s}'):format(l.trace_id, l.id, attributes(l.attrs))
end

local function each(list, make)
  local out = {}
  for i, item in ipairs(list or {}) do out[i] = make(item) end
  return "[" .. table.concat(out, ",") .. "]"
end

-- The request of a case, as text.
function g.request(case)
  local s, resource = case.span or {}, {}
  for key, value in pairs(case.resource or {}) do resource[#resource + 1] = { key, value } end
  table.sort(resource, function(a, b) return a[1] < b[1] end)
  local fields = {
    '"traceId":"' .. TRACE .. '"', '"spanId":"' .. SPAN .. '"', '"name":' .. t.json.encode(s.name or "op"),
    '"kind":' .. KINDS[s.kind or "internal"], '"startTimeUnixNano":"' .. (s.start_ns or "1700000000500000000") .. '"',
    '"endTimeUnixNano":"' .. (s.end_ns or "1700000002000000000") .. '"', '"attributes":' .. attributes(s.attrs),
    '"status":' .. ('{"code":%d,"message":%s}'):format(s.status or 0, t.json.encode(s.message or "")),
    '"events":' .. each(s.events, event_of), '"links":' .. each(s.links, link_of),
  }
  if s.parent then fields[#fields + 1] = '"parentSpanId":"' .. PARENT .. '"' end
  return ('{"resourceSpans":[{"resource":{"attributes":%s},"scopeSpans":[{"spans":[{%s}]}]}]}'):format(attributes(resource), table.concat(fields, ","))
end

-- ---- documents ----

local function rename_ids(documents)
  local known, count = {}, 0
  local function name(id)
    if not known[id] then
      count = count + 1
      known[id] = "#" .. count
    end
    return known[id]
  end
  for _, d in ipairs(documents) do
    for _, e in ipairs(d.cause and d.cause.exceptions or {}) do e.id, e.cause = name(e.id), e.cause and name(e.cause) end
    if d.id ~= SPAN then d.id = "#segment" end
    if d.parent_id and d.parent_id ~= PARENT then d.parent_id = "#segment" end
  end
  return documents
end

-- What becomes of the case's span.
function g.documents(case, compat)
  local options = { compat = compat }
  for key, value in pairs(case.options or {}) do options[key] = value end
  local mapping, found = xray.api.mapping(options), {}
  t.read(t.traces(g.request(case))[1], function(trace)
    for _, document in ipairs { mapping:documents(trace.entry) } do found[#found + 1] = t.json.decode((xray.api.text(document))) end
  end)
  return rename_ids(found)
end

local function changed(from, changes)
  local result = {}
  for key, value in pairs(from) do result[key] = value end
  for key, value in pairs(changes or {}) do
    result[key] = value
    if value == g.GONE then result[key] = nil end
  end
  return result
end

-- What is to become of it.
function g.expected(case, compat)
  local base = BASE
  if case.span and case.span.parent then base = changed(BASE, { parent_id = PARENT }) end
  local first = changed(base, case.compat)
  if not compat then first = changed(first, case.default) end
  if not case.second then return { first } end
  local second = changed(base, case.second)
  if not compat then second = changed(second, case.second_default) end
  return { first, second }
end

return g
