{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/*
The paths that browsers and clients reach, and no others: what is not named here no gateway hands on, such as /inner/, /metrics, /healthz
and /readyz, which the public listener does not serve either. Those of core are the rows of docs/reference/routes.md. A group is a rule of the
HTTPRoute: eight matches are what every version of the Gateway API takes. (list . "core")
*/}}
{{- define "dify-sso.paths" -}}
{{- if eq (index . 1) "core" -}}
- name: api
  paths:
    - {type: Prefix, path: /openapi/v1}
    - {type: Prefix, path: /console/api}
- name: discovery
  paths:
    - {type: Exact, path: /.well-known/oauth-authorization-server}
    - {type: Exact, path: /.well-known/oauth-authorization-server/openapi/v1}
    - {type: Exact, path: /.well-known/oauth-protected-resource}
    - {type: Exact, path: /.well-known/oauth-protected-resource/openapi/v1}
- name: pages
  paths:
    - {type: Exact, path: /}
    - {type: Exact, path: /setup}
    - {type: Exact, path: /signin}
    - {type: Exact, path: /signout}
    - {type: Exact, path: /activate}
- name: areas
  paths:
    - {type: Prefix, path: /device}
    - {type: Prefix, path: /account}
    - {type: Prefix, path: /workspace}
    - {type: Prefix, path: /static}
{{- else -}}
- name: sso
  paths:
    - {type: Prefix, path: /sso}
{{- end -}}
{{- end -}}

{{/* The public address of a component. (list . "core") */}}
{{- define "dify-sso.publicURL" -}}
{{- $values := (index . 0).Values -}}
{{- ternary $values.core.config.CONSOLE_API_URL $values.bridge.config.SSO_BRIDGE_PUBLIC_URL (eq (index . 1) "core") -}}
{{- end -}}

{{- define "dify-sso.ingress" -}}
{{- $root := index . 0 -}}
{{- $v := index $root.Values (index . 1) -}}
{{- $ingress := $root.Values.ingress -}}
{{- $own := index $ingress (index . 1) -}}
{{- $c := include "dify-sso.component" . | fromYaml -}}
{{- $host := include "dify-sso.host" (include "dify-sso.publicURL" .) -}}
{{- $secret := $own.tlsSecretName -}}
{{- if eq $host (include "dify-sso.host" $root.Values.core.config.CONSOLE_API_URL) }}{{ $secret = default $ingress.core.tlsSecretName $secret }}{{ end -}}
{{- $tls := dict -}}
{{- if $v.tls.existingSecret }}{{ $tls = dict "nginx.ingress.kubernetes.io/backend-protocol" "HTTPS" }}{{ end -}}
{{- $annotations := merge (dict) $own.annotations $tls $ingress.streamingAnnotations -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "dify-sso.metadata" (append . "") | nindent 2 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . | quote }}
  {{- end }}
  tls:
    - hosts: [{{ $host | quote }}]
      {{- with $secret }}
      secretName: {{ . | quote }}
      {{- end }}
  rules:
    - host: {{ $host | quote }}
      http:
        paths:
          {{- range include "dify-sso.paths" . | fromYamlArray }}
          {{- range .paths }}
          - path: {{ .path }}
            pathType: {{ .type }}
            backend:
              service:
                name: {{ $c.fullname }}
                port: {number: {{ $v.service.port }}}
          {{- end }}
          {{- end }}
{{- end -}}

{{/* timeouts.request 0s on every rule: a stream lasts as long as the run, and core bounds both itself. */}}
{{- define "dify-sso.httproute" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $v := index $root.Values $name -}}
{{- $route := $root.Values.httpRoute -}}
{{- $own := index $route $name -}}
{{- $c := include "dify-sso.component" . | fromYaml -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  {{- include "dify-sso.metadata" (append . "") | nindent 2 }}
  {{- with $own.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  parentRefs:
    {{- toYaml (default $route.parentRefs $own.parentRefs) | nindent 4 }}
  hostnames: [{{ include "dify-sso.host" (include "dify-sso.publicURL" .) | quote }}]
  rules:
    {{- range include "dify-sso.paths" . | fromYamlArray }}
    - matches:
        {{- range .paths }}
        - path: {type: {{ ternary "PathPrefix" "Exact" (eq .type "Prefix") }}, value: {{ .path }}}
        {{- end }}
      timeouts: {request: 0s}
      backendRefs:
        - {name: {{ $c.fullname }}, port: {{ $v.service.port }}}
    {{- end }}
{{- end -}}
