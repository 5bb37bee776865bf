{{/* What the operator is told of the pods that it makes. */}}
{{- define "dspy-service.runnerEnv" -}}
- name: DSPY_SERVICE_RUNNER_IMAGE
  value: {{ include "dspy-service.image" (list . "runner") }}
- name: DSPY_SERVICE_RUNNER_IMAGE_PULL_POLICY
  value: {{ .Values.image.pullPolicy }}
{{- with .Values.image.pullSecrets }}
- name: DSPY_SERVICE_RUNNER_IMAGE_PULL_SECRETS
  value: {{ join "," . | quote }}
{{- end }}
- name: DSPY_SERVICE_RUNNER_SERVICE_ACCOUNT
  value: {{ include "dspy-service.fullname" . }}-runner
- name: DSPY_SERVICE_RUNNER_REQUESTS
  value: {{ .Values.runner.resources.requests | default dict | toJson | quote }}
- name: DSPY_SERVICE_RUNNER_LIMITS
  value: {{ .Values.runner.resources.limits | default dict | toJson | quote }}
{{- with .Values.runner.nodeSelector }}
- name: DSPY_SERVICE_RUNNER_NODE_SELECTOR
  value: {{ toJson . | quote }}
{{- end }}
{{- with .Values.runner.tolerations }}
- name: DSPY_SERVICE_RUNNER_TOLERATIONS
  value: {{ toJson . | quote }}
{{- end }}
{{- with .Values.runner.priorityClassName }}
- name: DSPY_SERVICE_RUNNER_PRIORITY_CLASS
  value: {{ . }}
{{- end }}
{{- with mergeOverwrite (dict) .Values.runner.labels (include "dspy-service.storeLabels" . | fromYaml) }}
- name: DSPY_SERVICE_RUNNER_LABELS
  value: {{ toJson . | quote }}
{{- end }}
{{- with include "dspy-service.storeAffinity" . | fromYaml }}
- name: DSPY_SERVICE_RUNNER_AFFINITY
  value: {{ toJson . | quote }}
{{- end }}
{{- if include "dspy-service.onClaim" . }}
- name: DSPY_SERVICE_STORE_CLAIM
  value: {{ include "dspy-service.claim" . }}
{{- end }}
{{- with .Values.store.secret }}
- name: DSPY_SERVICE_STORE_SECRET
  value: {{ . }}
{{- end }}
{{- with .Values.caBundle.configMap }}
- name: DSPY_SERVICE_CA_CONFIG_MAP
  value: {{ . }}
- name: DSPY_SERVICE_CA_KEY
  value: {{ $.Values.caBundle.key }}
{{- end }}
{{- end }}
