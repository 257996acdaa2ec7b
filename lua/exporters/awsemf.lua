-- Metrics to CloudWatch, as log events in its embedded metric format.
--
--     exporter "awsemf" { region = "eu-west-1", namespace = "shop", log_group_name = "/metrics/{ServiceName}" }
--
-- With dimensions that are chosen, and nothing else:
--
--     exporter "awsemf" {
--       namespace = "shop",
--       dimension_rollup_option = "NoDimensionRollup",
--       metric_declarations = {
--         { dimensions = { { "route", "status" }, { "route" } }, metric_name_selectors = { "^http\\." },
--           label_matchers = { { label_names = { "env" }, regex = "^prod$" } } },
--       },
--     }
--
-- Each event as a line of standard output, for an agent that takes logs from there (nothing is signed):
--
--     exporter "awsemf" { namespace = "shop", output_destination = "stdout" }
--
-- Log groups and streams that are not there are made. Sums, histograms and summaries that are counted since the
-- start of a program are sent as what was added since the last point: the first one is where it begins.
--
-- It counts in `moontail_export_script_total{exporter, what}`: `events` that went out; `baseline`, first points that
-- say nothing yet; `out_of_order`; `duplicate` metrics of one event; `not_a_number`, `no_value` and `empty` points;
-- `undeclared` metrics; `too_old`, `too_new`, `too_large` and `unnamed` ones (or `_aws`), which are given up;
-- `unnamed_labels`, which are left out, as are `hidden_labels`, those that are called as their metric; `created` groups and
-- streams; `throttled`.
-- [exporters.md](../exporters.md#cloudwatch-metrics) says how metrics are mapped.

local BODY_MAX, EVENTS_MAX = 1048576, 10000 -- of a request
local PER_EVENT = 26 -- bytes that count for each event
local DAY_MS = 24 * 3600 * 1000
local SENDS_MAX = 8 -- requests that replies send in a row

local REFUSED = "CloudWatch takes no events of that time, size or name"

local ROLLUPS = { "ZeroAndSingleDimensionRollup", "SingleDimensionRollupOnly", "NoDimensionRollup" }

-- ---- requests ----

local function call(my, action, body, tag)
  return {
    url = my.endpoint .. "/",
    headers = { ["content-type"] = "application/x-amz-json-1.1", ["x-amz-target"] = "Logs_20140328." .. action },
    body = body,
    sigv4 = my.sigv4,
    no_verify_ssl = my.no_verify_ssl,
    proxy_address = my.proxy_address,
    tag = tag,
  }
end

local function put(my, tag) return call(my, "PutLogEvents", tag.body, tag) end

-- points: of each event, so that what is refused can be counted.
local function new_part(stream) return { stream = stream, events = {}, points = {}, bytes = 0 } end

local function finished(part, sends)
  local s = part.stream
  local body = ('{"logGroupName":%s,"logStreamName":%s,"logEvents":['):format(json.encode(s.group), json.encode(s.stream))
  count("events", #part.events)
  return {
    stage = "put", group = s.group, stream = s.stream, points = part.points, refused = 0, sends = sends,
    body = body .. table.concat(part.events, ",") .. "]}",
  }
end

-- The events of a stream, in the order of time, as bodies that CloudWatch takes.
local function add_parts(tags, stream, sends)
  local part, first = new_part(stream), stream.events[1].at
  for _, event in ipairs(stream.events) do
    local size = #event.message + PER_EVENT
    if #part.events == EVENTS_MAX or part.bytes + size > BODY_MAX or event.at - first >= DAY_MS then
      tags[#tags + 1] = finished(part, sends)
      part, first = new_part(stream), event.at
    end
    part.events[#part.events + 1] = ('{"timestamp":%.0f,"message":%s}'):format(event.at, json.encode(event.message))
    part.points[#part.points + 1] = event.points
    part.bytes = part.bytes + size
  end
  tags[#tags + 1] = finished(part, sends)
end

-- ---- lines of standard output ----

-- One request for all of a batch.
local function lines_of(streams, refused)
  local lines = {}
  for _, stream in ipairs(streams) do
    for _, event in ipairs(stream.events) do lines[#lines + 1] = event.message end
  end
  if #lines == 0 then return nil end
  count("events", #lines)
  lines[#lines + 1] = ""
  return { url = "stdout:", body = table.concat(lines, "\n"), tag = { stage = "stdout", refused = refused } }
end

-- ---- what is not there ----

-- Each stage is a request; where it is done the next one follows: group, retention, stream, put.
local stages = {}

function stages.group(my, tag)
  return call(my, "CreateLogGroup", json.encode { logGroupName = tag.group, tags = my.tags }, tag)
end

function stages.retention(my, tag)
  return call(my, "PutRetentionPolicy", json.encode { logGroupName = tag.group, retentionInDays = my.retention }, tag)
end

function stages.stream(my, tag)
  return call(my, "CreateLogStream", json.encode { logGroupName = tag.group, logStreamName = tag.stream }, tag)
end

stages.put = put

-- So many requests may follow each other at once; more after a pause.
local function go_to(my, tag, stage)
  tag.stage = stage
  tag.sends.count = tag.sends.count + 1
  if tag.sends.count < SENDS_MAX then return send(stages[stage](my, tag)) end
  tag.sends.count = 0
  return retry(0.1, stages[stage](my, tag))
end

-- ---- replies ----

local function points_between(tag, from, to)
  local points = 0
  for i = math.max(from, 1), math.min(to, #tag.points) do points = points + tag.points[i] end
  return points
end

-- The first and last indexes of what CloudWatch left out; they count from 0.
local function rejected(info, tag)
  local new = tonumber(info.tooNewLogEventStartIndex)
  local old = math.max(tonumber(info.tooOldLogEventEndIndex) or 0, tonumber(info.expiredLogEventEndIndex) or 0)
  local too_new = new and points_between(tag, new + 1, #tag.points) or 0
  local too_old = points_between(tag, 1, old)
  if too_new > 0 then count("too_new", too_new) end
  if too_old > 0 then count("too_old", too_old) end
  return too_new + too_old
end

local function taken(r, tag)
  local body = r.body ~= "" and json.decode(r.body) or nil
  local info = type(body) == "table" and body.rejectedLogEventsInfo
  local refused = tag.refused
  if type(info) == "table" then refused = refused + rejected(info, tag) end
  return refused > 0 and ok(refused, REFUSED) or ok()
end

local NEXT = { retention = "stream", stream = "put" }

local function after(my, tag)
  if tag.stage == "group" then return my.retention and "retention" or "stream" end
  return NEXT[tag.stage]
end

local function failed(my, tag, code)
  if code == "ResourceNotFoundException" and tag.stage == "put" then return go_to(my, tag, "stream") end
  if code == "ResourceNotFoundException" and tag.stage == "stream" then return go_to(my, tag, "group") end
  if code == "ResourceAlreadyExistsException" and tag.stage ~= "put" then return go_to(my, tag, after(my, tag)) end
  if code == "DataAlreadyAcceptedException" then return ok() end
  if code == "InvalidSequenceTokenException" then return retry() end
end

local function reply_of(r, tag, my)
  if tag.stage == "stdout" then return tag.refused > 0 and ok(tag.refused, REFUSED) or ok() end
  if r.status >= 200 and r.status <= 299 then
    if tag.stage == "put" then return taken(r, tag) end
    if tag.stage ~= "retention" then count "created" end
    return go_to(my, tag, after(my, tag))
  end
  local code = r.status == 400 and aws.error_code(r) or ""
  local answer = failed(my, tag, code)
  if answer then return answer end
  if r.status == 400 and aws.is_throttling(code) then
    count "throttled"
    return retry()
  end
  if r.status == 401 or r.status == 403 or r.status == 408 or r.status == 429 or r.status >= 500 then return nil end
  return reject(("HTTP status %d, %s"):format(r.status, code))
end

-- ----

local RETENTIONS = { 0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653 }

-- As CreateLogGroup takes them; nil: none.
local function tags_of(opt)
  local tags
  for name, value in pairs(opt.tags or {}) do
    if type(value) ~= "string" or #value > 256 or #name > 128 then error("tags." .. name .. " is a text of at most 256 characters", 0) end
    tags = tags or {}
    tags[name] = value
  end
  return tags
end

return exporter {
  doc = "Sends metrics to CloudWatch, as log events in its embedded metric format (EMF).",
  signals = { "metrics" },
  options = {
    region = option.string { optional = true, doc = "such as eu-west-1; else as AWS SDKs find it: environment, profile, the machine" },
    endpoint = option.url { optional = true, doc = "instead of CloudWatch Logs' of the region: https://..." },
    role_arn = option.string { optional = true, doc = "the role to take on for it" },
    external_id = option.string { optional = true, doc = "what that role's trust policy asks for as sts:ExternalId" },
    namespace = option.string { optional = true, doc = "of CloudWatch; else service.namespace/service.name, else either, else default" },
    log_group_name = option.string { optional = true, doc = "may have {ClusterName}, {TaskId}, {NodeName}, {PodName}, {ServiceName}, {ContainerInstanceId}, {TaskDefinitionFamily}, of the resource or else of labels; else /metrics/NAMESPACE" },
    log_stream_name = option.string { optional = true, doc = "likewise; else one for each run: otel-stream-UUID" },
    log_retention = option.integer { default = 0, one_of = RETENTIONS, doc = "days, for log groups that it makes; 0: for ever" },
    tags = option.map { optional = true, doc = "of log groups that it makes" },
    dimension_rollup_option = option.string { default = ROLLUPS[1], one_of = ROLLUPS, doc = "which sets of labels are dimensions, beside all of them" },
    metric_declarations = option.tables { optional = true, doc = "{ dimensions = { { ... } }, metric_name_selectors = { regex }, label_matchers = { { label_names, separator, regex } } }: only metrics that one of them takes, with these dimensions" },
    metric_descriptors = option.tables { optional = true, doc = "{ metric_name, unit, overwrite }: units of CloudWatch for metrics that have none, or instead of theirs" },
    resource_to_telemetry_conversion = option.map { optional = true, doc = "{ enabled = true }: attributes of the resource are labels too" },
    retain_initial_value_of_delta_metric = option.boolean { default = false, doc = "the first point of a series that is counted since a start is sent as it is" },
    parse_json_encoded_attr_values = option.list { default = {}, doc = "labels whose text is JSON that is to be JSON in the event" },
    detailed_metrics = option.boolean { default = false, doc = "summaries as their sum, count and quantiles" },
    output_destination = option.string { default = "cloudwatch", one_of = { "cloudwatch", "stdout" }, doc = "stdout: each event is a line of standard output, and nothing is sent" },
    version = option.string { default = "1", one_of = { "0", "1" }, doc = "of the format" },
    no_verify_ssl = option.boolean { default = false, doc = "takes any certificate" },
    proxy_address = option.url { optional = true, doc = "http://HOST:PORT; else as HTTPS_PROXY and NO_PROXY say" },
    num_workers = option.integer { default = 0, doc = "for configurations of the collector; as many requests are on the way as the endpoint bears" },
    max_retries = option.integer { default = 0, doc = "for configurations of the collector; retry.max_elapsed says how long is tried" },
  },
  batch = { max_spans = 200, max_bytes = "1MiB", timeout = "5s" },
  setup = function(opt)
    if opt.external_id and not opt.role_arn then error("external_id is for role_arn, which is not given", 0) end
    return {
      to_stdout = opt.output_destination == "stdout",
      endpoint = opt.endpoint and (opt.endpoint:gsub("/+$", "")) or "https://logs.{region}.amazonaws.com",
      sigv4 = { service = "logs", region = opt.region, role_arn = opt.role_arn, external_id = opt.external_id },
      no_verify_ssl = opt.no_verify_ssl or nil,
      proxy_address = opt.proxy_address,
      retention = opt.log_retention > 0 and opt.log_retention or nil,
      tags = tags_of(opt),
      mapping = emf.mapping {
        namespace = opt.namespace, log_group_name = opt.log_group_name, log_stream_name = opt.log_stream_name,
        dimension_rollup_option = opt.dimension_rollup_option, metric_declarations = opt.metric_declarations,
        metric_descriptors = opt.metric_descriptors,
        resource_to_telemetry_conversion = opt.resource_to_telemetry_conversion ~= nil and opt.resource_to_telemetry_conversion.enabled == true,
        retain_initial_value_of_delta_metric = opt.retain_initial_value_of_delta_metric,
        parse_json_encoded_attr_values = opt.parse_json_encoded_attr_values,
        version = opt.version, detailed_metrics = opt.detailed_metrics,
      },
    }
  end,
  encode = function(batch, _, my)
    local streams, refused, counts = my.mapping:events(batch)
    for what, n in pairs(counts) do count(what, n) end
    if #streams == 0 and refused > 0 then return ok(refused, REFUSED) end
    if my.to_stdout then return lines_of(streams, refused) end
    local tags, requests, sends = {}, {}, { count = 0 }
    for _, stream in ipairs(streams) do add_parts(tags, stream, sends) end
    if tags[1] then tags[1].refused = refused end
    for i, tag in ipairs(tags) do requests[i] = put(my, tag) end
    return #requests > 0 and requests or nil
  end,
  reply = function(r, request, _, my) return reply_of(r, request.tag, my) end,
}
