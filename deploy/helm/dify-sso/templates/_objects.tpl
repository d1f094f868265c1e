{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* Name, namespace and labels of an object. (list . "core" "what follows the component's name") */}}
{{- define "dify-sso.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "dify-sso.fullname" $root }}-{{ index . 1 }}{{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "dify-sso.labels" (list $root (index . 1)) | nindent 2 }}
{{- end -}}

{{- define "dify-sso.configmap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "dify-sso.metadata" (append . "") | nindent 2 }}
data:
  {{- include "dify-sso.settings" . | trim | nindent 2 }}
{{- end -}}

{{- define "dify-sso.serviceaccount" -}}
{{- $root := index . 0 -}}
{{- $account := (index $root.Values (index . 1)).serviceAccount -}}
{{- if $account.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "dify-sso.serviceAccountName" . }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "dify-sso.labels" . | nindent 4 }}
  {{- with $account.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}
{{- end -}}

{{/*
A Deployment on the embedded store too, and no StatefulSet: its claim could not be grown by a value, and whoever goes on to Postgres would
need another kind of object. Recreate never has two pods on one volume, and where a lost node makes it possible after all, the process's own
lock on the data directory does.
*/}}
{{- define "dify-sso.deployment" -}}
{{- $root := index . 0 -}}
{{- $v := index $root.Values (index . 1) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "dify-sso.metadata" (append . "") | nindent 2 }}
spec:
  {{- if not $v.autoscaling.enabled }}
  replicas: {{ $v.replicas }}
  {{- end }}
  {{- if eq $v.storage.type "embedded" }}
  strategy: {type: Recreate}
  {{- else }}
  strategy:
    {{- toYaml (ternary $v.updateStrategy (omit $v.updateStrategy "rollingUpdate") (eq $v.updateStrategy.type "RollingUpdate")) | nindent 4 }}
  {{- end }}
  minReadySeconds: {{ $v.minReadySeconds }}
  revisionHistoryLimit: {{ $v.revisionHistoryLimit }}
  selector:
    matchLabels:
      {{- include "dify-sso.selectorLabels" . | nindent 6 }}
  template:
    {{- include "dify-sso.pod" . | nindent 4 }}
{{- end -}}

{{- define "dify-sso.claim" -}}
{{- $p := (index (index . 0).Values (index . 1)).storage.persistence -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "dify-sso.metadata" (append . "-data") | nindent 2 }}
  {{- with $p.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  accessModes:
    {{- toYaml $p.accessModes | nindent 4 }}
  {{- with $p.storageClass }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ $p.size }}
{{- end -}}

{{/* The public Service. The second listener is no port of it. */}}
{{- define "dify-sso.service" -}}
{{- $root := index . 0 -}}
{{- $v := index $root.Values (index . 1) -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "dify-sso.metadata" (append . "") | nindent 2 }}
  {{- with $v.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $v.service.type }}
  selector:
    {{- include "dify-sso.selectorLabels" . | nindent 4 }}
  ports:
    - name: {{ ternary "https" "http" (ne $v.tls.existingSecret "") }}
      port: {{ $v.service.port }}
      targetPort: http
      protocol: TCP
      appProtocol: {{ ternary "https" "http" (ne $v.tls.existingSecret "") }}
{{- end -}}

{{/* The second listener, for what is inside the cluster. Never another type than ClusterIP. */}}
{{- define "dify-sso.innerservice" -}}
{{- $root := index . 0 -}}
{{- $v := index $root.Values (index . 1) -}}
{{- $c := include "dify-sso.component" . | fromYaml -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "dify-sso.metadata" (append . "-inner") | nindent 2 }}
    dify-sso/listener: inner
  {{- with $v.innerService.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: ClusterIP
  selector:
    {{- include "dify-sso.selectorLabels" . | nindent 4 }}
  ports:
    - name: inner
      port: {{ $c.inner }}
      targetPort: inner
      protocol: TCP
      appProtocol: {{ ternary "https" "http" (ne $v.tls.existingSecret "") }}
{{- end -}}

{{/*
Every pod's second listener by one name, those that are not ready too: what "doctor --replica" asks whether all pods have the same keys.
*/}}
{{- define "dify-sso.replicasservice" -}}
{{- $root := index . 0 -}}
{{- $c := include "dify-sso.component" . | fromYaml -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "dify-sso.metadata" (append . "-replicas-inner") | nindent 2 }}
spec:
  type: ClusterIP
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "dify-sso.selectorLabels" . | nindent 4 }}
  ports:
    - name: inner
      port: {{ $c.inner }}
      targetPort: inner
      protocol: TCP
{{- end -}}

{{- define "dify-sso.pdb" -}}
{{- $pdb := (index (index . 0).Values (index . 1)).pdb -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "dify-sso.metadata" (append . "") | nindent 2 }}
spec:
  {{- if ne (toString $pdb.minAvailable) "" }}
  minAvailable: {{ $pdb.minAvailable }}
  {{- else }}
  maxUnavailable: {{ $pdb.maxUnavailable }}
  {{- end }}
  # A pod that is not ready serves nobody, and must not keep a node from being emptied.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "dify-sso.selectorLabels" . | nindent 6 }}
{{- end -}}

{{- define "dify-sso.hpa" -}}
{{- $a := (index (index . 0).Values (index . 1)).autoscaling -}}
{{- $c := include "dify-sso.component" . | fromYaml -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "dify-sso.metadata" (append . "") | nindent 2 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $c.fullname }}}
  minReplicas: {{ $a.minReplicas }}
  maxReplicas: {{ $a.maxReplicas }}
  metrics:
    {{- with $a.targetCPUUtilizationPercentage }}
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ . }}}
    {{- end }}
    {{- with $a.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $a.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/*
The Job that migrates. It is no hook: hooks and GitOps tools fight. Its name carries the revision, and what decides that another run is
needed, for tools that render every revision as the first.
*/}}
{{- define "dify-sso.migrationjob" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $v := index $root.Values $name -}}
{{- $what := printf "%s %s" (include "dify-sso.image" .) (toJson $v.secrets) | sha256sum | trunc 6 -}}
{{- $component := printf "%s-migrate" $name -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "dify-sso.fullname" $root }}-{{ $component }}-{{ $root.Release.Revision }}-{{ $what }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "dify-sso.labels" (list $root $component) | nindent 4 }}
  {{- with $v.migrations.job.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  backoffLimit: {{ $v.migrations.job.backoffLimit }}
  ttlSecondsAfterFinished: {{ $v.migrations.job.ttlSecondsAfterFinished }}
  template:
    metadata:
      labels:
        {{- include "dify-sso.podLabels" (list $root $component) | nindent 8 }}
        {{- with $v.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $v.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "dify-sso.podBasics" . | nindent 6 }}
      restartPolicy: Never
      containers:
        {{- include "dify-sso.migrationContainer" . | nindent 8 }}
      volumes:
        {{- include "dify-sso.commonVolumes" . | nindent 8 }}
        {{- include "dify-sso.migrationVolumes" . | nindent 8 }}
{{- end -}}
