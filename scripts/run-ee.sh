#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Enterprise Edition on this machine: core, sso-bridge and a provider for development,
# which speaks OpenID Connect and SAML and whose people sign in by a click. Everything is
# kept in data-ee; Ctrl-C ends all three.
set -eu
dir=data-ee
core=http://127.0.0.1:5001 bridge=http://127.0.0.1:5003 provider=http://127.0.0.1:5005
mkdir -p "$dir"
chmod 700 "$dir"

[ -f "$dir/keyset.json" ] || bin/core keyset new --keyset-file "$dir/keyset.json" >/dev/null
[ -f "$dir/client.secret" ] || (umask 077 && head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/client.secret")
cat >"$dir/connections.yaml" <<EOF
version: 1
connections:
  - id: dev
    name: Example Corp (development)
    preset: generic-oidc
    intents: [device_flow, account_login]
    enable: force
    reason: a provider for development, on this machine alone
    oidc: { issuer: "$provider", client_id: dify-sso, client_secret_file: "$dir/client.secret" }
  - id: dev-saml
    name: Example Corp (development, SAML)
    preset: generic-saml
    intents: [device_flow, account_login]
    domains: [saml.corp.example]
    enable: force
    reason: a provider for development, on this machine alone
    saml: { metadata_url: "$provider/saml/metadata" }
    claims: { groups: groups }
EOF

started=
# shellcheck disable=SC2086 # a list of process ids
trap 'trap - INT TERM EXIT; [ -z "$started" ] || kill $started 2>/dev/null || true; wait' INT TERM EXIT

DEVIDP_CLIENT_SECRET=$(cat "$dir/client.secret") bin/devidp --listen 127.0.0.1:5005 --issuer "$provider" \
	--redirect-uri "$bridge/sso/oidc/callback/dev" --consumer-url "$bridge/sso/saml/acs/dev-saml" --key-file "$dir/devidp.pem" >"$dir/devidp.log" 2>&1 &
idp=$!
started="$started $idp"

ENTERPRISE_ENABLED=true KEYSET_FILE="$dir/keyset.json" SSO_BRIDGE_URL=http://127.0.0.1:5004 SSO_BRIDGE_PUBLIC_URL=$bridge CONSOLE_API_URL=$core \
	DATA_DIR="$dir/core" LISTEN=127.0.0.1:5001 INNER_LISTEN=127.0.0.1:5002 bin/core serve --log-format text \
	--seed-apps deploy/dev/apps.yaml --seed-apps deploy/dev/apps-ee.yaml 2>"$dir/core.log" &
serving=$!
started="$started $serving"

KEYSET_FILE="$dir/keyset.json" CORE_INNER_URL=http://127.0.0.1:5002 SSO_BRIDGE_PUBLIC_URL=$bridge CONSOLE_API_URL=$core \
	DATA_DIR="$dir/bridge" LISTEN=127.0.0.1:5003 INNER_LISTEN=127.0.0.1:5004 \
	CONNECTIONS_FILE="$dir/connections.yaml" EGRESS_ALLOW=127.0.0.1 bin/sso-bridge serve --log-format text 2>"$dir/bridge.log" >/dev/null &
beside=$!
started="$started $beside"

# ready NAME PROCESS LOG PORT
ready() {
	n=0
	until bash -c "exec 3<>/dev/tcp/127.0.0.1/$4" 2>/dev/null; do
		n=$((n + 1))
		if ! kill -0 "$2" 2>/dev/null || [ "$n" -ge 200 ]; then
			echo "run-ee: $1 does not answer on 127.0.0.1:$4; $3 says:" >&2
			tail -n 20 "$3" >&2
			exit 1
		fi
		sleep 0.1
	done
}
ready devidp "$idp" "$dir/devidp.log" 5005
ready core "$serving" "$dir/core.log" 5002
ready sso-bridge "$beside" "$dir/bridge.log" 5004

cat <<EOF

The Enterprise Edition serves $core, sso-bridge $bridge; the logs are in $dir.
If core shows a link above, set it up there first.

Sign a command line in, in another terminal, and choose company sign-in in the browser:
  bin/difyauth login --host $core

Apps to try are there once core is set up. Whoever has signed in by the company runs
"Echo for everybody", and finds no other:
  bin/difyauth apps list
  bin/difyauth run "Echo for everybody" "hello"

Two connections lead to the same people, one by OpenID Connect and one by SAML. Some of
them are refused on purpose. Why, with the reference that the page then shows:
  CORE_INNER_URL=http://127.0.0.1:5002 SSO_BRIDGE_PUBLIC_URL=$bridge CONSOLE_API_URL=$core \\
    KEYSET_FILE=$dir/keyset.json DATA_DIR=$dir/bridge bin/sso-bridge attempts show REFERENCE

Ctrl-C stops all three.

EOF
wait
