{{/* Combinations that would run, and lose data or be killed. */}}
{{- define "moontail.checks" -}}
{{- $v := .Values -}}
{{- if and (ne $v.mode "daemonset") (gt (int $v.replicaCount) 1) (not $v.routedByTraceId) -}}
{{- fail (printf "replicaCount is %d: each replica would decide on a part of each trace. Route by trace id to the headless service (see the chart's README) and set routedByTraceId, or use one replica" (int $v.replicaCount)) -}}
{{- end -}}

{{- $limiter := include "moontail.bytes" $v.memoryLimiter.limit | int64 -}}
{{- $journal := include "moontail.bytes" $v.journal.maxSize | int64 -}}
{{- if le $limiter (include "moontail.bytes" $v.memoryLimiter.spikeLimit | int64) -}}
{{- fail (printf "memoryLimiter.spikeLimit %s is not below memoryLimiter.limit %s" $v.memoryLimiter.spikeLimit $v.memoryLimiter.limit) -}}
{{- end -}}
{{- $limits := default dict $v.resources.limits -}}
{{- $memory := 0 -}}
{{- with $limits.memory -}}
{{- $memory = include "moontail.bytes" . | int64 -}}
{{- if lt $memory (mulf $limiter 1.25 | int64) -}}
{{- fail (printf "resources.limits.memory %v is less than 1.25 times memoryLimiter.limit %s: the kernel would end the program before it can refuse" . $v.memoryLimiter.limit) -}}
{{- end -}}
{{- end -}}

{{- if include "moontail.journalIsTemporary" . -}}
{{- with $v.journal.emptyDir.sizeLimit -}}
{{- if lt (include "moontail.bytes" . | int64) $journal -}}
{{- fail (printf "journal.emptyDir.sizeLimit %v is less than journal.maxSize %s: the kubelet would evict the pod" . $v.journal.maxSize) -}}
{{- end -}}
{{- end -}}
{{- if eq $v.journal.emptyDir.medium "Memory" -}}
{{- if and $memory (lt $memory (addf (mulf $limiter 1.25) $journal | int64)) -}}
{{- fail (printf "journal.emptyDir.medium is Memory: resources.limits.memory %v must be 1.25 times memoryLimiter.limit and journal.maxSize %s besides" $limits.memory $v.journal.maxSize) -}}
{{- end -}}
{{- else -}}
{{- with index $limits "ephemeral-storage" -}}
{{- if lt (include "moontail.bytes" . | int64) $journal -}}
{{- fail (printf "resources.limits.ephemeral-storage %v is less than journal.maxSize %s: the kubelet would evict the pod" . $v.journal.maxSize) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq $v.journal.onShutdown "keep" -}}
{{- fail (printf "journal.onShutdown is keep, but in mode %s the journal goes with the pod, and what waits with it; use mode statefulset with persistence, or decide" $v.mode) -}}
{{- end -}}
{{- else -}}
{{- if lt (include "moontail.bytes" $v.persistence.size | int64) (mulf $journal 1.2 | int64) -}}
{{- fail (printf "persistence.size %v is less than 1.2 times journal.maxSize %s: a tenth of the file system stays free (journal.min_free), and the file system takes its own" $v.persistence.size $v.journal.maxSize) -}}
{{- end -}}
{{- end -}}

{{- if le (int $v.terminationGracePeriodSeconds) (int $v.shutdownTimeoutSeconds) -}}
{{- fail (printf "terminationGracePeriodSeconds %d is not above shutdownTimeoutSeconds %d: the program would be killed while it flushes" (int $v.terminationGracePeriodSeconds) (int $v.shutdownTimeoutSeconds)) -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) $v.serviceAccount.annotations -}}
{{- fail "serviceAccount.annotations (the IAM role) are lost where serviceAccount.create is false: annotate the account that serviceAccount.name names" -}}
{{- end -}}
{{- if not $v.ports.admin.enabled -}}
{{- fail "ports.admin is what the probes ask: it can't be off" -}}
{{- end -}}
{{- if not (or (index $v.ports "otlp").enabled (index $v.ports "otlp-http").enabled) -}}
{{- fail "neither ports.otlp nor ports.otlp-http is enabled: nobody could send" -}}
{{- end -}}
{{- if and $v.existingConfigMap (or $v.config $v.scripts) -}}
{{- fail "existingConfigMap is mounted in place of the chart's: config and scripts would be ignored" -}}
{{- end -}}
{{- if $v.config -}}
{{- range tuple "MEMORY_LIMIT" "JOURNAL_MAX_SIZE" -}}
{{- if not (contains (printf "env \"%s\"" .) (replace "env(\"" "env \"" $v.config)) -}}
{{- fail (printf "config does not read env %q, which the chart sets from values and holds the pod's sizes to: memory_limiter = { limit = env \"MEMORY_LIMIT\", spike_limit = env \"MEMORY_SPIKE_LIMIT\" }, journal = { max_size = env \"JOURNAL_MAX_SIZE\", ack = env \"JOURNAL_ACK\", on_shutdown = env \"JOURNAL_ON_SHUTDOWN\" }" .) -}}
{{- end -}}
{{- end -}}
{{- if not (contains "admin" $v.config) -}}
{{- fail (printf "config does not say where admin listens: without admin = { listen = \":%d\" } it is on 127.0.0.1, where the kubelet's probes don't reach it, and the pod would be killed" (int $v.ports.admin.containerPort)) -}}
{{- end -}}
{{- end -}}
{{- if not (or $v.config $v.existingConfigMap) -}}
{{- $x := $v.exporters -}}
{{- if not (or $x.xray.enabled $x.otlp.enabled $x.debug.enabled $x.extra) -}}
{{- fail "no exporter is enabled: kept traces would have nowhere to go" -}}
{{- end -}}
{{- if and $x.otlp.enabled (not $x.otlp.endpoint) -}}
{{- fail "exporters.otlp.endpoint is missing, such as http://tempo:4317" -}}
{{- end -}}
{{- end -}}
{{- range $path, $text := $v.scripts -}}
{{- if not (regexMatch "^((policies|processors|exporters)/)?[A-Za-z0-9_-]+\\.lua$" $path) -}}
{{- fail (printf "scripts: %s is not NAME.lua in policies/, processors/ or exporters/" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
