{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* The name of the chart, or what replaces it. */}}
{{- define "dify-sso.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Before every object's name. 34 characters leave room for what follows: a Job of the bridge with a revision of six figures has 63. */}}
{{- define "dify-sso.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 34 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 34 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 34 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
What a component is, for the templates that both share. Give (list . "core") or (list . "bridge"):
fromYaml of the result has name, program, fullname, port and inner.
*/}}
{{- define "dify-sso.component" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
name: {{ $name }}
program: {{ ternary "core" "sso-bridge" (eq $name "core") }}
fullname: {{ include "dify-sso.fullname" $root }}-{{ $name }}
port: {{ ternary 5001 5003 (eq $name "core") }}
inner: {{ ternary 5002 5004 (eq $name "core") }}
{{- end -}}

{{/* What selects the pods of a component; it never changes. (list . "core") */}}
{{- define "dify-sso.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "dify-sso.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of pods. Not the chart's version: another chart with the same pods restarts none. (list . "core") */}}
{{- define "dify-sso.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "dify-sso.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: dify-sso
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of every object. (list . "core") */}}
{{- define "dify-sso.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{ include "dify-sso.podLabels" . }}
{{- end -}}

{{/* The image of a component; a digest wins over a tag. (list . "core") */}}
{{- define "dify-sso.image" -}}
{{- $root := index . 0 -}}
{{- $image := (index $root.Values (index . 1)).image -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{- define "dify-sso.serviceAccountName" -}}
{{- $root := index . 0 -}}
{{- $account := (index $root.Values (index . 1)).serviceAccount -}}
{{- if $account.create -}}
{{- default (printf "%s-%s" (include "dify-sso.fullname" $root) (index . 1)) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}

{{/* Whether the Enterprise Edition is on: the bridge of this chart, or one that runs elsewhere. "true" or "". */}}
{{- define "dify-sso.enterprise" -}}
{{- if or .Values.bridge.enabled (eq (toString (index .Values.core.config "ENTERPRISE_ENABLED")) "true") -}}true{{- end -}}
{{- end -}}

{{/* Scheme, host and port of an address, in lower case and without a slash at the end. */}}
{{- define "dify-sso.origin" -}}
{{- $u := urlParse (toString .) -}}
{{- printf "%s://%s" (lower $u.scheme) (lower $u.host) -}}
{{- end -}}

{{/* The host of an address, without its port. */}}
{{- define "dify-sso.host" -}}
{{- (urlParse (toString .)).hostname | lower -}}
{{- end -}}

{{/* "true" where nobody but the machine itself reaches the host of an address. */}}
{{- define "dify-sso.loopback" -}}
{{- $host := include "dify-sso.host" . -}}
{{- if or (eq $host "localhost") (eq $host "::1") (hasPrefix "127." $host) -}}true{{- end -}}
{{- end -}}

{{/* A duration such as 1m30s, 500ms or 2h in whole seconds, rounded up. */}}
{{- define "dify-sso.seconds" -}}
{{- $ms := 0.0 -}}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|h|m|s)" (toString .) -1 -}}
{{- $unit := regexFind "(ms|h|m|s)$" . -}}
{{- $each := get (dict "ms" 1.0 "s" 1000.0 "m" 60000.0 "h" 3600000.0) $unit -}}
{{- $ms = addf $ms (mulf (float64 (trimSuffix $unit .)) $each) -}}
{{- end -}}
{{- ceil (divf $ms 1000.0) | int -}}
{{- end -}}

{{/*
What the process takes at most from SIGTERM to its end: SHUTDOWN_DELAY, then SHUTDOWN_GRACE, then twice 3 s in which
streams are told the end and their runs are written (pkg/serve.EndLimit). (list . "core")
*/}}
{{- define "dify-sso.drainSeconds" -}}
{{- $config := (index (index . 0).Values (index . 1)).config -}}
{{- add (include "dify-sso.seconds" (default "0s" $config.SHUTDOWN_DELAY)) (include "dify-sso.seconds" (default "20s" $config.SHUTDOWN_GRACE)) 6 -}}
{{- end -}}

{{/* The drain and ten seconds more, in which audit events that wait are written. (list . "core") */}}
{{- define "dify-sso.terminationGracePeriodSeconds" -}}
{{- $own := (index (index . 0).Values (index . 1)).terminationGracePeriodSeconds -}}
{{- if $own -}}{{ $own }}{{- else -}}{{ add (include "dify-sso.drainSeconds" .) 10 }}{{- end -}}
{{- end -}}

{{/* The least number of pods that a component has. (list . "core") */}}
{{- define "dify-sso.leastReplicas" -}}
{{- $v := index (index . 0).Values (index . 1) -}}
{{- if $v.autoscaling.enabled }}{{ $v.autoscaling.minReplicas }}{{ else }}{{ $v.replicas }}{{ end -}}
{{- end -}}
