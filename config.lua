-- The pipeline that moontail runs when it is given none: errors and slow traces always,
-- a tenth of the rest, health checks never. Copy this file and edit it.
return {
  tail_sampling = {
    policies = {
      policy "drop_health_checks",
      policy "status_code" { status_codes = { "ERROR" } },
      policy "latency" { threshold_ms = 500 },
      policy "probabilistic" { sampling_percentage = 10 },
    },
  },
  exporters = { exporter "debug" },
}
