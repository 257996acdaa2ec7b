-- Kept spans to AWS X-Ray, as segments and subsegments.
--
--     exporter "xray" { region = "eu-west-1" }
--
-- As the collector's awsxray exporter maps them, quirks included:
--
--     exporter "xray/compat" { region = "eu-west-1", index_all_attributes = true, compat = true }
--
-- To a daemon on this machine, which signs and sends:
--
--     exporter "xray/daemon" { endpoint = "udp://127.0.0.1:2000" }
--
-- It counts in `moontail_export_script_total{exporter, what}`: `documents` that went out; `without_metadata`,
-- `without_annotations`, `without_stacks` and `without_whole_texts`, which had to leave them out, or cut texts short, to be
-- small enough; `too_large`, which were not small enough even so; `throttled`, which are sent again; `unprocessed.CODE`,
-- which X-Ray refused.
-- [exporters.md](../exporters.md#aws-x-ray) says how spans are mapped.

local DOCUMENT_MAX, DATAGRAM_MAX = 65536, 65507 -- bytes: the service's bound, and UDP's
local BODY_MAX, DOCUMENTS_MAX = 512 * 1024, 50 -- of a request
local UDP_HEADER = '{"format":"json","version":1}\n'
local TELEMETRY_MS = 30000
local TELEMETRY = { enabled = true, include_metadata = true, contributors = true, hostname = true, instance_id = true, resource_arn = true }

-- ---- where to, and how ----

local function endpoint_of(opt)
  if opt.endpoint then return (opt.endpoint:gsub("/+$", "")) end
  return "https://xray.{region}.amazonaws.com" -- the signer knows region, partition and environment
end

local function post(my, path, body, tag)
  return {
    url = my.endpoint .. path,
    headers = { ["content-type"] = "application/json" },
    body = body,
    sigv4 = my.sigv4,
    no_verify_ssl = my.no_verify_ssl,
    proxy_address = my.proxy_address,
    tag = tag,
  }
end

local function segments_request(my, part)
  local body = xray.text { TraceSegmentDocuments = part.documents }
  return post(my, "/TraceSegments", body, part)
end

-- ---- documents ----

-- ids and documents side by side: what X-Ray refuses it names by id.
local function new_part() return { ids = {}, documents = {}, bytes = 0, refused = 0 } end

local function add_document(part, id, document)
  part.ids[#part.ids + 1] = id
  part.documents[#part.documents + 1] = document
  part.bytes = part.bytes + #document
end

-- Calls add(id, text) with the document; 1 if there is no room for it even without all that can be left out, else 0.
local function encode_one(document, max_bytes, add)
  local encoded, cut = xray.text(document, max_bytes)
  if not encoded then return 1 end
  if cut then count("without_" .. (cut == "texts" and "whole_texts" or cut)) end
  add(document.id, encoded)
  return 0
end

-- The same for each document of the batch; how many had no room.
local function each_document(batch, my, max_bytes, add)
  local large, made = 0, 0
  for _, span in batch:spans() do
    local first, second = my.mapping:documents(span)
    large, made = large + encode_one(first, max_bytes, add), made + 1
    if second then
      large, made = large + encode_one(second, max_bytes, add), made + 1
    end
  end
  count("documents", made - large)
  if large > 0 then count("too_large", large) end
  my.received = my.received + made
  return large
end

local function datagrams(batch, my)
  local requests = {}
  local large = each_document(batch, my, DATAGRAM_MAX - #UDP_HEADER, function(_, encoded)
    requests[#requests + 1] = { url = my.endpoint, body = UDP_HEADER .. encoded }
  end)
  if requests[1] then requests[1].tag = { refused = large, reason = "too large" } end
  return requests, large
end

local function posts(batch, my)
  local parts, part = {}, new_part()
  local large = each_document(batch, my, DOCUMENT_MAX, function(id, encoded)
    if #part.ids == DOCUMENTS_MAX or (part.bytes > 0 and part.bytes + #encoded > BODY_MAX) then
      parts[#parts + 1] = part
      part = new_part()
    end
    add_document(part, id, encoded)
  end)
  if #part.ids > 0 then parts[#parts + 1] = part end
  local requests = {}
  for i, each in ipairs(parts) do requests[i] = segments_request(my, each) end
  if parts[1] and large > 0 then
    parts[1].refused, parts[1].reason = large, "too large"
  end
  return requests, large
end

-- ---- telemetry ----

local function telemetry_request(my, opt, now_ms)
  local record = {
    Timestamp = now_ms / 1000,
    SegmentsReceivedCount = my.received,
    SegmentsSentCount = my.sent,
    SegmentsSpilloverCount = 0,
    SegmentsRejectedCount = my.rejected,
    BackendConnectionErrors = {
      TimeoutCount = 0, ConnectionRefusedCount = 0, HTTPCode4XXCount = my.http_4xx, HTTPCode5XXCount = my.http_5xx,
      UnknownHostCount = 0, OtherCount = 0,
    },
  }
  my.received, my.sent, my.rejected, my.http_4xx, my.http_5xx = 0, 0, 0, 0, 0
  local t = opt.telemetry
  local body = { TelemetryRecords = { record }, Hostname = t.hostname, EC2InstanceId = t.instance_id, ResourceARN = t.resource_arn }
  return post(my, "/TelemetryRecords", json.encode(body), { is_telemetry = true })
end

-- With the first batch after 30 s: records of a collector that sends nothing would say nothing.
local function add_telemetry(requests, batch, my, opt)
  if not my.telemetry then return end
  my.telemetry_ms = my.telemetry_ms or batch.now_ms
  if batch.now_ms - my.telemetry_ms < TELEMETRY_MS then return end
  my.telemetry_ms = batch.now_ms
  requests[#requests + 1] = telemetry_request(my, opt, batch.now_ms)
end

-- ---- replies ----

-- Of a part the documents with these ids, and the part without them.
local function take_ids(part, wanted)
  local taken = new_part()
  for i, id in ipairs(part.ids) do
    if wanted[id] then add_document(taken, id, part.documents[i]) end
  end
  return taken
end

local function name_of_code(code) return (code:gsub("[^%w_.-]", "_"):sub(1, 30)) end

-- Sorts the unprocessed ones: the ids of those that may go again; how many may not, and why the first of them.
local function unprocessed(list, my)
  local again, refused, reason = {}, 0, nil
  for _, each in ipairs(list) do
    local code = type(each.ErrorCode) == "string" and each.ErrorCode or "unknown"
    if aws.is_throttling(code) and type(each.Id) == "string" then
      again[each.Id] = true
    else
      refused = refused + 1
      reason = reason or (code .. ": " .. tostring(each.Message))
      count("unprocessed." .. name_of_code(code))
    end
  end
  my.rejected = my.rejected + refused
  return again, refused, reason
end

local function taken(r, part, my)
  local body = r.body ~= "" and json.decode(r.body) or nil
  local list = type(body) == "table" and body.UnprocessedTraceSegments
  local again, refused, reason = unprocessed(type(list) == "table" and list or {}, my)
  local rest = take_ids(part, again)
  rest.refused, rest.reason = part.refused + refused, part.reason or reason
  my.sent = my.sent + #part.ids - refused - #rest.ids
  if #rest.ids == 0 then return ok(rest.refused, rest.reason) end
  count("throttled", #rest.ids)
  return retry(nil, segments_request(my, rest))
end

local function reply_of(r, part, my)
  if r.status >= 200 and r.status <= 299 then return taken(r, part, my) end
  if r.status >= 500 then my.http_5xx = my.http_5xx + 1 else my.http_4xx = my.http_4xx + 1 end
  if r.status == 400 and aws.is_throttling(aws.error_code(r)) then return retry() end
  if r.status == 401 or r.status == 403 or r.status == 408 or r.status == 429 or r.status >= 500 then return nil end
  my.rejected = my.rejected + #part.ids
  return reject(("HTTP status %d, %s"):format(r.status, aws.error_code(r)))
end

-- ----

local function checked_telemetry(t)
  for key in pairs(t or {}) do
    if not TELEMETRY[key] then error("telemetry has no '" .. tostring(key) .. "'; allowed: enabled, hostname, instance_id, resource_arn", 0) end
  end
  return t ~= nil and t.enabled == true
end

return exporter {
  doc = "Sends spans to AWS X-Ray as segments and subsegments.",
  options = {
    region = option.string { optional = true, doc = "such as eu-west-1; else as AWS SDKs find it: environment, profile, the machine" },
    endpoint = option.url { optional = true, doc = "instead of the region's: https://..., or udp://127.0.0.1:2000 for a daemon" },
    role_arn = option.string { optional = true, doc = "the role to take on for it" },
    external_id = option.string { optional = true, doc = "what that role's trust policy asks for as sts:ExternalId" },
    index_all_attributes = option.boolean { default = false, doc = "every attribute that can be becomes an annotation, by which X-Ray searches" },
    indexed_attributes = option.list { default = {}, doc = "attributes that become annotations; otel.resource.NAME for those of the resource" },
    aws_log_groups = option.list { default = {}, doc = "log groups of spans whose resource names none" },
    semconv = option.string {
      optional = true,
      one_of = { "v0", "both", "v1" },
      doc = "conventions of attributes that are read: v0 as the collector's exporter, v1 the stable ones alone; both, but v0 with compat",
    },
    compat = option.boolean { default = false, doc = "exactly as the collector's awsxray exporter maps, quirks included" },
    no_verify_ssl = option.boolean { default = false, doc = "takes any certificate" },
    proxy_address = option.url { optional = true, doc = "http://HOST:PORT; else as HTTPS_PROXY and NO_PROXY say" },
    telemetry = option.map { optional = true, doc = "{ enabled = true, hostname, instance_id, resource_arn }: counts of documents go to X-Ray, each 30 s" },
    local_mode = option.boolean { default = false, doc = "for configurations of the collector; nothing needs it: the machine is asked only where nothing else says the region" },
    num_workers = option.integer { default = 0, doc = "for configurations of the collector; as many requests are on the way as the endpoint bears" },
    max_retries = option.integer { default = 0, doc = "for configurations of the collector; retry.max_elapsed says how long is tried" },
  },
  batch = { max_spans = 50, max_bytes = "2MiB", timeout = "1s" }, -- a span that is too large to be mapped fails alone
  setup = function(opt)
    if opt.external_id and not opt.role_arn then error("external_id is for role_arn, which is not given", 0) end
    local my = {
      endpoint = endpoint_of(opt),
      mapping = xray.mapping {
        semconv = opt.semconv, compat = opt.compat, index_all_attributes = opt.index_all_attributes,
        indexed_attributes = opt.indexed_attributes, aws_log_groups = opt.aws_log_groups,
      },
      sigv4 = { service = "xray", region = opt.region, role_arn = opt.role_arn, external_id = opt.external_id },
      no_verify_ssl = opt.no_verify_ssl or nil,
      proxy_address = opt.proxy_address,
      telemetry = checked_telemetry(opt.telemetry),
      received = 0, sent = 0, rejected = 0, http_4xx = 0, http_5xx = 0,
    }
    my.is_udp = text.starts(my.endpoint, "udp://")
    return my
  end,
  encode = function(batch, opt, my)
    local requests, large = (my.is_udp and datagrams or posts)(batch, my)
    if #requests == 0 and large > 0 then return ok(large, "too large") end
    if not my.is_udp then add_telemetry(requests, batch, my, opt) end
    return requests
  end,
  reply = function(r, request, _, my)
    local tag = request.tag
    if my.is_udp then return tag and tag.refused > 0 and ok(tag.refused, tag.reason) or ok() end
    if tag.is_telemetry then return ok() end
    return reply_of(r, tag, my)
  end,
}
