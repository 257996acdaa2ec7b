{{- define "moontail.pod" -}}
{{- $v := .Values -}}
metadata:
  labels:
    {{- include "moontail.selectorLabels" . | nindent 4 }}
    {{- with $v.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: moontail
    {{- with $v.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "moontail.serviceAccountName" . }}
  automountServiceAccountToken: false
  {{- with $v.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $v.podSecurityContext | nindent 4 }}
  terminationGracePeriodSeconds: {{ int $v.terminationGracePeriodSeconds }}
  {{- if $v.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with $v.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with $v.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    - name: moontail
      image: {{ include "moontail.image" . | quote }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args: [run, --config, /etc/moontail/config.lua]
      securityContext:
        {{- toYaml $v.securityContext | nindent 8 }}
      ports:
        {{- range $name, $port := $v.ports }}
        {{- if $port.enabled }}
        - name: {{ $name }}
          containerPort: {{ int $port.containerPort }}
          protocol: {{ $port.protocol }}
          {{- if $port.hostPort }}
          hostPort: {{ int $port.hostPort }}
          {{- end }}
        {{- end }}
        {{- end }}
      env:
        - name: MEMORY_LIMIT
          value: {{ $v.memoryLimiter.limit | quote }}
        - name: MEMORY_SPIKE_LIMIT
          value: {{ $v.memoryLimiter.spikeLimit | quote }}
        - name: JOURNAL_MAX_SIZE
          value: {{ $v.journal.maxSize | quote }}
        - name: JOURNAL_ACK
          value: {{ $v.journal.ack | quote }}
        - name: JOURNAL_ON_SHUTDOWN
          value: {{ $v.journal.onShutdown | quote }}
        - name: SHUTDOWN_TIMEOUT
          value: {{ printf "%ds" (int $v.shutdownTimeoutSeconds) | quote }}
        {{- if eq $v.mode "daemonset" }}
        # For resource_detection: what is true of the senders too. Their pods they name themselves.
        - name: K8S_NODE_NAME
          valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
        {{- end }}
        {{- with $v.clusterName }}
        - name: K8S_CLUSTER_NAME
          value: {{ . | quote }}
        {{- end }}
        {{- with $v.extraEnvs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $v.extraEnvsFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      livenessProbe:
        httpGet: { path: /livez, port: admin }
        {{- toYaml $v.livenessProbe | nindent 8 }}
      readinessProbe:
        httpGet: { path: /readyz, port: admin }
        {{- toYaml $v.readinessProbe | nindent 8 }}
      resources:
        {{- toYaml $v.resources | nindent 8 }}
      volumeMounts:
        # The whole folder: the kubelet never changes what is mounted with subPath.
        - name: config
          mountPath: /etc/moontail
          readOnly: true
        - name: journal
          mountPath: /var/lib/moontail
        {{- with $v.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "moontail.configMapName" . }}
    {{- if include "moontail.journalIsTemporary" . }}
    - name: journal
      emptyDir:
        {{- with $v.journal.emptyDir.sizeLimit }}
        sizeLimit: {{ . }}
        {{- end }}
        {{- with $v.journal.emptyDir.medium }}
        medium: {{ . }}
        {{- end }}
    {{- end }}
    {{- with $v.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $v.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
