-- A span as the mapping to X-Ray reads it: all attributes at once, and what is the same for all spans of
-- a resource only once.
local access = require "moontail.access"
local core = require "moontail.policy_core"

local M = {}

local KINDS = { [0] = "unspecified", "internal", "server", "client", "producer", "consumer" }
local RESOURCES_MAX, RESOURCE_BYTES = 128, 8192 -- that are remembered
local TEXTS_MAX, TEXT_BYTES = 4096, 128

-- What other than a string counts as none, as it does in the collector's exporter.
function M.text(value) return type(value) == "string" and value or "" end

-- nil where it is empty: most fields of a document are left out then.
function M.present(value)
  if type(value) == "string" and value ~= "" then return value end
  return nil
end

-- At most max_bytes of it, cut between characters.
function M.cut(text, max_bytes)
  if #text <= max_bytes then return text end
  local last = max_bytes
  while last > 0 and text:byte(last + 1) >= 128 and text:byte(last + 1) < 192 do last = last - 1 end
  return text:sub(1, last)
end

-- Whether it can be an annotation: a string, number or boolean.
function M.is_scalar(value) return type(value) ~= "table" or value.type == "int" or value.type == "double" end

-- A whole number; 0 for what is none. `lenient`: also one that came as a double or as text.
function M.integer(value, lenient)
  if type(value) == "table" then
    if value.type == "int" then return value end
    value = lenient and value.type == "double" and tonumber(value.json) or nil
  elseif type(value) == "string" then
    value = lenient and value:find "^%d+$" and #value < 16 and tonumber(value) or nil
  end
  return type(value) == "number" and value % 1 == 0 and value or 0
end

-- The elements of a list; nil for what is none.
function M.list(value)
  if type(value) ~= "table" or value.type ~= "list" then return nil end
  return core.json_decode(value.json)
end

-- A function that gives make(text, more) and remembers it: `most` texts of `max_bytes`, then it begins anew, so that
-- senders can't fill the memory.
local function remembered(most, max_bytes, make)
  local known, count = {}, 0
  return function(text, more)
    local value = known[text]
    if value ~= nil then return value end
    value = make(text, more)
    if #text > max_bytes then return value end
    if count == most then
      known, count = {}, 0
    end
    known[text], count = value, count + 1
    return value
  end
end

-- Of keys of attributes, which are few and come again.
function M.of_key(make) return remembered(TEXTS_MAX, TEXT_BYTES, make) end

-- Resources by their bytes, made by `make(keys, values)`.
function M.resources(make)
  local of_bytes = remembered(RESOURCES_MAX, RESOURCE_BYTES, function(_, index) return make(core.resource_attrs(index)) end)
  local last, number, place -- of the span before: spans of a trace share their resource
  return function(index)
    local at = core.resource_place(index)
    if place ~= at or number ~= access.reader.number then
      local bytes = core.resource_bytes(index)
      last = bytes and of_bytes(bytes, index) or make(core.resource_attrs(index))
      number, place = access.reader.number, at
    end
    return last
  end
end

-- What is read of each span in turn.
local span = {}

-- A Span of a trace that is being read, until the next one is: { name, id, trace_id, parent_id, kind, is_error, message,
-- start_time, end_time, keys (in order), attrs, events, links, resource }. What takes an attribute removes it from
-- attrs, which have room for those of the resource where it is a segment.
function M.span(proxy, resource_of)
  access.check(proxy, "span")
  local index = proxy[1]
  local kind, status
  span.name, span.id, span.trace_id, span.parent_id, kind, status, span.message, span.start_time, span.end_time = core.span_parts(index)
  span.kind, span.is_error, span.resource = KINDS[kind] or "unspecified", status == 2, resource_of(index)
  span.keys, span.attrs = core.span_attrs(index, M.is_subsegment(span) and 0 or #span.resource.keys)
  span.events, span.links, span.in_progress = core.span_events(index), core.span_links(index), nil
  return span
end

function M.is_subsegment(s) return s.kind ~= "server" and s.kind ~= "consumer" and s.parent_id ~= nil end

local last_hex, last_id

-- 1-, its first eight digits, the others. The spans of a trace come one behind the other.
function M.trace_id(hex)
  if hex ~= last_hex then
    last_hex, last_id = hex, "1-" .. hex:sub(1, 8) .. "-" .. hex:sub(9)
  end
  return last_id
end

return M
