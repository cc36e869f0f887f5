{{/* What everything of this release is called: the release's name, or with the chart's behind it. */}}
{{- define "modelfleet.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "modelfleet.operator" -}}
{{ include "modelfleet.name" . }}-operator
{{- end -}}

{{- define "modelfleet.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "modelfleet.labels" -}}
{{ include "modelfleet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* A whole image name: (list registry {repository, tag} tag-when-empty). */}}
{{- define "modelfleet.image" -}}
{{- $registry := index . 0 -}}
{{- $image := index . 1 -}}
{{- with $registry }}{{ . }}/{{ end }}{{ $image.repository }}:{{ $image.tag | default (index . 2) }}
{{- end -}}

{{/* What the operator may do where it looks after models. docs/install.md says why, line by line. */}}
{{- define "modelfleet.rules" -}}
- apiGroups: [modelfleet.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [modelfleet.dev]
  resources: [modeldeployments/status]
  verbs: [get, patch, update]
- apiGroups: [apps]
  resources: [controllerrevisions, deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch, update]
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
