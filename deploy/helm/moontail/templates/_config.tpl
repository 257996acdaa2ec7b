{{/* config.lua from values. Sizes that need a restart come from the pod's environment. */}}
{{- define "moontail.config" -}}
{{- $v := .Values -}}
return {
  receivers = { otlp = {
    grpc = {{ ternary (printf "\":%d\"" (int (index $v.ports "otlp").containerPort)) "false" (index $v.ports "otlp").enabled }},
    http = {{ ternary (printf "\":%d\"" (int (index $v.ports "otlp-http").containerPort)) "false" (index $v.ports "otlp-http").enabled }},
  } },
  admin = { listen = ":{{ int $v.ports.admin.containerPort }}" },
  shutdown_timeout = env "SHUTDOWN_TIMEOUT",
  memory_limiter = { limit = env "MEMORY_LIMIT", spike_limit = env "MEMORY_SPIKE_LIMIT" },
  journal = { max_size = env "JOURNAL_MAX_SIZE", ack = env "JOURNAL_ACK", on_shutdown = env "JOURNAL_ON_SHUTDOWN" },
{{- with $v.resourceDetection }}
  resource_detection = { {{ range $i, $name := . }}{{ if $i }}, {{ end }}{{ include "moontail.lua" $name }}{{ end }} },
{{- end }}
{{- if $v.redact }}
  processors = { kept = { processor "redact" {} } },
{{- end }}
  tail_sampling = {
    decision_wait = {{ include "moontail.lua" $v.sampling.decisionWait }},
    policies = {
{{- range $v.sampling.policies }}
      {{ . }},
{{- end }}
      policy "drop_health_checks",
      policy "status_code" { status_codes = { "ERROR" } },
      policy "latency" { threshold_ms = {{ $v.sampling.latencyThresholdMs }} },
      policy "probabilistic" { sampling_percentage = {{ $v.sampling.percentage }} },
    },
  },
{{- with $v.clusterName }}
  resource = { cluster_name = {{ include "moontail.lua" . }} },
{{- end }}
  exporters = {
{{- with $v.exporters.xray }}
{{- if .enabled }}
    exporter "xray" {
{{- with .region }}
      region = {{ include "moontail.lua" . }},
{{- end }}
      index_all_attributes = {{ .indexAllAttributes }},
{{- with .roleArn }}
      role_arn = {{ include "moontail.lua" . }},
{{- end }}
{{- with .externalId }}
      external_id = {{ include "moontail.lua" . }},
{{- end }}
{{- with .endpoint }}
      endpoint = {{ include "moontail.lua" . }},
{{- end }}
    },
{{- end }}
{{- end }}
{{- with $v.exporters.otlp }}
{{- if .enabled }}
    exporter "otlp" { endpoint = {{ include "moontail.lua" .endpoint }}, protocol = {{ include "moontail.lua" .protocol }} },
{{- end }}
{{- end }}
{{- if $v.exporters.debug.enabled }}
    exporter "debug",
{{- end }}
{{- range $v.exporters.extra }}
    {{ . }},
{{- end }}
  },
}
{{- end -}}
