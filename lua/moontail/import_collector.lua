-- A configuration of the OpenTelemetry Collector as ours: receivers, processors in the order of their
-- pipelines, exporters, connectors, extensions.
local connectors = require "moontail.import_connectors"
local exporters = require "moontail.import_exporters"
local lua_text = require "moontail.lua_text"
local policies = require "moontail.import_policies"
local processors = require "moontail.import_processors"
local report = require "moontail.import_report"

local M = {}

local map, section, type_of = lua_text.map, report.section, report.type_of

-- ---- pipelines ----

-- { signal = { receivers = { id, ... }, processors =, exporters = } }; several of a signal are one.
local function read_pipelines(doc, notes)
  local service = section(notes, doc.service, "service")
  local given, pipelines = service:section "pipelines", {}
  for _, id in ipairs(report.keys(given.map)) do
    local signal, one = type_of(id), given:section(id)
    local all = pipelines[signal]
    if all then
      given:add("different", id, "moontail has one pipeline for a signal: this one is joined to the first")
    else
      all = { receivers = {}, processors = {}, exporters = {}, seen = {} }
      pipelines[signal] = all
    end
    for _, part in ipairs { "receivers", "processors", "exporters" } do
      for _, name in ipairs(one:list(part) or {}) do
        if not all.seen[part .. tostring(name)] then
          all.seen[part .. tostring(name)] = true
          table.insert(all[part], tostring(name))
        end
      end
    end
  end
  return pipelines, service
end

-- Without a service everything in the file is one pipeline of traces.
local function all_of(doc)
  local traces = {}
  for _, part in ipairs { "receivers", "processors", "exporters" } do traces[part] = report.keys(doc[part]) end
  return { traces = traces }
end

-- ---- receivers ----

local function address(text)
  if type(text) == "string" then return (text:gsub("^localhost:", "127.0.0.1:")) end
  return text
end

local function min_version_of(tls)
  local given = tls:string "min_version"
  if given ~= "1.0" and given ~= "1.1" then return given end
  tls:add("different", "min_version", "1.2 is the oldest version of TLS here")
end

local function tls_of(s)
  if not s:has "tls" then return nil end
  local tls = s:section "tls"
  local result = map {
    { "cert_file", tls:string "cert_file" },
    { "key_file", tls:string "key_file" },
    { "client_ca_file", tls:string "client_ca_file" },
    { "min_version", min_version_of(tls) },
  }
  tls:ignore("reload_interval", "certificates are read again when they change")
  tls:done()
  return result
end

local function auth_of(s, extensions)
  if not s:has "auth" then return nil end
  local auth = s:section "auth"
  local name = auth:string "authenticator"
  local extension = type(name) == "string" and type_of(name) == "bearertokenauth" and extensions[name]
  local token = section(s.notes, extension, "extensions." .. tostring(name)):string "token"
  if not token then
    auth:add("not mapped", "authenticator", "only bearertokenauth with a token is known here")
    return nil
  end
  auth:done()
  return map { { "bearer", { lua_text.call("secret", token) } } }
end

local IGNORED = {
  transport = "always tcp",
  read_buffer_size = "buffers are bounded here by max_body",
  write_buffer_size = "buffers are bounded here by max_body",
  include_metadata = "headers of requests take no part here",
  compression_algorithms = "gzip, deflate, zstd, lz4, snappy and none are taken",
}

local function ignore_all(s)
  for key, why in pairs(IGNORED) do s:ignore(key, why) end
end

local function connection_age(s)
  if not s:has "keepalive" then return nil end
  local keepalive = s:section "keepalive"
  local server = keepalive:section "server_parameters"
  local age = server:duration "max_connection_age"
  if age == "0s" then age = nil end -- none there
  server:done()
  keepalive:ignore("enforcement_policy", "clients may ping as often as the bounds of a connection allow")
  keepalive:done()
  return age
end

local function grpc_of(s, extensions)
  local mib = s:unless_zero "max_recv_msg_size_mib"
  ignore_all(s)
  local result = map {
    { "listen", address(s:string "endpoint") },
    { "max_body", mib and report.with_unit(mib, "MiB") },
    { "max_streams", s:unless_zero "max_concurrent_streams" },
    { "max_connection_age", connection_age(s) },
    { "auth", auth_of(s, extensions) },
    { "tls", tls_of(s) },
  }
  s:done()
  return result
end

local function http_of(s, extensions)
  ignore_all(s)
  s:ignore("traces_url_path", "the path is /v1/traces")
  local result = map {
    { "listen", address(s:string "endpoint") },
    { "max_body", s:unless_zero "max_request_body_size" },
    { "auth", auth_of(s, extensions) },
    { "tls", tls_of(s) },
  }
  s:done()
  return result
end

local function otlp_receiver(s, extensions)
  local protocols = s:section "protocols"
  local result = map {
    { "grpc", protocols:has "grpc" and grpc_of(protocols:section "grpc", extensions) },
    { "http", protocols:has "http" and http_of(protocols:section "http", extensions) },
  }
  protocols:done()
  s:done()
  return result
end

-- The ids that pipelines name, in their order, each once.
local function named(pipelines, part)
  local ids, seen = {}, {}
  for _, signal in ipairs { "traces", "metrics", "logs" } do
    for _, id in ipairs(pipelines[signal] and pipelines[signal][part] or {}) do
      if not seen[id] then ids[#ids + 1] = id end
      seen[id] = true
    end
  end
  return ids
end

local function read_receivers(doc, pipelines, notes)
  local result
  local given = section(notes, doc.receivers, "receivers")
  for _, id in ipairs(named(pipelines, "receivers")) do
    if doc.connectors[id] then
      given:raw(id) -- its metrics go to all exporters that take them
    elseif type_of(id) ~= "otlp" then
      given:raw(id)
      given:add("not there yet", id, "moontail receives OTLP; point the senders there")
    elseif result then
      given:raw(id)
      given:add("not mapped", id, "a second OTLP receiver; the first one's ports serve all")
    elseif not given:has(id) then
      given:add("not mapped", id, "a pipeline names it, and it is not defined")
    else
      given:add("mapped", id, "receivers.otlp")
      result = map { { "otlp", otlp_receiver(given:section(id), doc.extensions) } }
    end
  end
  return result
end

-- ---- extensions and telemetry ----

local extension = {}

function extension.health_check(s, config)
  config.admin = address(s:string "endpoint")
  s:ignore("path", "health is at /livez and /readyz")
  s:done()
  return "admin: /livez and /readyz"
end

function extension.file_storage(s, config)
  config.journal = s:string "directory"
  for _, key in ipairs { "timeout", "compaction", "create_directory", "fsync" } do s:ignore(key, "the journal keeps its own files (journal = { ... })") end
  s:done()
  return "journal.path; all that waits is in the journal, not only queues"
end

local UNNEEDED = { pprof = "profiles are taken with perf", zpages = "see moontail explain and /metrics", bearertokenauth = "see where it is used", sigv4auth = "sigv4 = { ... } of the exporters that it signs for" }

local function read_extensions(doc, service, config, notes)
  local given = section(notes, doc.extensions, "extensions")
  for _, id in ipairs(service:list "extensions" or {}) do
    local kind = type_of(tostring(id))
    if extension[kind] then
      given:add("mapped", id, extension[kind](given:section(id), config))
    elseif UNNEEDED[kind] then
      given:add("different", id, UNNEEDED[kind])
    else
      given:add("not mapped", id, "there is no such extension here")
    end
  end
end

local LEVELS = { debug = "debug", info = "info", warn = "warn", error = "error" }

local function read_telemetry(service, config)
  if not service:has "telemetry" then return end
  local telemetry = service:section "telemetry"
  if telemetry:has "logs" then
    local logs = telemetry:section "logs"
    local level, encoding = logs:string "level", logs:string "encoding"
    config.log = map {
      { "level", type(level) == "string" and LEVELS[level:lower()] or nil },
      { "format", encoding == "json" and "json" or nil },
    }
    logs:done()
  end
  telemetry:ignore("metrics", "/metrics is at the admin listener, always")
  telemetry:done()
end

-- ---- all of it ----

local function admin_of(endpoint)
  -- in a container the probes come from outside
  return endpoint and map { { "listen", endpoint } }
end

local PARTS = { "extensions", "receivers", "processors", "exporters", "connectors" }

-- doc: as yaml.h describes it. The config as a map for lua_text.
function M.convert(doc, notes)
  for _, part in ipairs(PARTS) do
    if doc[part] ~= nil and not report.is_map(doc[part]) then notes:add("not mapped", part, "is not a map") end
    if not report.is_map(doc[part]) then doc[part] = {} end
  end
  local pipelines, service = read_pipelines(doc, notes)
  local config = {}
  if not next(pipelines) then pipelines = all_of(doc) end
  for signal in pairs(pipelines) do
    if not ({ traces = true, metrics = true, logs = true })[signal] then
      notes:add("not mapped", "service.pipelines." .. signal, "there is no such signal here")
    end
  end
  read_extensions(doc, service, config, notes)
  read_telemetry(service, config)
  service:done()
  notes:add("different", "service.telemetry", "metrics have names of their own: docs/operations.md")
  local steps = processors.read(doc, pipelines, notes)
  local fed = named(pipelines, "exporters")
  local made = connectors.read(doc, fed, notes)
  return map {
    { "log", config.log },
    { "receivers", read_receivers(doc, pipelines, notes) },
    { "admin", admin_of(config.admin) },
    { "journal", config.journal and map { { "path", config.journal } } },
    { "memory_limiter", steps.memory_limiter },
    { "head_sampling", steps.head_sampling },
    { "span_metrics", made.span_metrics },
    { "service_graph", made.service_graph },
    { "processors", steps.processors },
    { "tail_sampling", steps.tail_sampling and policies.tail_sampling(steps.tail_sampling) },
    { "resource", steps.resource },
    { "resource_detection", steps.resource_detection },
    { "exporters", exporters.read(doc, fed, pipelines, steps, notes) },
  }
end

return M
