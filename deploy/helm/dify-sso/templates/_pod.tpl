{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* What every pod says, whatever runs in it. (list . "core") */}}
{{- define "dify-sso.podBasics" -}}
{{- $root := index . 0 -}}
{{- $v := index $root.Values (index . 1) -}}
serviceAccountName: {{ include "dify-sso.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Image, user and rights of a container of ours. (list . "core") */}}
{{- define "dify-sso.containerBasics" -}}
{{- $v := index (index . 0).Values (index . 1) -}}
image: {{ include "dify-sso.image" . | quote }}
imagePullPolicy: {{ $v.image.pullPolicy }}
{{- with $v.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
The container that brings the schema up. It gets the addresses of the database and nothing else: no key, no setting, and the
server in its turn never gets the owner's address. (list . "core")
*/}}
{{- define "dify-sso.migrationContainer" -}}
{{- $v := index (index . 0).Values (index . 1) -}}
- name: migrate
  {{- include "dify-sso.containerBasics" . | nindent 2 }}
  args: [migrate, up]
  env:
    {{- range include "dify-sso.migrationSecrets" . | fromYamlArray }}
    - name: {{ .setting }}_FILE
      value: /etc/dify-sso/migrate/{{ .file }}
    {{- end }}
  {{- with $v.migrations.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - {name: migrate, mountPath: /etc/dify-sso/migrate, readOnly: true}
    - {name: tmp, mountPath: /tmp}
    {{- if $v.ca.configMap }}
    - {name: ca, mountPath: /etc/dify-sso/ca, readOnly: true}
    {{- end }}
    {{- with $v.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The volumes of the migrations, those that the pod of the server has too included. (list . "core") */}}
{{- define "dify-sso.migrationVolumes" -}}
{{- $v := index (index . 0).Values (index . 1) -}}
- name: migrate
  secret:
    secretName: {{ $v.secrets.existingSecret | quote }}
    defaultMode: 0440
    items:
      {{- range include "dify-sso.migrationSecrets" . | fromYamlArray }}
      - {key: {{ .key | quote }}, path: {{ .file }}}
      {{- end }}
{{- end -}}

{{/* Volumes of every pod: temporary files, roots, and what a person adds. (list . "core") */}}
{{- define "dify-sso.commonVolumes" -}}
{{- $v := index (index . 0).Values (index . 1) -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ $v.tmpSizeLimit }}
{{- with $v.ca.configMap }}
- name: ca
  configMap:
    name: {{ . | quote }}
    defaultMode: 0444
{{- end }}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The pod of a server. (list . "core") */}}
{{- define "dify-sso.pod" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $v := index $root.Values $name -}}
{{- $c := include "dify-sso.component" . | fromYaml -}}
{{- $embedded := eq $v.storage.type "embedded" -}}
{{- $scheme := ternary "HTTPS" "HTTP" (ne $v.tls.existingSecret "") -}}
{{- $secrets := include "dify-sso.secrets" . | fromYamlArray -}}
{{- $settings := include "dify-sso.settings" . | fromYaml -}}
{{- $migrates := and (not $embedded) (eq $v.migrations.mode "initContainer") -}}
metadata:
  labels:
    {{- include "dify-sso.podLabels" . | nindent 4 }}
    {{- with $v.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ $c.program }}
    # Settings are read at start, so other settings are other pods.
    checksum/config: {{ include "dify-sso.settings" . | sha256sum }}
    {{- with $v.restartToken }}
    dify-sso/restart-token: {{ . | quote }}
    {{- end }}
    {{- with $v.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "dify-sso.podBasics" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "dify-sso.terminationGracePeriodSeconds" . }}
  {{- with $v.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    -
      {{- toYaml (merge (dict) . (dict "matchLabelKeys" (list "pod-template-hash"))) | nindent 6 }}
      {{- if not .labelSelector }}
      labelSelector:
        matchLabels:
          {{- include "dify-sso.selectorLabels" (list $root $name) | nindent 10 }}
      {{- end }}
    {{- end }}
  {{- end }}
  {{- if or $migrates $v.extraInitContainers }}
  initContainers:
    {{- with $v.extraInitContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if $migrates }}
    {{- include "dify-sso.migrationContainer" . | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ $c.program }}
      {{- include "dify-sso.containerBasics" . | nindent 6 }}
      args:
        - serve
        {{- with $v.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      envFrom:
        - configMapRef: {name: {{ $c.fullname }}}
        {{- with $v.extraEnvFrom }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $v.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - {name: http, containerPort: {{ $c.port }}, protocol: TCP}
        - {name: inner, containerPort: {{ $c.inner }}, protocol: TCP}
      startupProbe:
        httpGet: {path: /healthz, port: inner, scheme: {{ $scheme }}}
        {{- toYaml $v.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: {path: /healthz, port: inner, scheme: {{ $scheme }}}
        {{- toYaml $v.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: inner, scheme: {{ $scheme }}}
        {{- toYaml $v.probes.readiness | nindent 8 }}
      {{- with $v.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if $secrets }}
        - {name: secrets, mountPath: /etc/dify-sso/secrets, readOnly: true}
        {{- end }}
        {{- if $settings.KEYSET_FILE }}
        - {name: keyset, mountPath: /etc/dify-sso/keyset, readOnly: true}
        {{- end }}
        {{- if $v.tls.existingSecret }}
        - {name: tls, mountPath: /etc/dify-sso/tls, readOnly: true}
        {{- end }}
        {{- if $v.ca.configMap }}
        - {name: ca, mountPath: /etc/dify-sso/ca, readOnly: true}
        {{- end }}
        {{- if $settings.CONNECTIONS_FILE }}
        - {name: connections, mountPath: /etc/dify-sso/connections, readOnly: true}
        {{- end }}
        {{- if $embedded }}
        - {name: data, mountPath: /var/lib/dify-sso}
        {{- end }}
        {{- with $v.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $v.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "dify-sso.commonVolumes" . | nindent 4 }}
    {{- if $secrets }}
    - name: secrets
      secret:
        secretName: {{ $v.secrets.existingSecret | quote }}
        defaultMode: 0440
        items:
          {{- range $secrets }}
          - {key: {{ .key | quote }}, path: {{ .file }}}
          {{- end }}
    {{- end }}
    {{- if $migrates }}
    {{- include "dify-sso.migrationVolumes" . | nindent 4 }}
    {{- end }}
    {{- if $settings.KEYSET_FILE }}
    - name: keyset
      secret:
        secretName: {{ $root.Values.keyset.existingSecret | quote }}
        defaultMode: 0440
        items:
          - {key: {{ $root.Values.keyset.key | quote }}, path: keyset.json}
    {{- end }}
    {{- with $v.tls.existingSecret }}
    - name: tls
      secret:
        secretName: {{ . | quote }}
        defaultMode: 0440
        items:
          - {key: tls.crt, path: tls.crt}
          - {key: tls.key, path: tls.key}
    {{- end }}
    {{- if $settings.CONNECTIONS_FILE }}
    - name: connections
      secret:
        secretName: {{ $v.connections.existingSecret | quote }}
        defaultMode: 0440
    {{- end }}
    {{- if $embedded }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ default (printf "%s-data" $c.fullname) $v.storage.persistence.existingClaim }}
    {{- end }}
{{- end -}}
