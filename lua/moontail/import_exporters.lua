-- The collector's exporters as ours.
local lua_text = require "moontail.lua_text"
local report = require "moontail.import_report"

local M = {}

local map = lua_text.map

-- Two of theirs can be one type here: the second takes its whole id as instance.
local function name_of(type_, id, taken)
  local name = report.name_of(type_, id)
  if taken[name] then name = type_ .. "/" .. report.safe(id) end
  taken[name] = true
  return name
end

-- ---- what every exporter has ----

local function retry_of(s)
  if not s:has "retry_on_failure" then return nil end
  local retry = s:section "retry_on_failure"
  local enabled = retry:boolean "enabled"
  local elapsed = retry:duration "max_elapsed_time"
  if enabled == false then
    retry:add("different", "enabled", "without repeats: max_elapsed is 0s")
    elapsed = "0s"
  elseif elapsed == "0s" then
    retry:add("different", "max_elapsed_time", "0 is without end there; here 100d, and only time in which the endpoint answers counts")
    elapsed = "100d"
  end
  for _, key in ipairs { "randomization_factor", "multiplier" } do retry:ignore(key, "waits double, with half of jitter") end
  local result = map {
    { "initial_interval", retry:duration "initial_interval" },
    { "max_interval", retry:duration "max_interval" },
    { "max_elapsed", elapsed },
  }
  retry:done()
  return result
end

local OF_A_QUEUE = {
  enabled = "the queue is the journal, and always there",
  num_consumers = "moontail keeps as many requests on the way as the endpoint bears",
  storage = "every queue is in the journal",
  sizer = "queue.max_size counts bytes",
  queue_size = "counts requests there; queue.max_size counts bytes: 256MiB where nothing is said",
  wait_for_result = "an acknowledgement means that the journal has it",
}

-- What a queue says of batches, in place of the batch processor.
local function batch_of(queue)
  if not queue:has "batch" then return nil end
  local batch = queue:section "batch"
  local sizer = batch:string "sizer" or queue:string "sizer"
  local least, most = batch:unless_zero "min_size", batch:unless_zero "max_size"
  batch:ignore("partition", "batches do not depend on who sent")
  if sizer == "requests" then batch:add("different", "sizer", "batches are of spans here, data points or log records") end
  local size = sizer ~= "requests" and (most or least) or nil
  local result = map { { sizer == "bytes" and "max_bytes" or "max_spans", size }, { "timeout", batch:duration "flush_timeout" } }
  batch:done()
  return result
end

-- The queue, or nil, and its batch.
local function queue_of(s)
  if not s:has "sending_queue" then return nil end
  local queue, on_full = s:section "sending_queue", nil
  local batch = batch_of(queue)
  queue:ignore_all(OF_A_QUEUE)
  if queue:boolean "block_on_overflow" == true then on_full = "refuse" end
  queue:done()
  return on_full and map { { "on_full", on_full } }, batch
end

-- Nothing is without a bound here.
local function timeout_of(s)
  local timeout = s:duration "timeout"
  if timeout ~= "0s" then return timeout end
  s:add("different", "timeout", "0 is none there; here an hour, the longest")
  return "1h"
end

-- batch: the batch processor's; false where the exporter has its own.
local function common(s, batch, result)
  local queue, own = queue_of(s)
  table.insert(result, { "batch", batch ~= false and (own or batch) or nil })
  table.insert(result, { "queue", queue })
  table.insert(result, { "timeout", timeout_of(s) })
  table.insert(result, { "retry", retry_of(s) })
  return result
end

local SECRET = { "auth", "token", "key", "secret", "cookie", "password", "dsn", "honeycomb-team" }

local function header_value(name, value)
  for _, word in ipairs(SECRET) do
    if value and name:lower():find(word, 1, true) then return lua_text.call("secret", value) end
  end
  return value
end

local function headers_of(s)
  if not s:has "headers" then return nil end
  local headers, result = s:section "headers", map {}
  for _, name in ipairs(report.keys(headers.map)) do table.insert(result, { name, header_value(name, headers:string(name)) }) end
  return result
end

local function client_tls(tls)
  local result = map {
    { "ca_file", tls:string "ca_file" },
    { "cert_file", tls:string "cert_file" },
    { "key_file", tls:string "key_file" },
    { "insecure_skip_verify", tls:boolean "insecure_skip_verify" },
  }
  tls:ignore("reload_interval", "certificates are read again at a reload")
  tls:done()
  for _, pair in ipairs(result) do
    if pair[2] ~= nil then return result end
  end
end

-- host:port, or code for one, with the scheme in front where it has none.
local function with_scheme(endpoint, scheme)
  if type(endpoint) == "table" then
    return endpoint.text:find "^\"https?://" and endpoint or lua_text.code(('"%s://" .. %s'):format(scheme, endpoint.text))
  end
  if not endpoint or endpoint:find "^https?://" then return endpoint end
  return scheme .. "://" .. endpoint:gsub("^dns:///", "")
end

local COMPRESSION = { gzip = "gzip", none = "none", [""] = "none" }

local function compression_of(s)
  local given = s:string "compression"
  if given == nil then return nil end
  if not COMPRESSION[given] then s:add("different", "compression", "gzip in place of " .. tostring(given)) end
  return COMPRESSION[given] or "gzip"
end

local CLIENT = { "read_buffer_size", "write_buffer_size", "keepalive", "wait_for_ready", "max_idle_conns", "idle_conn_timeout", "max_conns_per_host", "balancer_name", "encoding", "http2_read_idle_timeout" }

-- ---- the types ----

local types = {}

function types.otlp(s, batch)
  local tls = s:section "tls"
  local insecure = tls:boolean "insecure"
  for _, key in ipairs(CLIENT) do s:ignore(key, "the client has its own way") end
  return "otlp", common(s, batch, map {
    { "endpoint", with_scheme(s:string "endpoint", insecure == true and "http" or "https") },
    { "compression", compression_of(s) },
    { "headers", headers_of(s) },
    { "tls", client_tls(tls) },
  })
end

-- Theirs puts the path of a signal behind any endpoint. Ours does where it has no path, or that of a signal: so that of
-- traces is written there behind another one, and behind what nobody knows yet.
local function with_signal_path(endpoint)
  if type(endpoint) == "table" then return lua_text.code(endpoint.text .. ' .. "/v1/traces"') end
  return endpoint:find "://[^/]*/?$" and endpoint or endpoint:gsub("/*$", "", 1) .. "/v1/traces"
end

local function root_of(endpoint) return (tostring(endpoint):gsub("/v1/%a+$", "")) end

-- `endpoint`, or that of one signal: those of the others have to be beside it.
local function http_endpoint(s)
  local base = s:string "endpoint"
  local endpoint = base and with_signal_path(base)
  for _, signal in ipairs { "traces", "metrics", "logs" } do
    local key = signal .. "_endpoint"
    local own = s:string(key)
    if endpoint and own and root_of(own) ~= root_of(endpoint) then
      s:add("not mapped", key, ('an exporter has one endpoint: write another one, with signals = { "%s" }'):format(signal))
    end
    endpoint = endpoint or own
  end
  return endpoint
end

function types.otlphttp(s, batch)
  local tls = s:section "tls"
  local endpoint = http_endpoint(s)
  tls:ignore("insecure", "the endpoint's scheme says it")
  for _, key in ipairs(CLIENT) do s:ignore(key, "the client has its own way") end
  return "otlp", common(s, batch, map {
    { "endpoint", endpoint },
    { "protocol", "http/protobuf" },
    { "compression", compression_of(s) },
    { "headers", headers_of(s) },
    { "tls", client_tls(tls) },
  })
end

local FILES_MAX, BACKUPS_DEFAULT = 1000, 100

-- How many files stay: `backups` and the one that grows. There 0 is all of them.
local function files_of(rotation)
  local backups = rotation:number "max_backups" or BACKUPS_DEFAULT
  if type(backups) ~= "number" then return nil end
  if backups > 0 and backups < FILES_MAX then return backups + 1 end
  rotation:add("different", "max_backups", ("%s; here the last %d files stay"):format(backups == 0 and "0 is all there" or "more", FILES_MAX))
  return FILES_MAX
end

-- The size from which a file is rotated, and how many stay. Without rotation it only grows there.
local function rotation_of(s)
  if not s:has "rotation" then
    s:add("different", "rotation", "the file only grows there, and here up to 1024GiB: say max_size and max_files")
    return "1024GiB", nil
  end
  local rotation = s:section "rotation"
  local megabytes, files = rotation:number "max_megabytes", files_of(rotation)
  rotation:ignore("max_days", "files go by size and count")
  rotation:ignore("localtime", "files are named path.1, path.2 ...")
  rotation:done()
  return type(megabytes) == "number" and megabytes > 0 and megabytes .. "MiB" or nil, files
end

function types.file(s, batch)
  local max_size, max_files = rotation_of(s)
  s:ignore("flush_interval", "a batch is written at once")
  s:ignore("format", "lines of OTLP/JSON")
  s:ignore("append", "files are always appended to")
  return "file", common(s, batch, map {
    { "path", s:string "path" },
    { "max_size", max_size },
    { "max_files", max_files },
  })
end

local VERBOSITY = { basic = "basic", normal = "normal", detailed = "detailed" }

function types.debug(s)
  local verbosity = s:string "verbosity"
  for _, key in ipairs { "sampling_initial", "sampling_thereafter", "use_internal_logger", "loglevel" } do
    s:ignore(key, "every batch is logged")
  end
  return "debug", map { { "verbosity", VERBOSITY[verbosity] } }
end
types.logging = types.debug

-- Its batches are X-Ray's, not the batch processor's.
function types.awsxray(s)
  local telemetry = s:has "telemetry" and s:section "telemetry" or nil
  for _, key in ipairs { "num_workers", "request_timeout_seconds", "max_retries" } do
    s:ignore(key, "timeout, retry and queue say how requests are sent; as many are on the way as the endpoint bears")
  end
  s:ignore("local_mode", "the machine is asked only where nothing else says the region")
  s:ignore("certificate_file_path", "the system's certificates count")
  local options = common(s, false, map {
    { "region", s:string "region" },
    { "endpoint", s:string "endpoint" },
    { "role_arn", s:string "role_arn" },
    { "external_id", s:string "external_id" },
    { "index_all_attributes", s:boolean "index_all_attributes" },
    { "indexed_attributes", s:list "indexed_attributes" },
    { "aws_log_groups", s:list "aws_log_groups" },
    { "no_verify_ssl", s:boolean "no_verify_ssl" },
    { "proxy_address", s:string "proxy_address" },
    { "telemetry", telemetry and map {
      { "enabled", telemetry:boolean "enabled" },
      { "hostname", telemetry:string "hostname" },
      { "instance_id", telemetry:string "instance_id" },
      { "resource_arn", telemetry:string "resource_arn" },
    } },
  })
  if telemetry then
    for _, key in ipairs { "include_metadata", "contributors" } do telemetry:ignore(key, "write hostname, instance_id, resource_arn") end
    telemetry:done()
  end
  return "xray", options
end

-- Lists of tables as they stand: regular expressions and labels mean the same.
local function tables(s, key, fields)
  local list = {}
  for i, each in ipairs(s:sections(key)) do
    local one = map {}
    for _, field in ipairs(fields) do
      local value = each:deep(field)
      if value ~= nil then one[#one + 1] = { field, value } end
    end
    each:done()
    list[i] = one
  end
  return #list > 0 and list or nil
end

function types.awsemf(s)
  for _, key in ipairs { "num_workers", "request_timeout_seconds", "max_retries" } do
    s:ignore(key, "timeout, retry and queue say how requests are sent; as many are on the way as the endpoint bears")
  end
  s:ignore("local_mode", "the machine is asked only where nothing else says the region")
  s:ignore("certificate_file_path", "the system's certificates count")
  s:ignore("eks_fargate_container_insights_enabled", "attributes are taken as they are")
  s:ignore("enhanced_container_insights", "attributes are taken as they are")
  local conversion = s:has "resource_to_telemetry_conversion" and s:section "resource_to_telemetry_conversion" or nil
  local enabled = conversion and conversion:boolean "enabled"
  if conversion then conversion:done() end
  return "awsemf", common(s, false, map {
    { "region", s:string "region" },
    { "endpoint", s:string "endpoint" },
    { "role_arn", s:string "role_arn" },
    { "external_id", s:string "external_id" },
    { "namespace", s:string "namespace" },
    { "output_destination", s:string "output_destination" },
    { "log_group_name", s:string "log_group_name" },
    { "log_stream_name", s:string "log_stream_name" },
    { "log_retention", s:number "log_retention" },
    { "tags", s:deep "tags" },
    { "dimension_rollup_option", s:string "dimension_rollup_option" },
    { "metric_declarations", tables(s, "metric_declarations", { "dimensions", "metric_name_selectors", "label_matchers" }) },
    { "metric_descriptors", tables(s, "metric_descriptors", { "metric_name", "unit", "overwrite" }) },
    { "resource_to_telemetry_conversion", enabled and map { { "enabled", true } } or nil },
    { "retain_initial_value_of_delta_metric", s:boolean "retain_initial_value_of_delta_metric" },
    { "parse_json_encoded_attr_values", s:list "parse_json_encoded_attr_values" },
    { "detailed_metrics", s:boolean "detailed_metrics" },
    { "version", s:string "version" },
    { "no_verify_ssl", s:boolean "no_verify_ssl" },
    { "proxy_address", s:string "proxy_address" },
  })
end

local function sections_of(s, name, keys)
  if not s:has(name) then return nil end
  local section, list = s:section(name), {}
  for _, key in ipairs(keys) do list[#list + 1] = { key, section:boolean(key) } end
  section:done()
  return map(list)
end

local OF_REMOTE_WRITE = {
  remote_write_queue = "requests go one at a time, in the order of the queue, which is in the journal",
  wal = "every queue is in the journal",
  max_batch_request_parallelism = "requests go one at a time, so that samples are in order",
  export_created_metric = "the collector has no such series any more",
  translation_strategy = "names are of letters, digits, _ and :",
  protobuf_message = "remote write 1.0 is what all take",
}

-- Its batches are remote write's, not the batch processor's.
function types.prometheusremotewrite(s)
  local tls = s:section "tls"
  tls:ignore("insecure", "the endpoint's scheme says it")
  for _, key in ipairs(CLIENT) do s:ignore(key, "the client has its own way") end
  s:ignore_all(OF_REMOTE_WRITE)
  s:ignore("compression", "snappy, as remote write has it")
  local labels = s:has "external_labels" and s:section "external_labels" or nil
  local external = labels and map {}
  for _, name in ipairs(labels and report.keys(labels.map) or {}) do table.insert(external, { name, labels:string(name) }) end
  return "prometheus_remote_write", common(s, false, map {
    { "endpoint", s:string "endpoint" },
    { "headers", headers_of(s) },
    { "namespace", s:string "namespace" },
    { "external_labels", external },
    { "add_metric_suffixes", s:boolean "add_metric_suffixes" },
    { "send_metadata", s:boolean "send_metadata" },
    { "target_info", sections_of(s, "target_info", { "enabled" }) },
    { "resource_to_telemetry_conversion", sections_of(s, "resource_to_telemetry_conversion", { "enabled", "exclude_service_attributes" }) },
    { "disable_scope_info", s:boolean "disable_scope_info" },
    { "max_batch_size_bytes", s:number "max_batch_size_bytes" },
    { "tls", client_tls(tls) },
  })
end

function types.nop() return "nop", map {} end

-- ---- all of them ----

-- nil where it takes part in every pipeline that there is, else the signals.
local function signals_of(id, pipelines)
  local list, missing = {}, false
  for _, signal in ipairs { "traces", "metrics", "logs" } do
    local here = false
    for _, other in ipairs(pipelines[signal] and pipelines[signal].exporters or {}) do here = here or other == id end
    if here then list[#list + 1] = signal else missing = true end
  end
  return missing and list or nil
end

local SIGNED = { prometheus_remote_write = true }

-- sigv4 of what is signed by the extension sigv4auth; nil for any other.
local function sigv4_of(s, doc)
  local auth = s:section "auth"
  local name = auth:string "authenticator"
  local given = type(name) == "string" and report.type_of(name) == "sigv4auth" and doc.extensions[name]
  if not report.is_map(given) then return nil end
  auth:done()
  given = report.section(s.notes, given, "extensions." .. name)
  local role = given:section "assume_role"
  local region, sts_region = given:string "region", role:string "sts_region"
  local result = map { { "service", given:string "service" }, { "region", region or sts_region }, { "role_arn", role:string "arn" } }
  role:done()
  given:done()
  return result
end

local function read_one(id, given, steps, pipelines, taken, doc)
  local s = given:section(id)
  local type_, options = types[report.type_of(id)](s, steps.batch)
  local sigv4 = s:has "auth" and SIGNED[type_] and sigv4_of(s, doc)
  if sigv4 then
    table.insert(options, { "sigv4", sigv4 })
  elseif s:has "auth" then
    s:raw "auth"
    s:add("not mapped", "auth", "give the header in headers = { ... }")
  end
  s:done()
  table.insert(options, { "signals", signals_of(id, pipelines) })
  local name = name_of(type_, id, taken)
  given:add("mapped", id, ('exporter "%s"'):format(name))
  return lua_text.call("exporter", name, options)
end

-- A list for lua_text. steps.batch: what the batch processor said.
function M.read(doc, ids, pipelines, steps, notes)
  local given, list, taken = report.section(notes, doc.exporters, "exporters"), {}, {}
  for _, id in ipairs(ids) do
    if types[report.type_of(id)] and given:has(id) then
      list[#list + 1] = read_one(id, given, steps, pipelines, taken, doc)
    elseif not doc.connectors[id] then
      given:add("not there yet", id, "stands as a comment with its options")
      list[#list + 1] = report.as_comment(('exporter "%s": not there yet'):format(id), given:raw(id))
    end
  end
  if not next(taken) then
    notes:add("different", "exporters", 'none that is there yet: exporter "debug" stands in, so that the file can run')
    list[#list + 1] = lua_text.call("exporter", "debug")
  end
  return list
end

return M
