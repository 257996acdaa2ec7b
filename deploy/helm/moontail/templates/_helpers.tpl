{{- define "moontail.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "moontail.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "moontail.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "moontail.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "moontail.selectorLabels" -}}
app.kubernetes.io/name: {{ include "moontail.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "moontail.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "moontail.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "moontail.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "moontail.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "moontail.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "moontail.configMapName" -}}
{{- default (include "moontail.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{- define "moontail.internalTrafficPolicy" -}}
{{- default (ternary "Local" "Cluster" (eq .Values.mode "daemonset")) .Values.service.internalTrafficPolicy -}}
{{- end -}}

{{/* The bytes of "400MiB", "512Mi", "1.5G" or "1000". */}}
{{- define "moontail.bytes" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- $unit := trimSuffix "B" (trimPrefix $number $text) -}}
{{- $units := dict "" 1 "k" 1000 "K" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if not (hasKey $units $unit) -}}{{- fail (printf "%s is not a size such as 512Mi" $text) -}}{{- end -}}
{{- mulf (float64 $number) (get $units $unit) | int64 -}}
{{- end -}}

{{/* A Lua string: JSON's escapes are Lua's, but for \u, which Lua 5.1 has not. */}}
{{- define "moontail.lua" -}}
{{- toString . | replace "\\" "\\\\" | replace "\"" "\\\"" | replace "\n" "\\n" | printf "\"%s\"" -}}
{{- end -}}

{{/* True if the journal lies in an emptyDir. */}}
{{- define "moontail.journalIsTemporary" -}}
{{- if not (and (eq .Values.mode "statefulset") .Values.persistence.enabled) -}}true{{- end -}}
{{- end -}}
