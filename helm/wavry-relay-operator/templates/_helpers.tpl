{{- define "wavry-relay-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "wavry-relay-operator.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "wavry-relay-operator.fullname" .) }}
{{- end -}}

{{- define "wavry-relay-operator.metricsName" -}}
{{ include "wavry-relay-operator.fullname" . }}-metrics
{{- end -}}

{{- /* Whose custom.metrics.k8s.io is, if not ours: empty when it is free. A cluster has one owner of it. */}}
{{- define "wavry-relay-operator.foreignMetrics" -}}
{{- range $version := list "v1beta1" "v1beta2" -}}
{{- with lookup "apiregistration.k8s.io/v1" "APIService" "" (printf "%s.custom.metrics.k8s.io" $version) -}}
{{- if not (include "wavry-relay-operator.isOurs" (list $ .)) -}}
{{- $service := .spec.service | default dict -}}
{{ .metadata.name }} belongs to {{ if $service.name }}Service {{ $service.namespace }}/{{ $service.name }}{{ else }}the API server itself{{ end }}. {{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Whether the APIServices of custom metrics are made where they are free. "--reuse-values" leaves out the value of a newer chart. */}}
{{- define "wavry-relay-operator.makesApiServices" -}}
{{- if and .Values.customMetrics.enabled (ne (toString .Values.customMetrics.apiServices) "false") -}}
yes
{{- end -}}
{{- end -}}

{{- /* Whether an APIService leads to this release's operator. */}}
{{- define "wavry-relay-operator.isOurs" -}}
{{- $service := (index . 1).spec.service | default dict -}}
{{- with index . 0 -}}
{{- if and (eq (toString $service.namespace) .Release.Namespace) (eq (toString $service.name) (include "wavry-relay-operator.metricsName" .)) -}}
yes
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "wavry-relay-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "wavry-relay-operator.labels" -}}
{{ include "wavry-relay-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "wavry-relay-operator.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{- /* What must be there but isn't, in words. Without a cluster ("helm template") nothing is known of what it has. */}}
{{- define "wavry-relay-operator.requirements" -}}
{{- if eq (int .Values.customMetrics.port) 8080 -}}
{{- fail "customMetrics.port: 8080 is the port of the probes and /metrics; choose another one, such as 10250" -}}
{{- end -}}
{{- if .Capabilities.APIVersions.Has "apiregistration.k8s.io/v1" -}}
{{- range $value, $kind := dict "serviceMonitor" "ServiceMonitor" "prometheusRule" "PrometheusRule" -}}
{{- if and (get $.Values.monitoring $value) (not ($.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" $kind))) -}}
{{- fail (printf "monitoring.%s: this cluster knows no %s, so nothing was done: install the Prometheus Operator first, or leave the value out" $value $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What the operator may do inside a namespace that it looks after. */}}
{{- define "wavry-relay-operator.rules" -}}
- apiGroups: [wavry.dev]
  resources: [wavryrelays]
  verbs: [get, list, watch]
- apiGroups: [wavry.dev]
  resources: [wavryrelays/status]
  verbs: [get, patch, update]
# Owner references with blockOwnerDeletion need this where OwnerReferencesPermissionEnforcement is on.
- apiGroups: [wavry.dev]
  resources: [wavryrelays/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [services, serviceaccounts, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# Of KEDA, where it is installed: whether one targets a WavryRelay.
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors, prometheusrules]
  verbs: [get, list, watch, create, patch, delete]
# By name only, those that a WavryRelay refers to: it can neither list nor watch them.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- /* As the restricted pod security standard asks for. */}}
{{- define "wavry-relay-operator.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "wavry-relay-operator.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}
