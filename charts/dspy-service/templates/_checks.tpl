{{/* What values contradict each other, said before anything is installed. */}}
{{- define "dspy-service.checks" -}}
{{- $namespaces := include "dspy-service.namespaces" . | fromJsonArray -}}
{{- if and (include "dspy-service.onClaim" .) (ne (toJson $namespaces) (toJson (list .Release.Namespace))) }}
{{- fail "namespaces: a claim serves the release's own namespace alone; use an object store (store.url) for others" }}
{{- end }}
{{- if and (eq .Values.auth.mode "token") (not .Values.auth.tokenSecret.name) }}
{{- fail "auth.tokenSecret.name: auth.mode token needs the Secret that holds it" }}
{{- end }}
{{- if and .Values.registry (not (hasKey .Values.registry "registry.yaml")) }}
{{- fail "registry: one of its files must be registry.yaml" }}
{{- end }}
{{- end }}
