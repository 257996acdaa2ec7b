-- The backend of rows that export: takes OTLP and throws it away, at little cost to the generator's CPU.
return {
  workers = 1,
  receivers = { otlp = { grpc = "127.0.0.1:0", http = "127.0.0.1:0" } },
  admin = { listen = "127.0.0.1:0", control = "off" },
  journal = { path = env "JOURNAL", ack = "memory" },
  memory_limiter = { limit = "4GiB", spike_limit = "1GiB" },
  exporters = { exporter "nop" },
}
