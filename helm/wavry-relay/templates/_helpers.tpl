{{- /* The name of the WavryRelay: as the CRD has it, at most 40 characters that start with a letter. */}}
{{- define "wavry-relay.name" -}}
{{- $name := .Values.fullnameOverride | default .Release.Name -}}
{{- if or (gt (len $name) 40) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name)) -}}
{{- fail (printf "%q can't be the name of a WavryRelay: it has to start with a letter and hold at most 40 lower-case letters, digits and \"-\"; choose another name of the release, or set fullnameOverride" $name) -}}
{{- end -}}
{{ $name }}
{{- end -}}
