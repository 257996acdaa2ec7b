-- For the specs of policies: traces from tables, which go through the collector's own scanner and
-- accessors (the module moontail_testing). Trusted code; it runs under any LuaJIT.
--
--   local t = require "moontail.testing"
--   local p = t.policy("latency", { threshold_ms = 250 })
--   assert.same({ "keep", "slow" }, p:decide(t.trace { { duration_ms = 250 } }))
--
-- A span: name, kind, status, status_message, offset_ms, duration_ms, id, parent, service, attr,
-- resource, scope = { name =, version =, ... }, events = { { name =, offset_ms =, attr = } },
-- links = { { trace_id =, span_id =, trace_state =, attr = } }, trace_state, flags, start_ns, end_ns,
-- dropped = { attributes =, events =, links = }. parent: the number of a span in the list or 16 hex
-- digits; false: a root. Without it all spans are children of the first. Of the trace: id, trigger,
-- decided_ms. Values: strings, booleans, numbers (whole ones are integers), lists, maps, and what
-- t.int "9007199254740993", t.double(1), t.bytes "\0", t.map {}, t.empty make.

-- Runners that forget modules between files (busted) get the first ones again: the state has one API.
local registry = debug.getregistry()
local known = registry["moontail.testing"]
if known then
  for name, module in pairs(known) do package.loaded[name] = module end
  return known["moontail.testing"]
end

local ffi = require "ffi"
local bit = require "bit"
local c = require "moontail_testing"
local component = require "moontail.component"
local policies = require "moontail.policy"
local testing_items = require "moontail.testing_items"

local t = {}
for name, fn in pairs(c.api) do t[name] = fn end

local BASE_NS = 1700000000000000000ULL
local DECIDED_NS = "1700000010000000000"
local TRACE_ID = "0102030405060708090a0b0c0d0e0f10"
local KINDS = { unspecified = 0, internal = 1, server = 2, client = 3, producer = 4, consumer = 5 }
local STATUSES = { unset = 0, ok = 1, error = 2 }

-- ---- protobuf ----

local function varint(n)
  n = ffi.cast("uint64_t", type(n) == "number" and ffi.cast("int64_t", n) or n)
  local bytes = {}
  while n >= 128ULL do
    bytes[#bytes + 1] = string.char(bit.bor(tonumber(n % 128ULL), 128))
    n = n / 128ULL
  end
  bytes[#bytes + 1] = string.char(tonumber(n))
  return table.concat(bytes)
end

local function raw(ctype, value)
  local box = ffi.new(ctype .. "[1]", value)
  return ffi.string(box, ffi.sizeof(box))
end

local function field_varint(number, value) return varint(number * 8) .. varint(value) end
local function field_fixed64(number, value) return varint(number * 8 + 1) .. raw("uint64_t", value) end
local function field_fixed32(number, value) return varint(number * 8 + 5) .. raw("uint32_t", value) end
local function field_bytes(number, bytes) return varint(number * 8 + 2) .. varint(#bytes) .. bytes end

local Tagged = {}
local function tagged(kind) return function(value) return setmetatable({ kind = kind, value = value }, Tagged) end end

local function int64(text)
  if type(text) ~= "string" then return ffi.cast("int64_t", text) end
  local sign, digits = text:match "^(-?)(%d+)$"
  local n = 0ULL
  for digit in digits:gmatch "%d" do n = n * 10ULL + tonumber(digit) end
  n = ffi.cast("int64_t", n)
  return sign == "-" and -n or n
end
function t.int(n) return tagged "int"(int64(n)) end
t.double = tagged "double"
t.bytes = tagged "bytes"
t.map = tagged "map"
t.empty = tagged "empty"()

local key_values, value_of

local function encode_list(list)
  local parts = {}
  for i = 1, #list do parts[i] = field_bytes(1, value_of(list[i])) end
  return field_bytes(5, table.concat(parts))
end

local encoders = {
  int = function(v) return field_varint(3, v) end,
  double = function(v) return varint(4 * 8 + 1) .. raw("double", v) end,
  bytes = function(v) return field_bytes(7, v) end,
  map = function(v) return field_bytes(6, key_values(1, v)) end,
  empty = function() return "" end,
}

function value_of(v)
  if getmetatable(v) == Tagged then return encoders[v.kind](v.value) end
  if type(v) == "string" then return field_bytes(1, v) end
  if type(v) == "boolean" then return field_varint(2, v and 1 or 0) end
  if type(v) == "number" then
    local whole = v % 1 == 0 and math.abs(v) <= 2 ^ 53
    return whole and field_varint(3, v) or encoders.double(v)
  end
  if type(v) ~= "table" then error("a value of an attribute can't be a " .. type(v)) end
  if #v > 0 or next(v) == nil then return encode_list(v) end
  return encoders.map(v)
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- A repeated KeyValue under `number`.
function key_values(number, map)
  local parts = {}
  for _, key in ipairs(sorted_keys(map or {})) do
    parts[#parts + 1] = field_bytes(number, field_bytes(1, key) .. field_bytes(2, value_of(map[key])))
  end
  return table.concat(parts)
end

local function unhex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function time_ns(ms)
  return BASE_NS + ffi.cast("int64_t", math.floor(ms * 1e6 + 0.5))
end

local function event_bytes(e)
  return field_fixed64(1, time_ns(e.offset_ms or 0)) .. field_bytes(2, e.name or "event") .. key_values(3, e.attr)
end

local function link_bytes(l)
  local bytes = field_bytes(1, unhex(l.trace_id or TRACE_ID)) .. field_bytes(2, unhex(l.span_id or "00000000000000aa"))
  if l.trace_state then bytes = bytes .. field_bytes(3, l.trace_state) end
  return bytes .. key_values(4, l.attr)
end

local function id_of(span, i) return span.id or ("%016x"):format(i) end

local function parent_of(spans, i)
  local parent = spans[i].parent
  if parent == nil then parent = i > 1 and 1 or false end
  if type(parent) == "number" then return id_of(spans[parent], parent) end
  return parent
end

local function status_bytes(span)
  if not span.status and not span.status_message then return "" end
  local status = span.status or "unset"
  local code = STATUSES[status] or (type(status) == "number" and status) or error("no status '" .. tostring(status) .. "'")
  local message = span.status_message and field_bytes(2, span.status_message) or ""
  return field_bytes(15, message .. field_varint(3, code))
end

local SPAN_KEYS = {}
for key in
  ([[id parent name kind status status_message offset_ms duration_ms start_ns end_ns attr resource scope
  service events links trace_state flags dropped]]):gmatch "%S+"
do
  SPAN_KEYS[key] = true
end

local function check_keys(span, i)
  for key in pairs(span) do
    if not SPAN_KEYS[key] then error("span " .. i .. " of the trace has no '" .. tostring(key) .. "'", 4) end
  end
end

local function span_bytes(spans, i, trace_id)
  local span = spans[i]
  local start_ns = span.start_ns or time_ns(span.offset_ms or 0)
  local end_ns = span.end_ns or start_ns + ffi.cast("int64_t", math.floor((span.duration_ms or 1) * 1e6 + 0.5))
  local kind = span.kind or "internal"
  local parts = { field_bytes(1, unhex(trace_id)), field_bytes(2, unhex(id_of(span, i))) }
  local function add(bytes) parts[#parts + 1] = bytes end
  if span.trace_state then add(field_bytes(3, span.trace_state)) end
  local parent = parent_of(spans, i)
  if parent then add(field_bytes(4, unhex(parent))) end
  add(field_bytes(5, span.name or "work"))
  add(field_varint(6, KINDS[kind] or (type(kind) == "number" and kind) or error("no kind '" .. tostring(kind) .. "'")))
  add(field_fixed64(7, start_ns))
  add(field_fixed64(8, end_ns))
  add(key_values(9, span.attr))
  local dropped = span.dropped or {}
  if dropped.attributes then add(field_varint(10, dropped.attributes)) end
  for _, event in ipairs(span.events or {}) do add(field_bytes(11, event_bytes(event))) end
  if dropped.events then add(field_varint(12, dropped.events)) end
  for _, link in ipairs(span.links or {}) do add(field_bytes(13, link_bytes(link))) end
  if dropped.links then add(field_varint(14, dropped.links)) end
  add(status_bytes(span))
  if span.flags then add(field_fixed32(16, span.flags)) end
  return table.concat(parts)
end

local function scope_bytes(scope)
  if not scope then return "" end
  local attributes = {}
  for key, value in pairs(scope) do
    if key ~= "name" and key ~= "version" then attributes[key] = value end
  end
  local bytes = field_bytes(1, scope.name or "") .. field_bytes(2, scope.version or "") .. key_values(3, attributes)
  return field_bytes(1, bytes)
end

local function resource_bytes(span)
  local attributes = {}
  for key, value in pairs(span.resource or {}) do attributes[key] = value end
  if span.service then attributes["service.name"] = span.service end
  return field_bytes(1, key_values(1, attributes))
end

-- The OTLP body of the trace: one ResourceSpans a span.
function t.encode(spans)
  local parts = {}
  for i = 1, #spans do
    check_keys(spans[i], i)
    local scope = scope_bytes(spans[i].scope) .. field_bytes(2, span_bytes(spans, i, spans.id or TRACE_ID))
    parts[i] = field_bytes(1, resource_bytes(spans[i]) .. field_bytes(2, scope))
  end
  return table.concat(parts)
end

function t.trace(spans)
  local decided_ns = spans.decided_ms and ("%.0f000000"):format(spans.decided_ms) or DECIDED_NS
  return c.scan(t.encode(spans), spans.trigger or "wait", decided_ns)
end

local function scanned(...)
  local ok, bodies = pcall(c.split, ...)
  if not ok then error(bodies, 3) end
  for i, body in ipairs(bodies) do bodies[i] = c.scan(body, "wait", DECIDED_NS) end
  return bodies
end

-- The list of the traces in a text: OTLP/JSON, one request or one in each line (what exporter "file"
-- writes), or OTLP protobuf.
function t.traces(text)
  local list = scanned("the text", text)
  return list
end

-- The same of a file.
function t.file(path)
  local list = scanned(path)
  return list
end

-- ---- policies ----

-- What the collector's table would call the reason.
local function plain(policy, value)
  if value == nil then return nil end
  local kind, p, reason = c.verdict(value)
  if not kind then error("decide returned a " .. type(value) .. "; allowed: a verdict or nil", 0) end
  reason = reason or policy.type
  if kind == "sample" or kind == "at_least" then return { kind, p, reason } end
  return { kind, reason }
end

local Policy = {}
Policy.__index = Policy

-- { "keep", reason }, { "drop", reason }, { "sample", p, reason }, { "at_least", p, reason } or nil. Raises what
-- the policy raises.
function Policy:decide(trace)
  local _, number = c.begin(trace)
  local ok, value = pcall(c.ask, self.ask, number)
  c.finish()
  if not ok then error(value, 0) end
  return plain(self, value)
end

-- policy "TYPE/instance" with its options, or policy { name =, decide = } written in place. Limits and
-- the like are as new, of this and of those before.
function t.policy(what, options)
  local made = component.constructor "policy"(what)
  if options then made = made(options) end
  made.file, made.line = nil, nil -- what is wrong is the caller's
  local ready, errors = c.once(policies.prepare, { made })
  if not ready then error(errors, 2) end
  c.forget()
  return setmetatable(ready[1], Policy)
end

local Processor = {}
Processor.__index = Processor

-- Of one on = "kept": the trace of the spans that are left (nil: none), read with t.read, and the
-- reasons of those that were dropped.
function Processor:process(trace) return c.process(self.set, trace) end

-- Of one on = "received": the reasons of the spans that are dropped.
function Processor:received(trace) return c.received(self.set, trace) end

-- Of metrics and logs (testing_items.lua says how they are written): the list of what is left, and the
-- reasons of what was dropped.
local function items(self, signal, list)
  local text, reasons = c.items(self.set, signal, t.json.encode(testing_items.document(signal, list)))
  return testing_items.list(signal, t.json.decode(text)), reasons
end
function Processor:logs(list) return items(self, "logs", list) end
function Processor:metrics(list) return items(self, "metrics", list) end

-- processor "TYPE/instance" with its options, or processor { name =, on =, span = } written in place.
function t.processor(what, options)
  local made = component.constructor "processor"(what)
  if options then made = made(options) end
  made.file, made.line = nil, nil -- what is wrong is the caller's
  local ok, kept = pcall(c.processors, { made }, "kept")
  if ok then return setmetatable({ set = kept }, Processor) end
  if not kept:find("processors.received", 1, true) then error(kept, 2) end
  return setmetatable({ set = c.processors({ made }, "received") }, Processor)
end

-- What `fn` returns when it reads the trace as a policy would.
function t.read(trace, fn)
  local proxy = c.begin(trace)
  local results = { pcall(fn, proxy) }
  c.finish()
  if not results[1] then error(results[2], 0) end
  return unpack(results, 2, table.maxn(results))
end

-- A whole chain: list of policy "X" { ... } (t.make) and a default verdict. decide(trace) gives
-- { "keep", policy, reason } or { "drop", policy, reason }, with p where it was drawn.
local Chain = {}
Chain.__index = Chain
function Chain:decide(trace)
  local verdict, policy, reason, p = c.decide(self.set, trace)
  return { verdict, policy, reason, p }
end
-- Whether it is kept without a th: nobody can say how many traces it stands for.
function Chain:is_unknown(trace) return (select(5, c.decide(self.set, trace))) end

t.make = component.constructor "policy"
function t.chain(list, default)
  local set = c.chain(list, default)
  c.forget()
  return setmetatable({ set = set }, Chain)
end

-- What an exporter's where says of a trace that was kept by policy for reason.
function t.where(matcher, trace, policy, reason)
  return c.where(matcher, trace, policy or "default", reason or "default")
end

-- Lets time pass, in milliseconds: for limit, seen and counter. It stands still by itself.
t.advance = c.advance

-- The CPU time that a call of a policy may use, in milliseconds: tail_sampling.budget.cpu. 10 at first; under
-- another LuaJIT than moontail's: none at first.
t.budget = c.budget

-- Where policies/TYPE.lua is looked for before the built-in ones.
t.folder = c.folder

local here = io.open "lua/policies/latency.lua" -- in the project itself
if here then here:close() end
t.folder(here and "lua" or ".")

known = { ["moontail.testing"] = t }
for name, module in pairs(package.loaded) do
  if name:find "^moontail[._]" and type(module) == "table" then known[name] = module end
end
registry["moontail.testing"] = known

return t
