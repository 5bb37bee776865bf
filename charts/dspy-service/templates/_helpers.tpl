{{/* Names. With a release named as the chart they are the operator's defaults. */}}
{{- define "dspy-service.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Of what lives outside namespaces: two releases may share a cluster. */}}
{{- define "dspy-service.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "dspy-service.fullname" .) | trunc 100 }}
{{- end }}

{{- define "dspy-service.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: dspy-service
{{- end }}

{{/* What selects the pods of one part: (list . "api"). */}}
{{- define "dspy-service.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ $.Chart.Name }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "dspy-service.image" -}}
{{- $ := index . 0 -}}{{- $image := index $.Values.image (index . 1) -}}
{{- $name := printf "%s:%s" $image.repository ($image.tag | default $.Chart.AppVersion) -}}
{{- with $.Values.image.registry }}{{ printf "%s/%s" (trimSuffix "/" .) $name }}{{ else }}{{ $name }}{{ end }}
{{- end }}

{{- define "dspy-service.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* JSON lists, for fromJsonArray. */}}
{{- define "dspy-service.namespaces" -}}
{{ .Values.namespaces | default (list .Release.Namespace) | toJson }}
{{- end }}
{{- define "dspy-service.namespace" -}}
{{ include "dspy-service.namespaces" . | fromJsonArray | first }}
{{- end }}

{{/* "true" where the store is a claim, and where one node alone may mount it. */}}
{{- define "dspy-service.onClaim" -}}
{{- if hasPrefix "file:" .Values.store.url }}true{{ end }}
{{- end }}
{{- define "dspy-service.onOneNode" -}}
{{- if and (include "dspy-service.onClaim" .) (eq .Values.store.claim.accessMode "ReadWriteOnce") }}true{{ end }}
{{- end }}
{{- define "dspy-service.claim" -}}
{{ .Values.store.claim.existing | default (printf "%s-store" (include "dspy-service.fullname" .)) }}
{{- end }}

{{/* Whatever mounts such a claim keeps to the node of whatever else does. The first pod is let in by being its own
companion. */}}
{{- define "dspy-service.storeLabels" -}}
{{- if include "dspy-service.onOneNode" . }}
dspy-service.io/store: {{ include "dspy-service.claim" . }}
{{- end }}
{{- end }}
{{- define "dspy-service.storeAffinity" -}}
{{- if include "dspy-service.onOneNode" . }}
podAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          dspy-service.io/store: {{ include "dspy-service.claim" . }}
{{- end }}
{{- end }}

{{- define "dspy-service.registryName" -}}
{{ include "dspy-service.fullname" . }}-registry
{{- end }}

{{/* Hosts that a base_url may name; where they are limited, the model of `helm test` is one of them. */}}
{{- define "dspy-service.baseUrlHosts" -}}
{{- with .Values.allowed.baseUrlHosts }}
{{- append . (include "dspy-service.testHost" $) | join "," }}
{{- end }}
{{- end }}
{{- define "dspy-service.testHost" -}}
{{ include "dspy-service.fullname" . }}-test.{{ .Release.Namespace }}.svc
{{- end }}

{{/* Names by which the Service and the Ingress are reached; addresses need no listing. */}}
{{- define "dspy-service.trustedHosts" -}}
{{- $name := include "dspy-service.fullname" . -}}
{{- $local := printf "%s.%s.svc" $name .Release.Namespace -}}
{{- $own := list $name (printf "%s.%s" $name .Release.Namespace) $local (printf "%s.cluster.local" $local) -}}
{{- concat $own (list .Values.ingress.host) .Values.auth.trustedHosts | compact | uniq | join "," -}}
{{- end }}

{{/* Security as the restricted profile of Pod Security asks for it. */}}
{{- define "dspy-service.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- define "dspy-service.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What API and operator have in common: variables, mounts and volumes of store, registry and CA bundle. */}}
{{- define "dspy-service.sharedEnv" -}}
- name: DSPY_SERVICE_STORE_URL
  value: {{ .Values.store.url }}
- name: DSPY_SERVICE_LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: DSPY_SERVICE_METRICS_PORT
  value: {{ .Values.metrics.port | quote }}
- name: DSPY_SERVICE_MOST_THREADS
  value: {{ .Values.jobs.mostThreads | quote }}
{{- with include "dspy-service.baseUrlHosts" . }}
- name: DSPY_SERVICE_ALLOWED_BASE_URL_HOSTS
  value: {{ . | quote }}
{{- end }}
{{- if .Values.registry }}
- name: DSPY_SERVICE_REGISTRY
  value: /etc/dspy-service/registry/registry.yaml
{{- end }}
{{- if .Values.caBundle.configMap }}
{{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" }}
- name: {{ . }}
  value: /etc/dspy-service/ca/{{ $.Values.caBundle.key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "dspy-service.extraEnv" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "dspy-service.sharedMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if include "dspy-service.onClaim" . }}
- name: store
  mountPath: /store
{{- end }}
{{- if .Values.registry }}
- name: registry
  mountPath: /etc/dspy-service/registry
  readOnly: true
{{- end }}
{{- if .Values.caBundle.configMap }}
- name: ca
  mountPath: /etc/dspy-service/ca
  readOnly: true
{{- end }}
{{- end }}

{{- define "dspy-service.sharedVolumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 2Gi
{{- if include "dspy-service.onClaim" . }}
- name: store
  persistentVolumeClaim:
    claimName: {{ include "dspy-service.claim" . }}
{{- end }}
{{- if .Values.registry }}
- name: registry
  configMap:
    name: {{ include "dspy-service.registryName" . }}
{{- end }}
{{- with .Values.caBundle.configMap }}
- name: ca
  configMap:
    name: {{ . }}
{{- end }}
{{- end }}

{{- define "dspy-service.modelKeysSecret" -}}
{{ .Values.modelKeys.secret | default (printf "%s-model-keys" (include "dspy-service.fullname" .)) }}
{{- end }}

{{/* Secrets that no job may name by keyFrom, whatever label they carry: a JSON list, for fromJsonArray. */}}
{{- define "dspy-service.ownSecrets" -}}
{{- $keys := include "dspy-service.modelKeysSecret" . -}}
{{- $access := list .Values.auth.tokenSecret.name .Values.tls.secretName .Values.ingress.tlsSecretName -}}
{{ concat (list $keys .Values.store.secret) $access .Values.image.pullSecrets | compact | uniq | toJson }}
{{- end }}

{{- define "dspy-service.storeEnvFrom" -}}
{{- with .Values.store.secret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end }}

{{/* Placement of one part's pods: (list . "api"). */}}
{{- define "dspy-service.placement" -}}
{{- $ := index . 0 -}}{{- $part := index $.Values (index . 1) -}}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if include "dspy-service.onOneNode" $ }}
affinity:
  {{- include "dspy-service.storeAffinity" $ | trim | nindent 2 }}
{{- else }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "dspy-service.selector" . | nindent 8 }}
{{- end }}
{{- end }}
