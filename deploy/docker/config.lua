-- What the image runs: OTLP in; errors and slow traces always, a share of the rest, health checks
-- never; to AWS X-Ray, in the region that AWS_REGION or the machine says. Mount another file here, or
-- make an image of your own:
--     FROM moontail
--     COPY config.lua /etc/moontail/config.lua
local cluster = env("CLUSTER_NAME", "")
local in_task = env("ECS_CONTAINER_METADATA_URI_V4", "") ~= "" -- ECS sets it

return {
  receivers = { otlp = { grpc = ":4317", http = ":4318" } },
  admin = { listen = ":13133" },
  memory_limiter = { limit = env("MEMORY_LIMIT", "400MiB"), spike_limit = env("MEMORY_SPIKE_LIMIT", "100MiB") },
  resource_detection = in_task and { "env", "ecs" } or { "env" },
  processors = { kept = { processor "redact" {} } },
  tail_sampling = {
    decision_wait = env("DECISION_WAIT", "10s"),
    policies = {
      policy "drop_health_checks",
      policy "status_code" { status_codes = { "ERROR" } },
      policy "latency" { threshold_ms = env("LATENCY_THRESHOLD_MS", 500) },
      policy "probabilistic" { sampling_percentage = env("SAMPLING_PERCENTAGE", 10) },
    },
  },
  resource = cluster ~= "" and { cluster_name = cluster } or {},
  exporters = { exporter "xray" { index_all_attributes = true } },
}
