{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* The pods of a component of this release, as a peer. (list . "core") */}}
{{- define "dify-sso.peer" -}}
- podSelector:
    matchLabels:
      {{- include "dify-sso.selectorLabels" . | nindent 6 }}
{{- end -}}

{{/* Ports and destinations of one row of networkPolicy.egress; nothing without ports. {ports, to, udp} */}}
{{- define "dify-sso.egressRule" -}}
{{- $rule := . -}}
{{- if .ports -}}
- ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- if $rule.udp }}
    - {protocol: UDP, port: {{ . }}}
    {{- end }}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/*
Both directions of a component. Nothing that is not named here is let through: the second listener least of all. (list . "core")
*/}}
{{- define "dify-sso.networkpolicy" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $core := eq $name "core" -}}
{{- $v := index $root.Values $name -}}
{{- $np := $v.networkPolicy -}}
{{- $c := include "dify-sso.component" . | fromYaml -}}
{{- $other := ternary "bridge" "core" $core -}}
{{- $o := include "dify-sso.component" (list $root $other) | fromYaml -}}
{{- $bridge := $root.Values.bridge -}}
{{- $postgres := eq $v.storage.type "postgres" -}}
{{- $external := and $core (not $bridge.enabled) (include "dify-sso.enterprise" $root) -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "dify-sso.metadata" (append . "") | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ include "dify-sso.name" $root }}
      app.kubernetes.io/instance: {{ $root.Release.Name }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: [{{ $name }}, {{ $name }}-migrate]}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports: [{protocol: TCP, port: {{ $c.port }}}]
      {{- with $np.publicFrom }}
      from:
        {{- toYaml . | nindent 8 }}
        {{- include "dify-sso.peer" (list $root "probe") | nindent 8 }}
      {{- end }}
    - ports: [{protocol: TCP, port: {{ $c.inner }}}]
      from:
        {{- /* Its own pods: the command doctor asks each of them. */}}
        {{- include "dify-sso.peer" (list $root $name) | nindent 8 }}
        {{- if $bridge.enabled }}
        {{- include "dify-sso.peer" (list $root $other) | nindent 8 }}
        {{- end }}
        {{- with $np.monitoringFrom }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- with $np.innerFrom }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- if $external }}
        {{- with $v.externalBridge.from }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- end }}
    {{- with $np.extraIngress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  egress:
    {{- include "dify-sso.egressRule" (merge (dict "udp" true) $np.egress.dns) | nindent 4 }}
    {{- if $postgres }}
    {{- include "dify-sso.egressRule" $np.egress.postgres | nindent 4 }}
    {{- include "dify-sso.egressRule" $np.egress.redis | nindent 4 }}
    {{- end }}
    {{- if $core }}
    {{- include "dify-sso.egressRule" $np.egress.runtimes | nindent 4 }}
    {{- else }}
    {{- include "dify-sso.egressRule" $np.egress.identityProviders | nindent 4 }}
    {{- end }}
    - ports: [{protocol: TCP, port: {{ $c.inner }}}]
      to:
        {{- include "dify-sso.peer" (list $root $name) | nindent 8 }}
    {{- if $bridge.enabled }}
    - ports: [{protocol: TCP, port: {{ $o.inner }}}]
      to:
        {{- include "dify-sso.peer" (list $root $other) | nindent 8 }}
    {{- end }}
    {{- if $external }}
    - ports: [{protocol: TCP, port: {{ $v.externalBridge.port }}}]
    {{- end }}
    {{- if $v.config.OTEL_EXPORTER_OTLP_ENDPOINT }}
    {{- include "dify-sso.egressRule" $np.egress.collector | nindent 4 }}
    {{- end }}
    {{- with $np.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
