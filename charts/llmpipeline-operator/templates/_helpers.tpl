{{- define "op.name" -}}
{{- /* A Service's name has no dots and begins with a letter; a release's may. */ -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if regexMatch "^[0-9]" $release }}{{ $release = printf "r%s" $release }}{{ end -}}
{{- if contains "llmpipeline" $release -}}{{ $release | trunc 53 | trimSuffix "-" }}{{- else -}}{{ printf "%s-llmpipeline" $release | trunc 53 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "op.selector" -}}
app.kubernetes.io/name: llmpipeline-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "op.labels" -}}
{{ include "op.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "op.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "op.name" .) }}
{{- end -}}

{{- define "op.kuberayNamespace" -}}
{{- /* Values kept from a release that had no such value (helm upgrade --reuse-values) mean the default. */ -}}
{{ .Values.kuberayNamespace | default "kuberay" }}
{{- end -}}

{{- define "op.passOn" -}}
{{- /* No label at all is one that is empty. Values of a release that had no passOn mean the operator's defaults. */ -}}
{{- with .Values.passOn -}}
{{- range .labels | default (list "") }}
- {{ printf "--pass-on-label=%s" (include "op.passedOn" .) }}
{{- end }}
{{- range .annotations }}
- {{ printf "--pass-on-annotation=%s" (include "op.passedOn" .) }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "op.passedOn" -}}
{{- if regexMatch "^(serving\\.llmpipeline\\.dev|app\\.kubernetes\\.io|ray\\.io|kubectl\\.kubernetes\\.io)/" . -}}
{{- fail (printf "passOn: %s cannot be passed on: it is reserved for Kubernetes tools and the operator; remove it" .) -}}
{{- end -}}
{{ . }}
{{- end -}}

{{- define "op.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{- else -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{- define "op.podSettings" -}}
serviceAccountName: {{ include "op.serviceAccount" . }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
