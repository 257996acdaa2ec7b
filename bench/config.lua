-- What bench/run measures: the same work as otelcol.yaml beside it. The row's options come in the environment.
local function is(name, value) return env(name, "") == value end

local policies = {
  reference = {
    policy "status_code" { status_codes = { "ERROR" } },
    policy "latency" { threshold_ms = 500 },
    policy "probabilistic" { sampling_percentage = 10 },
  },
  attributes = {
    policy "string_attribute" { key = "http.route", values = { "/checkout", "/pay" } },
    policy "numeric_attribute" { key = "http.response.status_code", min_value = 500 },
    policy "probabilistic" { sampling_percentage = 10 },
  },
}

local tail_sampling = {
  decision_wait = env("WAIT", "2s"),
  record = not is("RECORD", "off"),
  policies = policies[env("POLICIES", "reference")],
}
if not is("AFTER_ROOT", "") then tail_sampling.decision_wait_after_root = env("AFTER_ROOT", "1s") end

local exporters = { exporter "nop" }
if not is("SINK", "") then
  exporters = {
    exporter "otlp" {
      endpoint = env "SINK",
      protocol = env("SINK_PROTOCOL", "http/protobuf"),
      compression = env("COMPRESSION", "none"),
      queue = { max_size = "8GiB" },
    },
  }
end

return {
  workers = env("WORKERS", 1),
  receivers = { otlp = { grpc = "127.0.0.1:0", http = "127.0.0.1:0" } },
  admin = { listen = "127.0.0.1:0", control = "off" },
  journal = {
    path = env "JOURNAL",
    ack = env("ACK", "memory"),
    max_size = "16GiB",
    history = env("HISTORY", "0"),
  },
  memory_limiter = { limit = "16GiB", spike_limit = "1GiB" },
  processors = { kept = is("REDACT", "on") and { processor "redact" {} } or {} },
  tail_sampling = not is("POLICIES", "none") and tail_sampling or nil,
  exporters = exporters,
}
