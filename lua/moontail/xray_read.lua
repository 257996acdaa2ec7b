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
  local of_bytes = remembered(RESOURCES_MAX, RESOURCE_BYTES, function(_, span) return make(core.resource_attrs(span)) end)
  return function(span)
    local bytes = core.resource_bytes(span)
    return bytes and of_bytes(bytes, span) or make(core.resource_attrs(span))
  end
end

-- A Span of a trace that is being read: { name, id, trace_id, parent_id, kind, status, message, start_time,
-- end_time, keys (in order), attrs, events, links }.
function M.span(proxy)
  access.check(proxy, "span")
  local index = proxy[1]
  local name, id, trace_id, parent_id, kind, status, message, start_time, end_time = core.span_parts(index)
  local keys, attrs = core.span_attrs(index)
  return {
    index = index, name = name, id = id, trace_id = trace_id, parent_id = parent_id, kind = KINDS[kind] or "unspecified",
    is_error = status == 2, message = message, start_time = start_time, end_time = end_time, keys = keys, attrs = attrs,
    events = core.span_events(index), links = core.span_links(index),
  }
end

-- 1-, its first eight digits, the others.
function M.trace_id(hex) return "1-" .. hex:sub(1, 8) .. "-" .. hex:sub(9) end

return M
