{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/*
What scrapes the second listener of a component, through the one Service that has the label. service and job replace what the operator would
set: the rules and the dashboard go by them, and core's own label service has the same value. (list . "core")
*/}}
{{- define "dify-sso.servicemonitor" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $c := include "dify-sso.component" . | fromYaml -}}
{{- $m := $root.Values.monitoring.serviceMonitor -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "dify-sso.metadata" (append . "") | nindent 2 }}
    {{- with $m.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  namespaceSelector:
    matchNames: [{{ $root.Release.Namespace }}]
  selector:
    matchLabels:
      {{- include "dify-sso.selectorLabels" . | nindent 6 }}
      dify-sso/listener: inner
  endpoints:
    - port: inner
      path: /metrics
      interval: {{ $m.interval }}
      scrapeTimeout: {{ $m.scrapeTimeout }}
      {{- if (index $root.Values $name).tls.existingSecret }}
      scheme: https
      tlsConfig:
        serverName: {{ $c.fullname }}-inner.{{ $root.Release.Namespace }}.svc
        {{- with $m.ca.configMap }}
        ca:
          configMap: {name: {{ . }}, key: {{ $m.ca.key }}}
        {{- end }}
      {{- end }}
      relabelings:
        - {targetLabel: job, replacement: {{ $m.job }}}
        - {targetLabel: service, replacement: {{ $c.program }}}
{{- end -}}
