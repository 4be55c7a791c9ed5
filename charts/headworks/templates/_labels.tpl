{{/* Labels of everything in this chart. */}}
{{- define "headworks.labels" -}}
{{ include "headworks.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The operator's arguments. */}}
{{- define "headworks.arguments" -}}
{{- if .Values.webhook.enabled }}
- --webhook-listen=0.0.0.0:9443
- --webhook-certificate-days={{ .Values.webhook.certificateDays }}
{{- end }}
{{- range .Values.watchNamespaces }}
- --watch-namespace={{ . }}
{{- end }}
{{- range .Values.strimziNamespaces }}
- --strimzi-namespace={{ . }}
{{- end }}
{{- if .Values.watchNamespaces }}
{{- range .Values.grantNamespaces }}
- --grant-namespace={{ . }}
{{- end }}
{{- end }}
{{- if not .Values.accessGrants.enabled }}
- --no-access-grants
{{- end }}
{{- if .Values.networkPolicies.workloads }}
- --network-policies
{{- range .Values.networkPolicies.metricsNamespaces }}
- --metrics-namespace={{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* What selects the operator's pods. Never changes: a Deployment's selector can't. */}}
{{- define "headworks.selector" -}}
app.kubernetes.io/name: headworks-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
