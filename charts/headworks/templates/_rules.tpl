{{/* What the operator may do where the objects are: in the whole cluster, or in each of watchNamespaces. Each verb has its reason; there
is none on Secrets (see secrets.yaml and credentials.yaml). */}}
{{- define "headworks.rules.objects" -}}
# Our kinds. get, list, watch: to see what users ask for. Nothing in a user's spec is ever written.
# patch: to set and take away the finalizer, so that what lies outside Kubernetes (topics, progress) is seen to at deletion.
- apiGroups: [headworks.dev]
  resources: [datastreams, datastores, sources, pipelines, qualityrules, replays]
  verbs: [get, list, watch, patch]
# create, delete: what runs beside a Pipeline with rollout.canary while a new version of it is tried out; what QualityRules own, the Pipelines that judge windows and the streams of their verdicts; and for AccessGrants with exceptLabels
# streams without labelled fields, and the Pipelines that fill them. Only such as carry their owner's reference are ever deleted.
- apiGroups: [headworks.dev]
  resources: [datastreams, pipelines]
  verbs: [create, delete]
# patch: to say in status what is so.
- apiGroups: [headworks.dev]
  resources: [datastreams/status, datastores/status, sources/status, pipelines/status, qualityrules/status, replays/status]
  verbs: [patch]
# update: to be named as owner of children, where the cluster checks that (OwnerReferencesPermissionEnforcement, as OpenShift does).
- apiGroups: [headworks.dev]
  resources: [datastreams/finalizers, datastores/finalizers, sources/finalizers, pipelines/finalizers, qualityrules/finalizers, replays/finalizers]
  verbs: [update]
# Children: contracts, plans and Kafka's CA (ConfigMaps), addresses (Services), pods of Sources and DataStores (Deployments) and of Pipelines
# (StatefulSets), and what keeps a drain from taking all pods of one at once (PodDisruptionBudgets).
#   list, watch: only those with our label, to notice what others do to them; of PodDisruptionBudgets all, because Kubernetes evicts no pod that
#   two of them cover, so ours steps aside where somebody else's covers the pods.
#   get: to see whether a name is taken by somebody else, who then keeps it; of ConfigMaps also those that a DataStream names (avroReferences, protobuf.imports).
#   create, patch: to apply them (server-side apply needs both). delete: to sweep what is no longer wanted.
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch, create, patch, delete]
# list, watch: metadata alone, to know by its controller whose a pod of a Deployment is. Labels prove nothing.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.networkPolicies.workloads }}
# Who may connect to the pods. As above; nothing is ever deleted.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
{{- end }}
# list: a plan that an older revision of a StatefulSet names isn't swept.
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [list]
# Pods with our label. list, watch: their readiness is a Pipeline's. delete: an unready pod of a superseded revision, for which a
# StatefulSet would wait for ever.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, delete]
# create: to say what happened. patch: to count it when it happens again.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* What AccessGrants need beyond that. */}}
{{- define "headworks.rules.grants" -}}
# As for the other kinds.
- apiGroups: [headworks.dev]
  resources: [accessgrants]
  verbs: [get, list, watch, patch]
- apiGroups: [headworks.dev]
  resources: [accessgrants/status]
  verbs: [patch]
- apiGroups: [headworks.dev]
  resources: [accessgrants/finalizers]
  verbs: [update]
{{- end }}

{{/* Strimzi's objects, where a Platform names a Strimzi cluster (docs/strimzi.md). */}}
{{- define "headworks.rules.strimzi" -}}
# get, list, watch: all KafkaTopics, because the Topic Operator's queue holds them all, and to see whose a topic is.
# create, patch: to apply ours. delete: to let ours go.
- apiGroups: [kafka.strimzi.io]
  resources: [kafkatopics, kafkausers]
  verbs: [get, list, watch, create, patch, delete]
# Is there a User Operator that would delete users made by the Admin API? list: Kafkas show it.
- apiGroups: [kafka.strimzi.io]
  resources: [kafkas]
  verbs: [list]
{{- end }}

{{/* Rules of that name, bound to the operator: in the whole cluster, or in each namespace of a list.
Takes a dict with root, name, rules (name of a template) and namespaces. */}}
{{- define "headworks.bound" -}}
{{- $root := .root }}{{- $name := .name }}{{- $rules := .rules }}
{{- if .namespaces }}
{{- range .namespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  namespace: {{ . }}
  labels: {{- include "headworks.labels" $root | nindent 4 }}
rules:
{{ include $rules $root | indent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}
  namespace: {{ . }}
  labels: {{- include "headworks.labels" $root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: headworks-operator
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- else }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $name }}
  labels: {{- include "headworks.labels" $root | nindent 4 }}
rules:
{{ include $rules $root | indent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $name }}
  labels: {{- include "headworks.labels" $root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: headworks-operator
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- end }}
