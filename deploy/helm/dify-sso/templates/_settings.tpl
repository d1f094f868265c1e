{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/*
The secrets of a component and the settings that they are read by, as YAML: a list of {setting, file, key}. Those that only
Postgres has are left out on the embedded store, and so is every one without a key. (list . "core")
*/}}
{{- define "dify-sso.secrets" -}}
{{- $v := index (index . 0).Values (index . 1) -}}
{{- $postgres := eq $v.storage.type "postgres" -}}
{{- $all := list
  (dict "value" "databaseUrl" "setting" "DATABASE_URL" "fleet" true)
  (dict "value" "redisUrl" "setting" "REDIS_URL" "fleet" true)
  (dict "value" "redisSentinelPassword" "setting" "REDIS_SENTINEL_PASSWORD" "fleet" true)
  (dict "value" "secretKey" "setting" "SECRET_KEY")
  (dict "value" "secretKeyPrevious" "setting" "SECRET_KEY_PREVIOUS")
  (dict "value" "sealingKey" "setting" "SEALING_KEY")
  (dict "value" "forwardAuthKey" "setting" "FORWARD_AUTH_KEY")
  (dict "value" "forwardAuthKeyPrevious" "setting" "FORWARD_AUTH_KEY_PREVIOUS")
  (dict "value" "operatorApiKey" "setting" "OPERATOR_API_KEY")
  (dict "value" "operatorApiKeyPrevious" "setting" "OPERATOR_API_KEY_PREVIOUS")
  (dict "value" "dslImportKey" "setting" "DSL_IMPORT_KEY")
  (dict "value" "setupToken" "setting" "SETUP_TOKEN")
  (dict "value" "otlpHeaders" "setting" "OTEL_EXPORTER_OTLP_HEADERS")
-}}
{{- if $v.secrets.existingSecret -}}
{{- range $all }}
{{- $key := get $v.secrets.keys .value }}
{{- if and $key (or $postgres (not .fleet)) }}
- {setting: {{ .setting }}, file: {{ .setting | lower | replace "_" "-" }}, key: {{ $key | quote }}}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* What migrations get: the address of the database and, where there is one, that of its owner. (list . "core") */}}
{{- define "dify-sso.migrationSecrets" -}}
{{- $keys := (index (index . 0).Values (index . 1)).secrets.keys -}}
- {setting: DATABASE_URL, file: database-url, key: {{ $keys.databaseUrl | quote }}}
{{- with $keys.migrateDatabaseUrl }}
- {setting: MIGRATE_DATABASE_URL, file: migrate-database-url, key: {{ . | quote }}}
{{- end }}
{{- end -}}

{{/* The base address of a component's second listener inside the cluster. (list . "core") */}}
{{- define "dify-sso.innerURL" -}}
{{- $root := index . 0 -}}
{{- $c := include "dify-sso.component" . | fromYaml -}}
{{- $tls := (index $root.Values (index . 1)).tls.existingSecret -}}
{{- printf "%s://%s-inner.%s.svc:%d" (ternary "https" "http" (ne $tls "")) $c.fullname $root.Release.Namespace (int $c.inner) -}}
{{- end -}}

{{/*
The settings of a component that are no secret, as YAML: what the chart knows, and over it the values. A list of YAML becomes
the comma list that the process takes. (list . "core")
*/}}
{{- define "dify-sso.settings" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $core := $root.Values.core -}}
{{- $bridge := $root.Values.bridge -}}
{{- $v := index $root.Values $name -}}
{{- $c := include "dify-sso.component" . | fromYaml -}}
{{- $enterprise := include "dify-sso.enterprise" $root -}}
{{- $s := dict "LISTEN" (printf ":%d" (int $c.port)) "INNER_LISTEN" (printf ":%d" (int $c.inner)) -}}
{{- if eq $v.storage.type "embedded" }}{{ $_ := set $s "DATA_DIR" "/var/lib/dify-sso/data" }}{{ end -}}
{{- if $v.tls.existingSecret -}}
{{- $_ := set $s "TLS_CERT_FILE" "/etc/dify-sso/tls/tls.crt" -}}
{{- $_ := set $s "TLS_KEY_FILE" "/etc/dify-sso/tls/tls.key" -}}
{{- end -}}
{{- if and $root.Values.keyset.existingSecret (or $enterprise (eq $name "bridge")) -}}
{{- $_ := set $s "KEYSET_FILE" "/etc/dify-sso/keyset/keyset.json" -}}
{{- end -}}
{{- with $v.ca.redis }}{{ $_ := set $s "REDIS_CA_FILE" (printf "/etc/dify-sso/ca/%s" .) }}{{ end -}}
{{- if eq $name "core" -}}
{{- if $bridge.enabled -}}
{{- $_ := set $s "ENTERPRISE_ENABLED" "true" -}}
{{- $_ := set $s "SSO_BRIDGE_URL" (include "dify-sso.innerURL" (list $root "bridge")) -}}
{{- $_ := set $s "SSO_BRIDGE_PUBLIC_URL" $bridge.config.SSO_BRIDGE_PUBLIC_URL -}}
{{- end -}}
{{- with $v.ca.bridge }}{{ $_ := set $s "SSO_BRIDGE_CA_FILE" (printf "/etc/dify-sso/ca/%s" .) }}{{ end -}}
{{- else -}}
{{- $_ := set $s "CONSOLE_API_URL" $core.config.CONSOLE_API_URL -}}
{{- with $core.config.CONSOLE_WEB_URL }}{{ $_ := set $s "CONSOLE_WEB_URL" . }}{{ end -}}
{{- $_ := set $s "CORE_INNER_URL" (include "dify-sso.innerURL" (list $root "core")) -}}
{{- with $v.ca.core }}{{ $_ := set $s "CORE_CA_FILE" (printf "/etc/dify-sso/ca/%s" .) }}{{ end -}}
{{- with $v.ca.identityProviders }}{{ $_ := set $s "EGRESS_CA_FILE" (printf "/etc/dify-sso/ca/%s" .) }}{{ end -}}
{{- if $v.connections.existingSecret }}{{ $_ := set $s "CONNECTIONS_FILE" (printf "/etc/dify-sso/connections/%s" $v.connections.key) }}{{ end -}}
{{- end -}}
{{- range $key, $value := $v.config -}}
{{- if kindIs "slice" $value }}{{ $_ := set $s $key (join "," $value) }}
{{- /* A whole number of YAML is a float here, and 1e+06 is no number to the process. */ -}}
{{- else if kindIs "float64" $value }}{{ $_ := set $s $key (printf "%.0f" $value) }}
{{- else if not (kindIs "invalid" $value) }}{{ $_ := set $s $key (toString $value) }}{{ end -}}
{{- end -}}
{{- range include "dify-sso.secrets" . | fromYamlArray -}}
{{- $_ := set $s (printf "%s_FILE" .setting) (printf "/etc/dify-sso/secrets/%s" .file) -}}
{{- end -}}
{{- range $key, $value := $s }}
{{ $key }}: {{ $value | quote }}
{{- end -}}
{{- end -}}
