-- OTLP metrics to Prometheus by remote write 1.0: Amazon Managed Service for Prometheus, Prometheus, Mimir, Thanos and
-- others.
--
--     exporter "prometheus_remote_write" { endpoint = "http://prometheus:9090/api/v1/write" }
--
-- To Amazon Managed Prometheus, signed:
--
--     exporter "prometheus_remote_write/amp" {
--       endpoint = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/WORKSPACE/api/v1/remote_write",
--       sigv4 = { region = "eu-west-1" },
--     }
--
-- Its options are named as those of the collector's prometheusremotewrite exporter, and names, units, labels and values
-- are as it makes them. Delta metrics are summed here.
--
-- It counts in `moontail_export_script_total{exporter, what}`: `points` and `samples`; `dropped.REASON`, points that Prometheus
-- can't have; `duplicates`, samples with the time of another one; `refused`, samples that the other end did not take;
-- `halved`, requests that were sent again in two.
-- [exporters.md](../exporters.md#prometheus-remote-write) says how metrics are mapped.

local HALVES_MAX = 200 -- of one request
local REFUSED_FOR_TIME = { "out of order", "out-of-order", "out of bounds", "duplicate sample", "too old" }
local TAKES_THE_REST = { "err-mimir", "per-user", "user=" } -- refuses some samples, and has taken the others
local SECTIONS = {
  target_info = { enabled = "boolean" },
  resource_to_telemetry_conversion = { enabled = "boolean", exclude_service_attributes = "boolean" },
  sigv4 = { service = "string", region = "string", role_arn = "string", external_id = "string" },
  tls = { ca_file = "string", cert_file = "string", key_file = "string", insecure_skip_verify = "boolean" },
}

-- ---- options ----

local function check_sections(opt)
  for name, fields in pairs(SECTIONS) do
    for key, value in pairs(opt[name] or {}) do
      if not fields[key] then error(("%s has no '%s'"):format(name, tostring(key)), 0) end
      if type(value) ~= fields[key] then error(("%s.%s must be a %s"):format(name, key, fields[key]), 0) end
    end
  end
end

local function is_on(section, default)
  if section == nil or section.enabled == nil then return default end
  return section.enabled
end

local function sigv4_of(given)
  return given and { service = given.service or "aps", region = given.region, role_arn = given.role_arn, external_id = given.external_id }
end

local function headers_of(given)
  local headers = {}
  for name, value in pairs(given) do headers[name] = value end
  headers["Content-Type"] = "application/x-protobuf"
  headers["Content-Encoding"] = "snappy"
  headers["X-Prometheus-Remote-Write-Version"] = "0.1.0"
  return headers
end

-- ---- requests ----

local function post(my, body, tag)
  return {
    url = my.endpoint, headers = my.headers, body = body, sigv4 = my.sigv4, tls = my.tls,
    proxy_address = my.proxy_address, tag = tag,
  }
end

local function note(counts)
  local dropped, reason = 0, nil
  for _, what in ipairs { "points", "samples", "duplicates" } do
    if counts[what] then count(what, counts[what]) end
  end
  for why, n in pairs(counts.dropped) do
    count("dropped." .. why, n)
    dropped, reason = dropped + n, reason or why
  end
  return dropped, reason
end

-- ---- answers ----

local function has_one_of(body, list)
  local lower = text.lower(body)
  for _, part in ipairs(list) do
    if text.contains(lower, part) then return true end
  end
  return false
end

local function first_line(body)
  local line = text.split(body, "\n")[1] or ""
  return #line > 150 and line:sub(1, 150) or line
end

-- What is left of a request that was cut; then how all of it ended.
local function go_on(tag, my)
  local rest = tag.rest
  local next_body = rest[#rest]
  if next_body then
    rest[#rest] = nil
    return send(post(my, next_body, tag))
  end
  return ok(tag.refused + tag.dropped, tag.reason)
end

-- Prometheus takes nothing of a request that has a sample that is too old, such as one that it has already: the others
-- are found by halves.
local function halve(request, tag, my)
  if tag.halves == HALVES_MAX then return nil end
  local first, second = prometheus.split(request.body)
  if not first then return nil end
  tag.halves = tag.halves + 1
  count "halved"
  tag.rest[#tag.rest + 1] = second
  return send(post(my, first, tag))
end

local function refused(r, request, my)
  local tag, reason = request.tag, ("HTTP status %d: %s"):format(r.status, first_line(r.body))
  local is_for_time = r.status == 400 and has_one_of(r.body, REFUSED_FOR_TIME)
  local takes_the_rest = has_one_of(r.body, TAKES_THE_REST)
  local answer = is_for_time and not takes_the_rest and halve(request, tag, my)
  if answer then return answer end
  count "refused"
  if tag.halves == 0 and not is_for_time then return reject(reason) end
  tag.refused, tag.reason = tag.refused + 1, reason
  return go_on(tag, my)
end

return exporter {
  doc = "Sends OTLP metrics to Prometheus by remote write.",
  signals = { "metrics" },
  options = {
    endpoint = option.url { doc = "http://HOST/api/v1/write, https://aps-workspaces.REGION.amazonaws.com/workspaces/ID/api/v1/remote_write" },
    headers = option.map { default = {}, secret = true, doc = "sent with each request" },
    namespace = option.string { optional = true, doc = "before the name of each metric" },
    external_labels = option.map { default = {}, doc = "labels of all series, where they have none of that name" },
    add_metric_suffixes = option.boolean { default = true, doc = "units and _total, _ratio in names" },
    send_metadata = option.boolean { default = false, doc = "sends type, help and unit of metrics too" },
    target_info = option.map { default = {}, doc = "{ enabled = true }: a series with the attributes of each resource" },
    resource_to_telemetry_conversion = option.map {
      default = {},
      doc = "{ enabled = false, exclude_service_attributes = false }: attributes of resources become labels of all their series",
    },
    disable_scope_info = option.boolean { default = false, doc = "no labels otel_scope_name, otel_scope_version and otel_scope_ATTRIBUTE" },
    max_batch_size_bytes = option.integer { default = 3000000, min = 1024, max = 33554432, doc = "of one request, before compression" },
    max_streams = option.integer { default = 100000, min = 1, doc = "series of delta metrics that are summed; more are dropped, and counted" },
    max_stale = option.duration { default = "5m", min = "1s", doc = "a delta series without a point for so long begins anew" },
    sigv4 = option.map { optional = true, doc = '{ service = "aps", region, role_arn, external_id }: signed for AWS' },
    tls = option.map { optional = true, doc = "{ ca_file, cert_file, key_file, insecure_skip_verify }" },
    proxy_address = option.url { optional = true, doc = "http://HOST:PORT; else as HTTPS_PROXY and NO_PROXY say" },
  },
  batch = { max_spans = 8192, max_bytes = "1MiB", timeout = "1s" },
  queue = { in_order = true }, -- a sample must not come before an older one of its series
  setup = function(opt)
    check_sections(opt)
    local conversion = opt.resource_to_telemetry_conversion
    return {
      endpoint = opt.endpoint,
      headers = headers_of(opt.headers),
      sigv4 = sigv4_of(opt.sigv4),
      tls = opt.tls,
      proxy_address = opt.proxy_address,
      writer = prometheus.writer {
        namespace = opt.namespace or "",
        external_labels = opt.external_labels,
        add_metric_suffixes = opt.add_metric_suffixes,
        metadata = opt.send_metadata,
        target_info = is_on(opt.target_info, true),
        resource_labels = is_on(conversion, false),
        exclude_service_attributes = conversion.exclude_service_attributes or false,
        scope_labels = not opt.disable_scope_info,
        max_batch_size_bytes = opt.max_batch_size_bytes,
        max_streams = opt.max_streams,
        max_stale_ms = opt.max_stale,
      },
    }
  end,
  encode = function(_, _, my)
    local parts, counts = my.writer:requests()
    local dropped, reason = note(counts)
    local requests = {}
    for i, part in ipairs(parts) do
      local tag = { rest = {}, halves = 0, refused = 0, dropped = i == 1 and dropped or 0, reason = reason and "dropped: " .. reason }
      requests[i] = post(my, part.body, tag)
    end
    if #requests == 0 and dropped > 0 then return ok(dropped, "dropped: " .. reason) end
    return requests
  end,
  reply = function(r, request, _, my)
    if r.status >= 200 and r.status <= 299 then return go_on(request.tag, my) end
    if r.status == 401 or r.status == 403 or r.status == 408 or r.status == 429 or r.status >= 500 then return nil end
    return refused(r, request, my)
  end,
}
