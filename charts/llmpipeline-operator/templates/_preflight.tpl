{{/*
What would leave half an install, or two operators that write the same objects, is refused before anything is made.
`lookup` finds nothing where helm only renders (helm template), so none of this stands in the way there.
*/}}
{{- define "op.looks" -}}
{{- /* Values kept from a release that had no such value (helm upgrade --reuse-values) mean the default. */ -}}
{{- if dig "enabled" true (.Values.preflight | default dict) -}}yes{{- end -}}
{{- end -}}

{{- define "op.preflight" -}}
{{- $mine := printf "%s/%s" .Release.Namespace .Release.Name -}}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "llmpipelines.serving.llmpipeline.dev" -}}
{{- if and .Values.crds.enabled $crd -}}
  {{- $notes := $crd.metadata.annotations | default dict -}}
  {{- $owner := printf "%s/%s" (get $notes "meta.helm.sh/release-namespace") (get $notes "meta.helm.sh/release-name") -}}
  {{- if ne $owner $mine -}}
    {{- if eq $owner "/" -}}
      {{- fail "the CRD llmpipelines.serving.llmpipeline.dev is in this cluster already, and not by helm; install with --set crds.enabled=false and go on updating it as it was made" -}}
    {{- end -}}
    {{- fail (printf "the CRD llmpipelines.serving.llmpipeline.dev belongs to the release %s; upgrade that one, or, where it was uninstalled, install by its name and namespace or with --set crds.enabled=false" $owner) -}}
  {{- end -}}
{{- end -}}
{{- /* helm looks at all manifests before it makes the first, so the CRD must be there already. */ -}}
{{- if and (dig "create" false (.Values.defaultClass | default dict)) (lookup "v1" "Namespace" "" "kube-system") (not (.Capabilities.APIVersions.Has "serving.llmpipeline.dev/v1alpha1/LLMPipelineClass")) -}}
  {{- fail "defaultClass: the API server does not know LLMPipelineClass yet; install or upgrade first with --set defaultClass.create=false, then upgrade with it" -}}
{{- end -}}
{{- range .Values.watchNamespaces -}}
  {{- /* The release's own may be made by this very install: --create-namespace. */ -}}
  {{- if and (ne . $.Release.Namespace) (lookup "v1" "Namespace" "" "kube-system") (not (lookup "v1" "Namespace" "" .)) -}}
    {{- fail (printf "watchNamespaces: there is no namespace %s; create it first" .) -}}
  {{- end -}}
{{- end -}}
{{- range (lookup "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "" "").items -}}
  {{- $labels := .metadata.labels | default dict -}}
  {{- if and (eq (get $labels "app.kubernetes.io/name") "llmpipeline-operator") .subjects -}}
    {{- $other := printf "%s/%s" (first .subjects).namespace (get $labels "app.kubernetes.io/instance") -}}
    {{- if ne $other $mine -}}
      {{- fail (printf "the release %s watches all namespaces of this cluster already, and two operators must not write the same pipelines; upgrade that one, or give it watchNamespaces" $other) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $watched := .Values.watchNamespaces -}}
{{- range (lookup "rbac.authorization.k8s.io/v1" "RoleBinding" "" "").items -}}
  {{- $labels := .metadata.labels | default dict -}}
  {{- if and (eq (get $labels "app.kubernetes.io/name") "llmpipeline-operator") (eq (get $labels "app.kubernetes.io/component") "watched-namespace") .subjects -}}
    {{- $other := printf "%s/%s" (first .subjects).namespace (get $labels "app.kubernetes.io/instance") -}}
    {{- if and (ne $other $mine) (or (not $watched) (has .metadata.namespace $watched)) -}}
      {{- fail (printf "the release %s watches the namespace %s already, and two operators must not write the same pipelines; leave the namespace to one of them (watchNamespaces)" $other .metadata.namespace) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
