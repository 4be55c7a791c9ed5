{{/* Labels of everything in this chart. */}}
{{- define "headworks.labels" -}}
{{ include "headworks.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What selects the operator's pods. Never changes: a Deployment's selector can't. */}}
{{- define "headworks.selector" -}}
app.kubernetes.io/name: headworks-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
