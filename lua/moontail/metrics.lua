-- What exporters see of metrics: batch:metrics(). C reads the bytes; what it gives are plain tables.
local core = require "moontail.policy_core"
local env = require "moontail.env"

local open, next_metric, next_point = core.metrics_open, core.metrics_next, core.metrics_point
local resource_of, scope_of = core.metrics_resource, core.metrics_scope

local M = {}

local METRIC = { "name", "description", "unit", "type", "temporality", "monotonic", "resource", "scope", "points" }
local POINT = {
  "attributes", "start_ms", "time_ms", "no_value", "value", "count", "sum", "min", "max", "bounds", "counts", "scale",
  "zero_count", "zero_threshold", "positive", "negative", "quantiles", "exemplars",
}

-- For the test that holds them and the table of the API together.
M.metric_fields, M.point_fields = METRIC, POINT

-- A metatable whose tables may lack these fields, and have no others.
local function class(what, fields, methods)
  local known = {}
  for _, name in ipairs(fields) do known[name] = true end
  return {
    __index = function(_, key)
      if methods[key] then return methods[key] end
      if known[key] then return nil end
      error("a " .. what .. " has no '" .. tostring(key) .. "'" .. env.hint(key, fields), 2)
    end,
    __metatable = false,
  }
end

local places = setmetatable({}, { __mode = "k" }) -- metric -> where its points are read

local Metric, Point = {}, class("point", POINT, {})

function Metric:points()
  local place = places[self]
  if not place then error("metric:points() was called before: keep what it gave", 2) end
  places[self] = nil
  local number = 0
  return function()
    local point = next_point(place)
    if point == nil then return nil end
    number = number + 1
    return number, setmetatable(point, Point)
  end
end

local metric_meta = class("metric", METRIC, Metric)

local HOW = { value = false, text = true }

-- for _, metric in each(body) do
function M.each(body, how)
  local as_text = HOW[how or "value"]
  if as_text == nil then error('attributes are "value" or "text", not ' .. tostring(how), 3) end
  local walk, number = open(body, as_text), 0
  local resource, scope
  return function()
    local name, description, unit, kind, temporality, monotonic, points, other_resource, other_scope = next_metric(walk)
    if name == nil then return nil end
    if other_resource then resource = resource_of(walk) end
    if other_scope then
      local scope_name, version, attributes = scope_of(walk)
      scope = { name = scope_name, version = version, attributes = attributes }
    end
    number = number + 1
    local metric = setmetatable({
      name = name, description = description, unit = unit, type = kind, temporality = temporality,
      monotonic = monotonic, resource = resource, scope = scope,
    }, metric_meta)
    places[metric] = points
    return number, metric
  end
end

return M
