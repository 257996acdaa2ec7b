-- What the OpenTelemetry Collector calls a thing, and what it is called here.
local hints = {}

local function mib(key)
  return function(value)
    local text = type(value) == "number" and string.format("%.0f", value) or "400"
    return ("write %s = \"%sMiB\""):format(key, text)
  end
end

-- { key = text or function(value), ... }; the section where they apply, or any.
local any = {
  limit_mib = mib "limit",
  spike_limit_mib = mib "spike_limit",
  limit_percentage = "a share of the machine's memory is not known here; write limit = \"400MiB\"",
  spike_limit_percentage = "a share of the machine's memory is not known here; write spike_limit = \"100MiB\"",
  expected_new_traces_per_sec = "not needed: the table of traces grows by itself",
  decision_wait_after_root_received = "write decision_wait_after_root",
  sampled_cache_size = "write decision_cache",
  non_sampled_cache_size = "write decision_cache",
  sample_on_first_match = "not needed: the first keep or drop is final",
  drop_pending_traces_on_shutdown = "write journal = { on_shutdown = \"decide\" }",
  protocols = "write grpc and http directly in receivers.otlp",
  max_recv_msg_size_mib = mib "max_body",
  max_request_body_size = "write max_body",
  max_concurrent_streams = "write max_streams",
  keepalive = "write idle_timeout and max_connection_age",
  send_batch_size = "write batch = { max_spans = 8192 } in the exporter",
  send_batch_max_size = "write batch = { max_spans = 8192 } in the exporter",
  sending_queue = "write queue = { max_size = \"256MiB\" }",
  queue_size = "write max_size = \"256MiB\"",
  num_consumers = "not needed: requests overlap as the window allows",
  retry_on_failure = "write retry = { initial_interval = \"1s\" }",
  max_elapsed_time = "write max_elapsed",
  randomization_factor = "not needed: waits are spread by themselves",
  multiplier = "not needed: waits double",
  verbosity_level = "write verbosity",
  hash_seed = "not needed: the draw is made from the trace id, alike on every node",
  service = "there are no pipelines: receivers, tail_sampling and exporters belong together",
  extensions = "there are none: write admin = { listen = \"127.0.0.1:13133\" } for health and metrics",
  connectors = "there are none",
  telemetry = "write log = { level = \"info\" }; metrics are at admin.listen",
  read_buffer_size = "not needed",
  write_buffer_size = "not needed",
}

local sections = {
  receivers = { endpoint = "write listen" },
  processors = {
    tail_sampling = "write tail_sampling at the top of config.lua",
    memory_limiter = "write memory_limiter at the top of config.lua",
    probabilistic_sampler = "write head_sampling at the top of config.lua",
    resource = "write resource at the top of config.lua",
    batch = "write batch in each exporter",
  },
  tail_sampling = { block_on_overflow = "not needed: memory_limiter decides early" },
}

-- Accepted without effect.
local accepted = {
  ["memory_limiter.check_interval"] = "not needed: memory is counted exactly, at every allocation",
}

local function hint_text(hint, value)
  if type(hint) == "function" then return hint(value) end
  return hint
end

-- The hint for an unknown key of the section at `path`, or nil; true when the key is accepted.
function hints.find(path, key, value)
  local full = path == "" and key or (path .. "." .. tostring(key))
  if accepted[full] then return accepted[full], true end
  local first = path:match "^[^.]+"
  local section = first and sections[first]
  return hint_text(section and section[key] or any[key], value)
end

return hints
