-- The global `emf` of exporter scripts: metrics as log events in CloudWatch's embedded metric format.
local bytes = require "moontail.bytes"
local core = require "moontail.policy_core"
local delta = require "moontail.emf_delta"
local dims = require "moontail.emf_dims"
local env = require "moontail.env"
local values = require "moontail.emf_value"

local M = { api = {} }

local METRICS_MAX = 100 -- of a directive
local EVENT_MAX = 256 * 1024 - 26 -- bytes
local SERIES_MAX = 20000
local RESOLUTION = "aws.emf.storage_resolution"

local encode = bytes.api.json.encode
local concat, format, sort = table.concat, string.format, table.sort

-- ---- texts ----

local QUOTED_MAX, QUOTED_BYTES = 4096, 256
local quoted, quoted_count = {}, 0

-- A string in JSON; names come again and again.
local function quote(s)
  local text = quoted[s]
  if text then return text end
  text = core.json_string(s)
  if #s > QUOTED_BYTES then return text end
  if quoted_count == QUOTED_MAX then quoted, quoted_count = {}, 0 end
  quoted[s], quoted_count = text, quoted_count + 1
  return text
end

-- The shortest of these that reads back as the same number.
local function number_text(n)
  if n % 1 == 0 and n > -2 ^ 53 and n < 2 ^ 53 then return format("%.0f", n) end
  local short = format("%.15g", n)
  return tonumber(short) == n and short or format("%.17g", n)
end

-- ---- where it goes ----

-- A placeholder -> attributes of the resource, or else labels, that say it.
local PLACEHOLDERS = {
  ClusterName = { "ClusterName", "aws.ecs.cluster.name" },
  TaskId = { "TaskId", "aws.ecs.task.id" },
  NodeName = { "NodeName", "k8s.node.name" },
  PodName = { "PodName", "pod" },
  ServiceName = { "ServiceName", "service.name" },
  ContainerInstanceId = { "ContainerInstanceId", "aws.ecs.container.instance.id" },
  TaskDefinitionFamily = { "TaskDefinitionFamily", "aws.ecs.task.family" },
}

local function first_of(attributes, keys)
  for _, key in ipairs(keys) do
    if attributes[key] and attributes[key] ~= "" then return attributes[key] end
  end
end

-- The name, and whether a label may still say a part of it. labels may be nil.
local function filled(name, resource, labels)
  local is_open = false
  name = name:gsub("{(%w+)}", function(placeholder)
    local keys = PLACEHOLDERS[placeholder]
    if not keys then return nil end
    local value = first_of(resource, keys) or labels and first_of(labels, keys)
    is_open = is_open or not value
    return value or "undefined"
  end)
  return name, is_open
end

local NAMESPACE_MAX = 255

-- As CloudWatch takes it: each other character is one _.
local function valid_namespace(name)
  name = name:gsub("[\194-\244][\128-\191]+", "_"):gsub("[^%w ._#:/-]", "_"):gsub("^:", "_"):sub(1, NAMESPACE_MAX)
  return name:find "%S" and name or "default"
end

local function namespace_of(my, resource)
  if my.namespace then return my.namespace end
  local space, name = resource["service.namespace"], resource["service.name"]
  space, name = space ~= "" and space or nil, name ~= "" and name or nil
  if space and name then return space .. "/" .. name end
  return space or name or "default"
end

local function identity_of(resource)
  local list = {}
  for key, value in pairs(resource) do list[#list + 1] = key .. "\0" .. value end
  table.sort(list)
  return table.concat(list, "\1")
end

-- Of a resource: once for all its metrics. Where it is open, of the labels of a point, too.
local function place_of(my, resource, labels, identity)
  local namespace = namespace_of(my, resource)
  local group, group_open = "/metrics/" .. namespace, false
  if my.log_group_name then
    group, group_open = filled(my.log_group_name, resource, labels)
  end
  local stream, stream_open = filled(my.log_stream_name, resource, labels)
  return {
    namespace = valid_namespace(namespace),
    group = group:gsub("[^%w_/.#-]", "_"):sub(1, 512),
    stream = stream:gsub("[:*]", "_"):sub(1, 512),
    identity = identity or identity_of(resource),
    resource = resource,
    is_open = group_open or stream_open,
  }
end

-- ---- labels ----

-- Names of an event's members that are the format's own. Version 1 has a Version only where nothing else is called so.
local OWN = { ["0"] = { _aws = true, Version = true, Timestamp = true, CloudWatchMetrics = true }, ["1"] = { _aws = true } }

-- Takes the labels whose text is to be JSON, and is, which no dimension can be: their names and that JSON.
local function parsed_of(my, labels)
  local parsed = {}
  for name in pairs(my.parse_json) do
    local value = labels[name]
    local decoded = value and value:find "^%s*[{%[]" and bytes.api.json.decode(value)
    if decoded then
      parsed[name], labels[name] = encode(decoded), nil
    end
  end
  return parsed
end

-- Labels, their names in order, and a text of both; the storage resolution.
local function labels_of(my, place, metric, point)
  local labels, names, texts = point.attributes, {}, {} -- the point is read once: nobody else has its table
  if my.resource_to_telemetry then
    for key, value in pairs(place.resource) do labels[key] = value end
  end
  local resolution = labels[RESOLUTION] == "1" and 1 or 60
  labels[RESOLUTION] = nil
  if metric.scope.name ~= "" then labels[dims.scope_label] = metric.scope.name end
  for name in pairs(my.own) do labels[name] = nil end
  for name in pairs(labels) do names[#names + 1] = name end
  sort(names)
  for i = 1, #names do texts[2 * i - 1], texts[2 * i] = names[i], labels[names[i]] end
  return labels, concat(texts, "\0"), resolution
end

-- Of labels that were made here.
local function key_of(labels)
  local list = {}
  for key, value in pairs(labels) do list[#list + 1] = key .. "\0" .. value end
  sort(list)
  return concat(list, "\1")
end

-- ---- groups: what goes as one event ----

local function unit_of(my, metric)
  local unit, descriptor = metric.unit, my.descriptors[metric.name]
  if descriptor and (unit == "" or descriptor.overwrite) then unit = descriptor.unit end
  return values.unit(unit)
end

local Run = {}
Run.__index = Run

function Run:count(what, n) self.counts[what] = (self.counts[what] or 0) + (n or 1) end

-- key: of the labels.
function Run:group(place, at, labels, key, kind, parsed)
  local id = table.concat({ place.namespace, at, place.group, place.stream, kind, key }, "\2")
  local group = self.groups[id]
  if not group then
    group = { place = place, at = at, labels = labels, parsed = parsed, names = {}, metrics = {}, points = 0 }
    self.groups[id] = group
    self.order[#self.order + 1] = group
  end
  return group
end

function Run:put(group, name, metric)
  if group.metrics[name] then return self:count "duplicate" end
  group.metrics[name] = metric
  group.names[#group.names + 1] = name
end

-- Of a summary in detail: its sum, its count, and each quantile as a label.
function Run:put_detailed(place, at, labels, key, name, summary, unit, resolution, parsed)
  local group = self:group(place, at, labels, key, "summary", parsed)
  self:put(group, name .. "_sum", { value = summary.sum, unit = unit, resolution = resolution })
  self:put(group, name .. "_count", { value = summary.count, resolution = resolution })
  group.points = group.points + 1
  for _, q in ipairs(summary.quantiles) do
    if values.is_number(q.value) then
      local with = { quantile = ("%.14g"):format(q.quantile) }
      for label, value in pairs(labels) do with[label] = value end
      self:put(self:group(place, at, with, key_of(with), "quantile", parsed), name, { value = q.value, unit = unit, resolution = resolution })
    end
  end
end

local DAY_MS = 24 * 3600 * 1000

-- Whether CloudWatch takes events of that time.
function Run:is_in_time(at)
  if at < self.now_ms - 14 * DAY_MS + 60000 then
    self:count "too_old"
  elseif at > self.now_ms + DAY_MS / 12 - 60000 then
    self:count "too_new"
  else
    return true
  end
  self.refused = self.refused + 1
  return false
end

function Run:add(place, metric, point)
  local at = math.floor(point.time_ms or self.now_ms)
  if not self:is_in_time(at) then return end
  local my = self.my
  if not metric.name:find "%S" or my.own[metric.name] then
    self.refused = self.refused + 1
    return self:count "unnamed"
  end
  local labels, key, resolution = labels_of(my, place, metric, point)
  if place.is_open then place = place_of(my, place.resource, labels, place.identity) end
  if labels[""] then -- CloudWatch takes no event with such a dimension; the key has it all the same
    labels[""] = nil
    self:count "unnamed_labels"
  end
  local kind, parsed = metric.type, parsed_of(my, labels)
  if labels[metric.name] then -- the metric takes its place; other metrics have it
    labels[metric.name], kind = nil, kind .. "\1" .. metric.name
    self:count "hidden_labels"
  end
  local function see(of, value, diff, weight)
    local id = bytes.api.sha256(table.concat({ place.identity, metric.scope.name, metric.name, metric.unit, metric.type, key }, "\2")):sub(1, 16)
    -- not the whole milliseconds: a series may start in the one that its point is of
    return my.state:add(id, { at = of.time_ms or self.now_ms, start = of.start_ms, value = value, weight = weight }, diff, self.now_ms, my.retain)
  end
  local list, why = values.of(point, metric, see)
  if not list then return self:count(why) end
  local unit = unit_of(my, metric)
  if list.summary and my.detailed then return self:put_detailed(place, at, labels, key, metric.name, list.summary, unit, resolution, parsed) end
  for i, value in ipairs(list) do
    local group = self:group(place, at, labels, key, i == 1 and kind or kind .. i, parsed)
    self:put(group, metric.name, { value = value, unit = unit, resolution = resolution })
    group.points = group.points + (i == 1 and 1 or 0)
  end
end

-- ---- events ----

local function list_text(list, each)
  local texts = {}
  for i = 1, #list do texts[i] = each(list[i]) end
  return "[" .. concat(texts, ",") .. "]"
end

local function set_text(set) return list_text(set, quote) end

-- Many events have the same sets.
local function sets_text(my, sets)
  local text = my.sets_texts[sets]
  if not text then
    text = list_text(sets, set_text)
    my.sets_texts[sets] = text
  end
  return text
end

local function directive_text(my, group, directive)
  local names, metrics = directive.metrics, {}
  for i = 1, #names do
    local metric = group.metrics[names[i]]
    local unit = metric.unit and ',"Unit":"' .. metric.unit .. '"' or ""
    metrics[i] = '{"Name":' .. quote(names[i]) .. unit .. ',"StorageResolution":' .. metric.resolution .. "}"
  end
  return '{"Namespace":' .. quote(group.place.namespace) .. ',"Dimensions":' .. sets_text(my, directive.sets) .. ',"Metrics":[' .. concat(metrics, ",") .. "]}"
end

local function value_text(value)
  if type(value) == "number" then return number_text(value) end
  local text = ('"Max":%s,"Min":%s,"Count":%s,"Sum":%s}'):format(number_text(value.Max), number_text(value.Min), number_text(value.Count), number_text(value.Sum))
  if not value.Values then return "{" .. text end
  return '{"Values":' .. list_text(value.Values, number_text) .. ',"Counts":' .. list_text(value.Counts, number_text) .. "," .. text
end

-- directives: of the metrics that this event has.
local function event_text(my, group, directives)
  local names, texts, labels, parsed, metrics = {}, {}, group.labels, group.parsed, {}
  for _, directive in ipairs(directives) do
    for _, name in ipairs(directive.metrics) do
      if not metrics[name] then
        metrics[name] = true
        names[#names + 1] = name
      end
    end
  end
  for name in pairs(labels) do
    if not metrics[name] then names[#names + 1] = name end
  end
  for name in pairs(parsed) do
    if not metrics[name] then names[#names + 1] = name end
  end
  sort(names)
  for i = 1, #names do
    local name = names[i]
    texts[i] = quote(name) .. ":" .. (metrics[name] and value_text(group.metrics[name].value) or parsed[name] or quote(labels[name]))
  end
  for i, directive in ipairs(directives) do directives[i].text = directive_text(my, group, directive) end
  local list = list_text(directives, function(d) return d.text end)
  local has_version = metrics.Version or labels.Version or parsed.Version
  local head = my.version == "0" and '{"Version":"0","CloudWatchMetrics":' .. list .. ',"Timestamp":"' .. format("%.0f", group.at) .. '"'
    or (has_version and "{" or '{"Version":"1",') .. '"_aws":{"Timestamp":' .. format("%.0f", group.at) .. ',"CloudWatchMetrics":' .. list .. "}"
  return head .. (#names > 0 and "," or "") .. concat(texts, ",") .. "}"
end

-- At most METRICS_MAX metrics together, from directive to directive.
local function slices(directives)
  local list, now, room = {}, {}, METRICS_MAX
  for _, d in ipairs(directives) do
    for from = 1, #d.metrics, METRICS_MAX do
      local part = { metrics = {}, sets = d.sets }
      for i = from, math.min(from + METRICS_MAX - 1, #d.metrics) do part.metrics[#part.metrics + 1] = d.metrics[i] end
      if #part.metrics > room then list[#list + 1], now, room = now, {}, METRICS_MAX end
      now[#now + 1], room = part, room - #part.metrics
    end
  end
  if #now > 0 then list[#list + 1] = now end
  return list
end

local function halves(directives)
  local names, list = {}, { {}, {} }
  for _, d in ipairs(directives) do
    for _, name in ipairs(d.metrics) do names[#names + 1] = { d, name } end
  end
  if #names < 2 then return nil end
  for i, pair in ipairs(names) do
    local half = list[i <= #names / 2 and 1 or 2]
    local last = half[#half]
    if not last or last.of ~= pair[1] then
      last = { metrics = {}, sets = pair[1].sets, of = pair[1] }
      half[#half + 1] = last
    end
    table.insert(last.metrics, pair[2])
  end
  return list
end

-- Where it is too large it is split; what is too large alone is dropped. points are those of the first event.
function Run:emit(group, directives, points)
  local text = event_text(self.my, group, directives)
  if #text <= EVENT_MAX then
    local place = group.place
    local id = place.group .. "\0" .. place.stream
    local stream = self.streams[id]
    if not stream then
      stream = { group = place.group, stream = place.stream, events = {} }
      self.streams[id] = stream
      self.list[#self.list + 1] = stream
    end
    stream.events[#stream.events + 1] = { at = group.at, message = text, points = points }
    return
  end
  local parts = halves(directives)
  if not parts then
    self:count "too_large"
    self.refused = self.refused + points
    return
  end
  self:emit(group, parts[1], points)
  self:emit(group, parts[2], 0)
end

function Run:count_undeclared(group, directives)
  local left, undeclared = {}, 0
  for _, d in ipairs(directives) do
    for _, name in ipairs(d.metrics) do left[name] = true end
  end
  for _, name in ipairs(group.names) do undeclared = undeclared + (left[name] and 0 or 1) end
  if undeclared > 0 then self:count("undeclared", undeclared) end
end

function Run:finish(group)
  sort(group.names)
  local directives = dims.directives(self.my, group.labels, group.names)
  if self.my.declarations then self:count_undeclared(group, directives) end
  if #directives == 0 then return end
  if #group.names <= METRICS_MAX and not self.my.declarations then return self:emit(group, directives, group.points) end
  for i, part in ipairs(slices(directives)) do self:emit(group, part, i == 1 and group.points or 0) end
end

-- ---- the mapping ----

local Mapping = {}
Mapping.__index = Mapping

-- The log events of a batch: a list of { group, stream, events = { { at, message, points } } }, events in the
-- order of time; how many data points can't go; and what was counted.
function Mapping:events(batch)
  local run = setmetatable({
    my = self.my, now_ms = batch.now_ms, groups = {}, order = {}, streams = {}, list = {}, counts = {}, refused = 0,
  }, Run)
  local resource, place
  for _, metric in batch:metrics "text" do
    if metric.resource ~= resource then
      resource, place = metric.resource, place_of(self.my, metric.resource)
    end
    for _, point in metric:points() do run:add(place, metric, point) end
  end
  for _, group in ipairs(run.order) do run:finish(group) end
  for _, stream in ipairs(run.list) do
    for i, event in ipairs(stream.events) do event.order = i end
    table.sort(stream.events, function(a, b) return a.at ~= b.at and a.at < b.at or a.at == b.at and a.order < b.order end)
  end
  return run.list, run.refused, run.counts
end

local DESCRIPTOR = { metric_name = true, unit = true, overwrite = true }

local function descriptors_of(list)
  local made = {}
  for _, d in ipairs(list or {}) do
    for key in pairs(d) do
      if not DESCRIPTOR[key] then error("a metric_descriptor has no '" .. tostring(key) .. "'" .. env.hint(key, DESCRIPTOR), 0) end
    end
    if type(d.metric_name) ~= "string" or not values.unit(d.unit) then error("a metric_descriptor needs metric_name and a unit of CloudWatch's, such as Count", 0) end
    made[d.metric_name] = d
  end
  return made
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list or {}) do set[name] = true end
  return set
end

-- Another one for each process, as several may write to one group.
local function stream_name(o)
  if o.log_stream_name and o.log_stream_name ~= "" then return o.log_stream_name end
  local id = bytes.api.hex(bytes.api.sha256(tostring(o) .. tostring({}) .. os.time() .. os.clock())):sub(1, 32)
  return "otel-stream-" .. id:gsub("^(........)(....)(....)(....)", "%1-%2-%3-%4-")
end

local OPTIONS = {
  namespace = true, log_group_name = true, log_stream_name = true, dimension_rollup_option = true, metric_declarations = true,
  metric_descriptors = true, resource_to_telemetry_conversion = true, retain_initial_value_of_delta_metric = true,
  parse_json_encoded_attr_values = true, version = true, detailed_metrics = true,
}

local function mapping(o)
  if type(o) ~= "table" then error("emf.mapping takes a table", 0) end
  for key in pairs(o) do
    if not OPTIONS[key] then error("emf.mapping has no '" .. tostring(key) .. "'" .. env.hint(key, OPTIONS), 0) end
  end
  return setmetatable({ my = {
    namespace = o.namespace ~= "" and o.namespace or nil,
    log_group_name = o.log_group_name ~= "" and o.log_group_name or nil,
    log_stream_name = stream_name(o),
    rollup = o.dimension_rollup_option or dims.rollups[1],
    declarations = dims.declarations(o.metric_declarations),
    descriptors = descriptors_of(o.metric_descriptors),
    resource_to_telemetry = o.resource_to_telemetry_conversion,
    retain = o.retain_initial_value_of_delta_metric,
    parse_json = set_of(o.parse_json_encoded_attr_values),
    version = o.version or "1",
    own = OWN[o.version or "1"],
    detailed = o.detailed_metrics,
    state = delta.new(SERIES_MAX),
    sets_texts = setmetatable({}, { __mode = "k" }), plain_sets = {}, plain_count = 0,
  } }, Mapping)
end

function M.api.mapping(o)
  local ok, result = pcall(mapping, o)
  if not ok then error(result, 2) end
  return setmetatable({}, { __index = { events = function(_, batch) return result:events(batch) end }, __metatable = false })
end

M.methods = { "events" }

return M
