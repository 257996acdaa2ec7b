-- A span as the mapping to X-Ray reads it: all attributes at once, and what is the same for all spans of
-- a resource only once.
local access = require "moontail.access"
local core = require "moontail.policy_core"

local M = {}

local KINDS = { [0] = "unspecified", "internal", "server", "client", "producer", "consumer" }
local RESOURCES_MAX = 256

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

-- Resources by their bytes, made by `make(keys, values)`.
function M.resources(make)
  local known, count = {}, 0
  return function(span)
    local bytes = core.resource_bytes(span)
    if not bytes then return make(core.resource_attrs(span)) end
    local resource = known[bytes]
    if resource then return resource end
    if count == RESOURCES_MAX then
      known, count = {}, 0
    end
    resource = make(core.resource_attrs(span))
    known[bytes], count = resource, count + 1
    return resource
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
