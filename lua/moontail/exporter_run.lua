-- Runs exporters in Lua: the batch that they see, the requests and replies that they give.
--
-- C gives the batch by host.export_*; they raise once encode has returned.
local env = require "moontail.env"
local host = require "moontail.host"
local secret = require "moontail.secret"

local M = {}

-- ---- the batch ----

local Batch = {}

local function next_trace(count, i)
  if i >= count then return nil end
  return i + 1, host.export_trace(i + 1)
end

function Batch:traces() return next_trace, host.export_trace_count(), 0 end

-- Spans of all traces, numbered through.
function Batch:spans()
  local count, trace_at, number = host.export_trace_count(), 0, 0
  local next_span, spans, at
  return function()
    while true do
      if next_span then
        local span
        at, span = next_span(spans, at)
        if at ~= nil then
          number = number + 1
          return number, span
        end
      end
      trace_at = trace_at + 1
      if trace_at > count then return nil end
      next_span, spans, at = host.export_trace(trace_at):spans()
    end
  end
end

-- Metrics, whose attributes are values, or with "text" texts.
function Batch:metrics(how)
  if self.signal ~= "metrics" then error("batch:metrics() is for metrics; these are " .. self.signal, 2) end
  return require("moontail.metrics").each(host.export_body(), how)
end

function Batch:otlp() return host.export_body() end
function Batch:otlp_json() return host.export_json() end

local FIELDS = { "id", "signal", "start_ms", "now_ms", "span_count", "item_count", "bytes" }

-- For the test that holds them and the table of the API together.
M.batch_fields, M.batch_methods = FIELDS, Batch

local function new_batch(id, signal, item_count, bytes)
  local fields = { id = id, signal = signal, item_count = item_count, bytes = bytes }
  fields.span_count = signal == "traces" and item_count or 0
  return setmetatable({}, {
    __index = function(_, key)
      if fields[key] ~= nil then return fields[key] end
      if key == "start_ms" then return host.export_start_ms() end
      if key == "now_ms" then return host.export_now_ms() end
      if Batch[key] then return Batch[key] end
      local names = { unpack(FIELDS) }
      for name in pairs(Batch) do names[#names + 1] = name end
      error("a batch has no '" .. tostring(key) .. "'" .. env.hint(key, names), 2)
    end,
    __newindex = function() error("a batch can't be changed", 2) end,
    __metatable = false,
  })
end

-- ---- requests ----

local REQUEST = {
  method = true,
  url = true,
  headers = true,
  body = true,
  compress = true,
  timeout = true,
  sigv4 = true,
  no_verify_ssl = true,
  tls = true,
  proxy_address = true,
  tag = true,
}
local TLS = { ca_file = "string", cert_file = "string", key_file = "string", insecure_skip_verify = "boolean" }
local SIGV4 = { service = true, region = true, role_arn = true, external_id = true }
M.request_keys = REQUEST
local COMPRESS = { gzip = true, zstd = true }

local function text_of(value, what)
  local text = value
  if secret.is(value) then text = secret.reveal(value) end
  if type(text) ~= "string" then error(what .. " must be a string, not a " .. type(value), 0) end
  return text
end

local function header_list(headers)
  local list = {}
  for name, value in pairs(headers or {}) do
    value = type(value) == "number" and tostring(value) or text_of(value, "header " .. tostring(name))
    if type(name) ~= "string" or name == "" or name:find "[:%c ]" or value:find "[\r\n%z]" then
      error("header '" .. tostring(name) .. "' can't be sent", 0)
    end
    list[#list + 1] = name .. ": " .. value
  end
  table.sort(list)
  return list
end

local function check_name(value, what, example)
  if type(value) ~= "string" or not value:find "^[%l%d-]+$" then
    error("sigv4." .. what .. ' must be a name such as "' .. example .. '", not ' .. tostring(value), 0)
  end
end

-- As STS takes it.
local function is_external_id(s)
  local id = s.external_id
  return s.role_arn ~= nil and type(id) == "string" and #id >= 2 and #id <= 1224 and not id:find "[^%w_+=,.@:/-]"
end

-- A copy, which scripts have no hand in.
local function sigv4_of(s)
  if s == nil then return nil end
  if type(s) ~= "table" then error('sigv4 must be a table such as { service = "xray", region = "eu-west-1" }, not a ' .. type(s), 0) end
  for key in pairs(s) do
    if not SIGV4[key] then error("sigv4 has no '" .. tostring(key) .. "'; allowed: service, region, role_arn, external_id", 0) end
  end
  check_name(s.service, "service", "xray")
  if s.region ~= nil then check_name(s.region, "region", "eu-west-1") end
  if s.role_arn ~= nil and not (type(s.role_arn) == "string" and s.role_arn:find "^arn:%S+:role/%S+$") then
    error("sigv4.role_arn must be as arn:aws:iam::ACCOUNT:role/NAME, not " .. tostring(s.role_arn), 0)
  end
  if s.external_id ~= nil and not is_external_id(s) then
    error("sigv4.external_id is for role_arn, and of at least two letters, digits and _+=,.@:/-, not " .. tostring(s.external_id), 0)
  end
  return { service = s.service, region = s.region, role_arn = s.role_arn, external_id = s.external_id }
end

-- The same of what is trusted, and who asks.
local function tls_of(t)
  if t == nil then return nil end
  if type(t) ~= "table" then error("tls must be a table such as { ca_file = ... }, not a " .. type(t), 0) end
  local copy = {}
  for key, value in pairs(t) do
    if not TLS[key] then error("tls has no '" .. tostring(key) .. "'" .. env.hint(key, TLS), 0) end
    if type(value) ~= TLS[key] then error("tls." .. key .. " must be a " .. TLS[key], 0) end
    copy[key] = value
  end
  return copy
end

-- Where to and how: what is not the same for all of an exporter's requests in other programs.
local function check_way(r, url)
  if url == "stdout:" then
    if r.sigv4 ~= nil then error("sigv4 is for http:// and https:// alone", 0) end
    return
  end
  local udp = url:find "^udp://" ~= nil
  if udp and not url:find "^udp://[^%c @/?#]+:%d+$" then error("url must be udp://HOST:PORT", 0) end
  if not udp and not url:find "^https?://[^%c ]+$" then error("url must be http://..., https://..., udp://HOST:PORT or stdout:", 0) end
  if udp and r.sigv4 ~= nil then error("sigv4 is for http:// and https:// alone: a datagram has no headers", 0) end
  if r.no_verify_ssl ~= nil and type(r.no_verify_ssl) ~= "boolean" then error("no_verify_ssl must be true or false", 0) end
  if r.proxy_address ~= nil and not text_of(r.proxy_address, "proxy_address"):find "^https?://[^%c /?#]+/?$" then
    error("proxy_address must be http://HOST:PORT", 0)
  end
end

local function normal_request(r)
  if type(r) ~= "table" then error("a request must be a table, not a " .. type(r), 0) end
  for key in pairs(r) do
    if not REQUEST[key] then error("a request has no '" .. tostring(key) .. "'" .. env.hint(key, REQUEST), 0) end
  end
  local url = text_of(r.url, "url")
  check_way(r, url)
  local method = r.method or "POST"
  if type(method) ~= "string" or not method:find "^%u+$" then error("method must be a word such as POST", 0) end
  if r.compress ~= nil and not COMPRESS[r.compress] then error('compress must be "gzip" or "zstd"', 0) end
  local timeout = r.timeout and host.duration(r.timeout)
  if r.timeout and not timeout then error('timeout must be a duration such as "10s"', 0) end
  if r.headers ~= nil and type(r.headers) ~= "table" then error("headers must be a table", 0) end
  return {
    method = method,
    url = url,
    headers = header_list(r.headers),
    body = text_of(r.body or "", "body"),
    compress = r.compress,
    timeout_ns = timeout,
    sigv4 = sigv4_of(r.sigv4),
    no_verify_ssl = r.no_verify_ssl,
    tls = tls_of(r.tls),
    proxy = r.proxy_address and text_of(r.proxy_address, "proxy_address"),
    given = r,
  }
end

local meta = { __metatable = false, __kind = "reply" }

local function reply(how, value, more) return setmetatable({ how = how, value = value, more = more }, meta) end

-- nil; a list of requests, each checked; or, where nothing is sent, how that is taken: how, value and what belongs to it.
function M.encode(instance, id, signal, item_count, bytes)
  local result = instance.spec.encode(new_batch(id, signal, item_count, bytes), instance.opt, instance.my)
  if result == nil then return nil end
  local is_reply = debug.getmetatable(result) == meta
  if is_reply and (result.how == "ok" or result.how == "reject") then return result.how, result.value, result.more end
  if type(result) ~= "table" or is_reply then error("encode must give a request, a list of requests, ok(refused), reject(reason) or nil, not " .. (is_reply and result.how or "a " .. type(result)), 0) end
  if result.url ~= nil then result = { result } end
  local list = {}
  for key in pairs(result) do
    if type(key) ~= "number" then error("a request without url: key " .. tostring(key), 0) end
  end
  for i, r in ipairs(result) do list[i] = normal_request(r) end
  return list
end

-- ---- replies ----

local function is_between(n, least, most) return type(n) == "number" and n >= least and n < most end

-- Mostly it is the other end that says it: what can't be meant is as if nothing was said.
local function told(after_s) return after_s and after_s >= 0 and math.min(after_s, 1e6) or nil end

-- In config.lua's environment there is the log of policies and processors already: redacted, bounded, and silent
-- in trials. That of exporters is for the state in which they run.
local function line_of_log(level, of_policies)
  return function(...)
    if of_policies and not host.export_runs_here() then return of_policies(...) end
    host.export_log(level, env.line_of(...))
  end
end

function M.api(t)
  local others = t.log or {}
  t.ok = function(refused, reason)
    if refused ~= nil and not is_between(refused, 0, 2 ^ 53) then error("ok takes a number of items, not " .. tostring(refused), 2) end
    return reply("ok", refused, reason ~= nil and tostring(reason) or nil)
  end
  t.retry = function(after_s, request)
    if after_s ~= nil and type(after_s) ~= "number" then error("retry takes seconds, not " .. tostring(after_s), 2) end
    return reply("retry", told(after_s), request)
  end
  t.reject = function(reason) return reply("reject", tostring(reason or "rejected")) end
  t.send = function(request) return reply("send", request) end
  -- Each is much, and of use to few: loaded where a script asks for it.
  for _, name in ipairs { "aws", "emf", "prometheus", "xray" } do
    t[name] = env.lazy(function() return require("moontail." .. name).api end, name)
  end
  t.count = function(what, n)
    if type(what) ~= "string" or not what:find "^[%w_.-]+$" or #what >= 48 then error("count takes a name such as \"trimmed\", not " .. tostring(what), 2) end
    if n ~= nil and not is_between(n, 0, 1e15) then error("count takes a number, not " .. tostring(n), 2) end
    host.export_count(what, n or 1)
  end
  t.log = env.frozen({
    info = line_of_log("info", others.info),
    warn = line_of_log("warn", others.warn),
  }, "log")
end

local function header_table(text)
  local headers = {}
  for name, value in text:gmatch "([^:\n]+): *([^\n]*)" do headers[name] = value end
  return headers
end

-- How the answer to a request (as M.encode gave it) is taken: nil (default rule), or how, value and what belongs to it.
function M.reply(instance, request, status, body, headers)
  local r = instance.spec.reply({ status = status, body = body, headers = header_table(headers) }, request.given, instance.opt, instance.my)
  if r == nil then return nil end
  if debug.getmetatable(r) ~= meta then error("reply must give ok(), retry(s), reject(reason), send(request) or nil", 0) end
  if r.how == "send" then return "send", nil, normal_request(r.value) end
  if r.how == "retry" then return "retry", r.value, r.more and normal_request(r.more) end
  return r.how, r.value, r.more
end

return M
