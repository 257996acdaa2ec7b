-- For the specs of processors: metrics and logs from tables, as OTLP/JSON, and back.
--
-- A log record: body, severity ("info", or a number), severity_text, event_name, attr, trace_id, span_id,
-- time_ms. A metric: name, description, unit, type ("gauge", "sum", "histogram", "exponential_histogram",
-- "summary"), temporality, monotonic, points = { { attr, value | count, sum, bounds, counts, ..., time_ms,
-- start_ms } }; further fields of a point go as they are, by the names of OTLP/JSON. Around a list: resource,
-- scope = name.
local M = {}

local SEVERITIES = { trace = 1, debug = 5, info = 9, warn = 13, error = 17, fatal = 21 }
local TEMPORALITIES = { delta = 1, cumulative = 2 }
local DATA = { gauge = "gauge", sum = "sum", histogram = "histogram", exponential_histogram = "exponentialHistogram", summary = "summary" }
local TIME_MS = 1700000000000

-- ---- values ----

local function any(v)
  if type(v) == "string" then return { stringValue = v } end
  if type(v) == "boolean" then return { boolValue = v } end
  if type(v) == "number" then return v % 1 == 0 and { intValue = ("%d"):format(v) } or { doubleValue = v } end
  local list = {}
  if #v > 0 then
    for i, one in ipairs(v) do list[i] = any(one) end
    return { arrayValue = { values = list } }
  end
  return { kvlistValue = { values = M.pairs_of(v) } }
end

function M.pairs_of(map)
  local keys, list = {}, {}
  for key in pairs(map or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do list[i] = { key = key, value = any(map[key]) } end
  return #list > 0 and list or nil
end

local map_of

local function plain(v)
  if v.intValue then return tonumber(v.intValue) end
  if v.kvlistValue then return map_of(v.kvlistValue.values) end
  if v.arrayValue then
    local list = {}
    for i, one in ipairs(v.arrayValue.values or {}) do list[i] = plain(one) end
    return list
  end
  if v.boolValue ~= nil then return v.boolValue end
  return v.stringValue or v.doubleValue
end

function map_of(list)
  local map = {}
  for _, pair in ipairs(list or {}) do map[pair.key] = plain(pair.value) end
  return map
end

local function nanos(ms) return ("%.0f000000"):format(ms) end

-- ---- logs ----

local function record(r)
  local severity = r.severity
  return {
    timeUnixNano = nanos(r.time_ms or TIME_MS),
    severityNumber = SEVERITIES[severity] or severity,
    severityText = r.severity_text,
    eventName = r.event_name,
    traceId = r.trace_id,
    spanId = r.span_id,
    body = r.body ~= nil and any(r.body) or nil,
    attributes = M.pairs_of(r.attr),
  }
end

local function plain_record(r)
  local left = { body = r.body and plain(r.body), severity_text = r.severityText, event_name = r.eventName, trace_id = r.traceId }
  for name, number in pairs(SEVERITIES) do
    if number == r.severityNumber then left.severity = name end
  end
  left.severity = left.severity or r.severityNumber
  left.attr = map_of(r.attributes)
  return left
end

-- ---- metrics ----

local OF_POINT = { attr = true, value = true, time_ms = true, start_ms = true, bounds = true, counts = true }

local function point(p)
  local made = {
    timeUnixNano = nanos(p.time_ms or TIME_MS),
    startTimeUnixNano = p.start_ms and nanos(p.start_ms),
    asDouble = p.value,
    explicitBounds = p.bounds,
    bucketCounts = p.counts,
    attributes = M.pairs_of(p.attr),
  }
  for key, value in pairs(p) do
    if not OF_POINT[key] then made[key] = value end
  end
  return made
end

local function metric(m)
  local points = {}
  for i, p in ipairs(m.points or {}) do points[i] = point(p) end
  local data = { dataPoints = points }
  if m.type ~= "gauge" and m.type ~= "summary" and m.type then data.aggregationTemporality = TEMPORALITIES[m.temporality or "cumulative"] end
  if m.type == "sum" then data.isMonotonic = m.monotonic ~= false end
  return { name = m.name, description = m.description, unit = m.unit, [DATA[m.type or "gauge"]] = data }
end

local function plain_metric(m)
  local left = { name = m.name, description = m.description, unit = m.unit, points = {} }
  for type_, key in pairs(DATA) do
    if m[key] then
      left.type = type_
      for i, p in ipairs(m[key].dataPoints or {}) do
        left.points[i] = { attr = map_of(p.attributes), value = p.asDouble, count = tonumber(p.count), sum = p.sum }
      end
    end
  end
  return left
end

-- ---- bodies ----

local SHAPES = {
  logs = { "resourceLogs", "scopeLogs", "logRecords", record, plain_record },
  metrics = { "resourceMetrics", "scopeMetrics", "metrics", metric, plain_metric },
}

-- A list as the document of OTLP/JSON.
function M.document(signal, list)
  local shape, items = SHAPES[signal], {}
  for i, one in ipairs(list) do items[i] = shape[4](one) end
  local scope = { scope = list.scope and { name = list.scope } or nil, [shape[3]] = items }
  return { [shape[1]] = { { resource = { attributes = M.pairs_of(list.resource) }, [shape[2]] = { scope } } } }
end

-- The document as one list; `resource` is that of the last.
function M.list(signal, document)
  local shape, list = SHAPES[signal], {}
  for _, resource in ipairs(document[shape[1]] or {}) do
    list.resource = map_of((resource.resource or {}).attributes)
    for _, scope in ipairs(resource[shape[2]] or {}) do
      list.scope = (scope.scope or {}).name
      for _, one in ipairs(scope[shape[3]] or {}) do list[#list + 1] = shape[5](one) end
    end
  end
  return list
end

return M
