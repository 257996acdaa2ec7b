-- The global `prometheus` of exporter scripts: OTLP metrics as requests of Prometheus remote write 1.0.
local env = require "moontail.env"
local host = require "moontail.host"

local M = {}

-- name -> what it must be, and what it is where nothing is said
local OPTIONS = {
  namespace = { "string", "" },
  external_labels = { "table", {} },
  add_metric_suffixes = { "boolean", true },
  target_info = { "boolean", true },
  resource_labels = { "boolean", false },
  exclude_service_attributes = { "boolean", false },
  scope_labels = { "boolean", true },
  metadata = { "boolean", false },
  max_batch_size_bytes = { "number", 3000000 },
  max_streams = { "number", 100000 },
  max_stale_ms = { "number", 300000 },
}
M.options = OPTIONS -- for the test that holds them and the table of the API together

local function checked(given)
  local o = {}
  for key in pairs(given or {}) do
    if not OPTIONS[key] then error("prometheus.writer has no '" .. tostring(key) .. "'" .. env.hint(key, OPTIONS), 0) end
  end
  for key, rule in pairs(OPTIONS) do
    local value = (given or {})[key]
    if value == nil then value = rule[2] end
    if type(value) ~= rule[1] then error(key .. " must be a " .. rule[1] .. ", not a " .. type(value), 0) end
    o[key] = value
  end
  return o
end

local function external_list(labels)
  local list = {}
  for name, value in pairs(labels) do
    if type(name) ~= "string" or name == "" or type(value) ~= "string" then
      error('external_labels is as { cluster = "blue" }: names and texts', 0)
    end
    local label = host.prometheus_label(name) -- as attributes become labels
    if not label then error("external_labels: no label can be made of the name '" .. name .. "'", 0) end
    list[#list + 1] = { label, value }
  end
  if #list > 64 then error("external_labels has more than 64 labels", 0) end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

local function prefix_of(namespace)
  local prefix = namespace:gsub("[^%w:_]+", "_")
  if prefix:find "^%d" then prefix = "_" .. prefix end
  return prefix
end

local Writer = {}

-- The requests of the batch that encode got, and what was counted.
function Writer:requests() return host.prometheus_write(rawget(self, 1)) end

local meta = {
  __index = function(_, key) return Writer[key] or error("a writer has no '" .. tostring(key) .. "'" .. env.hint(key, Writer), 2) end,
  __newindex = function() error("a writer can't be changed", 2) end,
  __metatable = false,
}

M.api = {
  writer = function(given)
    local good, o = pcall(checked, given)
    if not good then error(o, 2) end
    local external
    good, external = pcall(external_list, o.external_labels)
    if not good then error(external, 2) end
    return setmetatable({ host.prometheus_writer {
      prefix = prefix_of(o.namespace),
      external = external,
      add_suffixes = o.add_metric_suffixes,
      target_info = o.target_info,
      resource_as_labels = o.resource_labels,
      no_service_labels = o.exclude_service_attributes,
      scope_labels = o.scope_labels,
      metadata = o.metadata,
      max_request_bytes = o.max_batch_size_bytes,
      max_streams = o.max_streams,
      max_stale_ms = o.max_stale_ms,
    } }, meta)
  end,
  -- Two requests, the first to be sent first; nil where it can't be cut.
  split = function(body)
    if type(body) ~= "string" then error("prometheus.split takes the body of a request, not a " .. type(body), 2) end
    return host.prometheus_split(body)
  end,
}

return M
