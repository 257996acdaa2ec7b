-- The collector's connectors: span metrics and the service graph are parts of the configuration here.
local lua_text = require "moontail.lua_text"
local report = require "moontail.import_report"

local M = {}

local map = lua_text.map

local TEMPORALITY = { AGGREGATION_TEMPORALITY_CUMULATIVE = "cumulative", AGGREGATION_TEMPORALITY_DELTA = "delta" }

local function temporality_of(s)
  local given = s:string "aggregation_temporality"
  return given and (TEMPORALITY[given] or s:wrong("aggregation_temporality", "cumulative or delta"))
end

local function buckets_of(s, key)
  local list = s:list(key)
  for i, bound in ipairs(list or {}) do
    list[i] = report.duration(bound)
    if not list[i] then return s:wrong(key, "a list of durations that moontail can keep") end
  end
  return list
end

-- The names of a list of { name =, default = }.
local function dimensions_of(s)
  local names = {}
  for _, dimension in ipairs(s:sections "dimensions") do
    names[#names + 1] = dimension:string "name"
    dimension:ignore("default", "a span without it has a series without it")
    dimension:done()
  end
  return #names > 0 and names or nil
end

-- What `read` makes of the section `key`; nil where that is absent.
local function part(s, key, read)
  if not s:has(key) then return nil end
  local inner = s:section(key)
  local result = map(read(inner))
  inner:done()
  return result
end

local function explicit_of(s) return { { "buckets", buckets_of(s, "buckets") } } end
local function exponential_of(s) return { { "max_size", s:number "max_size" } } end

local function histogram_of(s)
  if s:boolean "disable" then s:add("not mapped", "disable", "durations are counted beside calls, always") end
  return {
    { "unit", s:string "unit" },
    { "explicit", part(s, "explicit", explicit_of) },
    { "exponential", part(s, "exponential", exponential_of) },
  }
end

local function exemplars_of(s)
  s:ignore("max_per_data_point", "a series names one trace")
  return { { "enabled", s:boolean "enabled" } }
end

local types = {}

function types.spanmetrics(s, config)
  local limit = s:number "aggregation_cardinality_limit"
  config.span_metrics = map {
    { "namespace", s:string "namespace" },
    { "dimensions", dimensions_of(s) },
    { "histogram", part(s, "histogram", histogram_of) },
    { "max_series", limit ~= 0 and limit or nil },
    { "aggregation_temporality", temporality_of(s) },
    { "metrics_flush_interval", s:duration "metrics_flush_interval" },
    { "exemplars", part(s, "exemplars", exemplars_of) },
  }
  s:ignore_all {
    dimensions_cache_size = "max_series bounds the series",
    resource_metrics_cache_size = "max_series bounds the series",
    metrics_expiration = "a series stays; max_series bounds them",
  }
  return "span_metrics: all spans that come in, before any sampling"
end

local NO_STORE = "the whole trace is at hand: no half of a request has to wait"

function types.servicegraph(s, config)
  config.service_graph = map {
    { "dimensions", s:list "dimensions" },
    { "latency_histogram_buckets", buckets_of(s, "latency_histogram_buckets") },
    { "exponential_histogram_max_size", s:number "exponential_histogram_max_size" },
    { "virtual_node_peer_attributes", s:list "virtual_node_peer_attributes" },
    { "database_name_attributes", s:list "database_name_attributes" },
    { "aggregation_temporality", temporality_of(s) },
    { "metrics_flush_interval", s:duration "metrics_flush_interval" },
  }
  s:ignore_all { store = NO_STORE, cache_loop = NO_STORE, store_expiration_loop = NO_STORE }
  return "service_graph: all traces that are decided, whatever the verdict"
end

local function read_one(id, given, config, taken)
  local kind = report.type_of(id)
  if kind == "forward" then
    given:add("different", id, "the pipelines of a signal are one")
  elseif not types[kind] then
    given:add("not mapped", id, "there is no such connector here")
  elseif taken[kind] then
    given:add("not mapped", id, "a second one; the options of the first serve all")
  else
    taken[kind] = true
    local s = given:section(id)
    given:add("mapped", id, types[kind](s, config))
    s:done()
  end
end

-- Those of the connectors that `ids`, the exporters of pipelines, name: { span_metrics =, service_graph = }.
function M.read(doc, ids, notes)
  local given, config, taken = report.section(notes, doc.connectors, "connectors"), {}, {}
  for _, id in ipairs(ids) do
    if given:has(id) then read_one(id, given, config, taken) end
  end
  return config
end

return M
