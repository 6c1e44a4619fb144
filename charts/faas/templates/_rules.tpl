{{- define "faas.rules.gateway" -}}
- apiGroups: [openfaas.com]
  resources: [functions]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, create, update, delete]
{{- if .Values.clusterRole }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, create, update, delete]
{{- end }}
{{- end }}

{{- define "faas.rules.operator" -}}
- apiGroups: [openfaas.com]
  resources: [functions]
  verbs: [get, list, watch]
# Where nobody says how many replicas, it does.
- apiGroups: [openfaas.com]
  resources: [functions/scale]
  verbs: [patch]
- apiGroups: [openfaas.com]
  resources: [functions/status]
  verbs: [get, update, patch]
# Owner references that block deletion need this.
- apiGroups: [openfaas.com]
  resources: [functions/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "faas.rules.queue-worker" -}}
# Which secrets a function has, and the one of them that signs its callbacks.
- apiGroups: [openfaas.com]
  resources: [functions]
  verbs: [get]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}

{{/*
The parts that talk to the API server, with spaces between them.
*/}}
{{- define "faas.accounts" -}}
gateway operator{{ if .Values.async }} queue-worker{{ end }}
{{- end }}
