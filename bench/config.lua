-- What bench/run measures: the same work as otelcol.yaml beside it, exporting to nothing.
return {
  workers = env("WORKERS", 1),
  receivers = { otlp = { grpc = "127.0.0.1:0", http = "127.0.0.1:0" } },
  admin = { listen = "127.0.0.1:0", control = "off" },
  journal = { path = env "JOURNAL", ack = env("ACK", "memory"), max_size = "8GiB" },
  memory_limiter = { limit = "16GiB", spike_limit = "1GiB" },
  tail_sampling = {
    decision_wait = env("WAIT", "2s"),
    policies = {
      policy "status_code" { status_codes = { "ERROR" } },
      policy "latency" { threshold_ms = 500 },
      policy "probabilistic" { sampling_percentage = 10 },
    },
  },
  exporters = { exporter "nop" },
}
