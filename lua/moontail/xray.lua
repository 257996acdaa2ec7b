-- The global `xray` of exporter scripts: spans as documents of AWS X-Ray.
local aws = require "moontail.xray_aws"
local causes = require "moontail.xray_cause"
local core = require "moontail.policy_core"
local env = require "moontail.env"
local fields = require "moontail.xray_fields"
local http = require "moontail.xray_http"
local links = require "moontail.xray_links"
local names = require "moontail.xray_name"
local read = require "moontail.xray_read"
local sql = require "moontail.xray_sql"

local M = { api = {} }
local api = M.api

-- ---- one document ----

-- First what only looks at the attributes, then what takes some, then the place of those that are left.
local function document(span, m, salt)
  local is_inner = read.is_subsegment(span)
  local name, namespace = names.of(span, m)
  local fault, is_error, throttle = causes.flags(span, m)
  local linked, indexed = links.of(span, m), fields.indexed(span, m)
  local sql_block, http_block = sql.block(span, m), http.block(span, m)
  local cause, aws_block = causes.cause(span, m, salt), aws.block(span)
  local user, annotations, metadata = fields.of(span, indexed, m, not is_inner)
  return {
    id = span.id, trace_id = read.trace_id(span.trace_id), parent_id = span.parent_id, name = name, namespace = namespace,
    type = is_inner and "subsegment" or nil, origin = span.resource.origin, service = span.resource.service,
    start_time = span.start_time, end_time = not span.in_progress and span.end_time or nil, in_progress = span.in_progress or nil,
    fault = fault, error = is_error, throttle = throttle, cause = cause, user = user, http = http_block, aws = aws_block,
    sql = sql_block, annotations = annotations, metadata = metadata, links = linked,
  }
end

-- ---- local roots: a segment for the service, a subsegment for what it called ----

local OF_DEPENDENCY = { "aws.remote.service", "aws.remote.operation", "remoteTarget", "K8s.RemoteNamespace" }
local OF_CALL = { "operation", "account_id", "region", "request_id", "queue_url", "table_name", "table_names" }

local function dependency(span, m, segment_id)
  local parent_id, has_remote = span.parent_id, span.attrs["aws.remote.service"] ~= nil
  local remote = names.remote(span.attrs)
  span.parent_id = segment_id
  local d = document(span, m, "dependency")
  span.parent_id = parent_id
  d.type, d.namespace = "subsegment", d.namespace or "remote"
  if span.kind == "consumer" then d.links = nil end
  if has_remote then d.name = names.given(remote, m) end
  return d
end

-- Of the metadata what the resource gave is left.
local function of_resource(metadata)
  local left = {}
  for namespace, members in pairs(metadata) do
    left[namespace] = {}
    for key, value in pairs(members) do
      if key:sub(1, 14) == "otel.resource." then left[namespace][key] = value end
    end
  end
  return left
end

local function without(span, names_)
  local keys, attrs = {}, {}
  for _, name in ipairs(names_) do span.attrs[name] = nil end
  for _, key in ipairs(span.keys) do
    if span.attrs[key] ~= nil then
      keys[#keys + 1], attrs[key] = key, span.attrs[key]
    end
  end
  span.keys, span.attrs = keys, attrs
end

local function service_segment(span, m, segment_id)
  local local_service = span.attrs["aws.local.service"]
  without(span, OF_DEPENDENCY)
  local d = document(span, m, "service")
  d.id, d.http, d.type, d.namespace = segment_id, nil, nil, nil
  if local_service == nil then local_service = span.resource.attrs["service.name"] end
  if local_service ~= nil then
    d.name = names.given(read.text(local_service), m)
  end
  for _, name in ipairs(d.aws and OF_CALL or {}) do d.aws[name] = nil end
  if d.metadata then d.metadata = of_resource(d.metadata) end
  if span.kind ~= "consumer" then d.links = nil end
  return d
end

local function local_root(span, m)
  if span.kind == "server" or span.kind == "internal" then
    local d = document(span, m, "")
    d.type, d.namespace = nil, nil
    return d
  end
  local segment_id, attrs = causes.ids_of(span, "segment")(), {}
  for key, value in pairs(span.attrs) do attrs[key] = value end
  local first = dependency(span, m, segment_id)
  span.attrs = attrs
  return first, service_segment(span, m, segment_id)
end

local function plain(span, m)
  local is_remote = names.is_outgoing(span) and span.attrs["aws.remote.service"] ~= nil
  local d = document(span, m, "")
  if is_remote and d.type and not d.namespace then d.namespace = "remote" end
  return d
end

-- Unfinished spans of X-Ray's own SDKs say so in an attribute.
local function take_in_progress(span, m)
  local said = span.attrs["aws.xray.inprogress"]
  span.in_progress = said == true or (not m.compat and span.end_time == 0)
  if type(said) == "boolean" then without(span, { "aws.xray.inprogress" }) end
end

-- ---- the mapping ----

local OPTIONS = { semconv = true, compat = true, index_all_attributes = true, indexed_attributes = true, aws_log_groups = true }
local SEMCONV = { v0 = true, both = true, v1 = true }

local held = setmetatable({}, { __mode = "k" }) -- by mapping
local methods = {}
local Mapping = { __metatable = "mapping" }
M.methods = methods

function Mapping.__index(_, key) return methods[key] or error("mapping has no '" .. tostring(key) .. "'" .. env.hint(key, methods), 2) end
function Mapping.__newindex(_, key) error("mapping can't be changed: '" .. tostring(key) .. "'", 2) end
function Mapping.__tostring() return "mapping" end

function methods.documents(self, proxy)
  local m = held[self]
  if not m then error("call it as mapping:documents(span)", 2) end
  local span = read.span(proxy, m.resource_of)
  take_in_progress(span, m)
  if names.is_local_root(span.attrs) then return local_root(span, m) end
  return plain(span, m)
end

local function check_options(o)
  if type(o) ~= "table" then error("xray.mapping takes a table of options", 3) end
  for key in pairs(o) do
    if not OPTIONS[key] then error("xray.mapping has no '" .. tostring(key) .. "'" .. env.hint(key, OPTIONS), 3) end
  end
  if o.semconv ~= nil and not SEMCONV[o.semconv] then error('semconv is "v0", "both" or "v1"', 3) end
end

local function copy(list)
  local result = {}
  for i, value in ipairs(list or {}) do result[i] = value end
  return result
end

-- compat: as the collector's exporter, which reads the old conventions where nothing else is said.
function api.mapping(o)
  check_options(o)
  local m = {
    compat = o.compat == true, semconv = o.semconv or (o.compat and "v0" or "both"), index_all = o.index_all_attributes == true,
    indexed_list = copy(o.indexed_attributes), indexed = {}, log_groups = copy(o.aws_log_groups),
  }
  m.http = http.readers[m.semconv]
  for _, key in ipairs(m.indexed_list) do m.indexed[key] = true end
  m.resource_of = read.resources(function(keys, attrs) return aws.resource(keys, attrs, m) end)
  local made = setmetatable({}, Mapping)
  held[made] = m
  return made
end

-- ---- text ----

local function cut_stacks(d)
  local exceptions = type(d.cause) == "table" and d.cause.exceptions or nil
  if not exceptions then return nil end
  local left = {}
  for i, e in ipairs(exceptions) do
    left[i] = { id = e.id, type = e.type, message = e.message, remote = e.remote, cause = e.cause }
    left[i].truncated = e.stack and #e.stack or nil
  end
  return { exceptions = left }
end

-- What is left out, in this order, of a document that is too large.
local CUTS = {
  { "metadata", function(d) d.metadata = nil end },
  { "annotations", function(d) d.annotations = nil end },
  { "stacks", function(d) d.cause = cut_stacks(d) end },
}

local CUT, CUT_TEXTS = "...", { 16384, 4096, 1024 } -- bytes

-- A copy whose texts have at most max_bytes each.
local function with_short_texts(value, max_bytes)
  if type(value) == "string" and #value > max_bytes then return read.cut(value, max_bytes - #CUT) .. CUT end
  if type(value) ~= "table" or getmetatable(value) then return value end -- JSON as it came is left
  local made = {}
  for key, member in pairs(value) do made[key] = with_short_texts(member, max_bytes) end
  return made
end

-- All of it with texts cut short, or what is left of it.
local function text_of_short(document_, left, max_bytes)
  for _, most in ipairs(CUT_TEXTS) do
    for _, each in ipairs { document_, left } do
      local text = core.json_text(with_short_texts(each, most))
      if #text <= max_bytes then return text end
    end
  end
end

-- The document as JSON of at most max_bytes, and what was left out of it for that; nil: it is too large all the same.
function api.text(document_, max_bytes)
  if type(document_) ~= "table" then error("xray.text takes a document", 2) end
  local text, cut = core.json_text(document_), nil
  if not max_bytes or #text <= max_bytes then return text end
  local d = {}
  for key, value in pairs(document_) do d[key] = value end
  for _, each in ipairs(CUTS) do
    each[2](d)
    text, cut = core.json_text(d), each[1]
    if #text <= max_bytes then return text, cut end
  end
  text = text_of_short(document_, d, max_bytes)
  return text, text and "texts" or cut
end

return M
