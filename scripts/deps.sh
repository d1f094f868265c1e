#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Finds or installs what the suites need beside Go: a C compiler for the race
# detector, Chromium with a Chinese font and axe for the pages, an OpenID provider and two SAML
# providers that other people wrote, xmlsec1 and xmllint as second opinions on signed XML, Postgres
# and Redis for the stores, nginx and Caddy for the samples of proxies, Prometheus for alerts and dashboard,
# systemd and iproute2 for units and pods, what the runbooks call, helm and Kubernetes' description of its API for the
# chart. What is there already is left alone.
set -eu
. scripts/find.sh
packages=
command -v "${CC:-cc}" >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
[ -n "$(find_chromium)" ] || packages="$packages chromium fonts-noto-cjk"
{ [ -n "$(find_axe)" ] && [ -n "$(find_provider)" ] && [ -n "$(find_samlp)" ]; } || command -v npm >/dev/null 2>&1 || packages="$packages npm"
command -v node >/dev/null 2>&1 || packages="$packages nodejs"
[ -n "$(find_simplesamlphp)" ] || packages="$packages simplesamlphp php-cli php-xml php-mbstring php-curl php-sqlite3"
command -v xmlsec1 >/dev/null 2>&1 || packages="$packages xmlsec1"
command -v xmllint >/dev/null 2>&1 || packages="$packages libxml2-utils"
[ -n "$(find_initdb)" ] || packages="$packages postgresql"
[ -n "$(find_redis)" ] || packages="$packages redis-server"
[ -n "$(find_proxy nginx)" ] || packages="$packages nginx-light"
[ -n "$(find_proxy caddy)" ] || packages="$packages caddy"
[ -n "$(find_prometheus)" ] || packages="$packages prometheus"
command -v systemd-analyze >/dev/null 2>&1 || packages="$packages systemd"
command -v ip >/dev/null 2>&1 || packages="$packages iproute2"
for tool in jq curl openssl; do # of the runbooks that are followed
	command -v "$tool" >/dev/null 2>&1 || packages="$packages $tool"
done

if [ -n "$packages" ]; then
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "deps: this machine has no apt-get; install by hand:$packages" >&2
		exit 1
	fi
	as_root=
	[ "$(id -u)" = 0 ] || as_root=sudo
	echo "Installing$packages"
	$as_root apt-get update -qq
	# shellcheck disable=SC2086 # a list of packages
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi

# fetch installs what a lock file names, with its versions and digests: fetch FROM INTO
fetch() {
	mkdir -p "$2"
	cp "$1/package.json" "$1/package-lock.json" "$2/"
	npm ci --prefix "$2" --ignore-scripts --no-audit --no-fund --loglevel=error
}
# The checker runs in a page and needs no Node.js.
[ -n "$(find_axe)" ] || fetch scripts/axe .cache/axe
[ -n "$(find_provider)" ] || fetch test/sso/provider .cache/oidc-provider
[ -n "$(find_samlp)" ] || fetch test/sso/samlp .cache/samlp

# program builds one of Go's modules into the cache: program NAME MODULE [FLAGS]. A minute or two for helm, once.
program() {
	[ -z "$(find_tool "$1")" ] || return 0
	echo "Building $1"
	into=$(mktemp -d)
	GOWORK=off GOBIN="$into" CGO_ENABLED=0 go install -ldflags "-s -w ${3:-}" "$2"
	mkdir -p .cache/bin
	mv "$into"/* ".cache/bin/$1"
	rmdir "$into"
}
program helm "helm.sh/helm/v4/cmd/helm@$HELM_4"
program helm3 "helm.sh/helm/v3/cmd/helm@$HELM_3"
program helm-docs "github.com/norwoodj/helm-docs/cmd/helm-docs@$HELM_DOCS_VERSION"
# The API's description is a file of the module of Kubernetes, of which nothing is built.
for version in $KUBERNETES; do
	[ ! -f ".cache/kubernetes/$version.json" ] || continue
	mkdir -p .cache/kubernetes
	dir=$(cd "${TMPDIR:-/tmp}" && GOWORK=off go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
	cp "$dir/api/openapi-spec/swagger.json" ".cache/kubernetes/$version.json"
	chmod u+w ".cache/kubernetes/$version.json"
done

# A proxy or Prometheus that was installed just now serves a port by itself; the tests start their own.
# SimpleSAMLphp brings Apache's programs without the service.
for service in nginx caddy prometheus; do
	case "$packages" in *"$service"*) ;; *) continue ;; esac
	if [ -d /run/systemd/system ]; then
		$as_root systemctl disable --now "$service" >/dev/null 2>&1 || true
	else
		$as_root service "$service" stop >/dev/null 2>&1 || true
	fi
done
echo "C compiler: $(command -v "${CC:-cc}" || echo none)"
echo "Chromium:   $(find_chromium)"
echo "axe:        $(find_axe)"
echo "Provider:   $(find_provider)"
echo "SAML:       $(find_simplesamlphp) $(find_samlp)"
echo "XML:        $(command -v xmlsec1) $(command -v xmllint)"
echo "Postgres:   $(find_postgres)"
echo "Redis:      $(find_redis)"
echo "Chart:      $(find_tool helm) $(find_tool helm3) $(find_tool helm-docs) $(find_kubernetes)"
echo "Proxies:    $(find_proxy nginx) $(find_proxy caddy)"
echo "Prometheus: $(find_prometheus)"
if [ -z "$(find_postgres)" ]; then
	echo "deps: no Postgres answers user postgres on 127.0.0.1:5432, and there is none to start; PG_BIN names the folder of initdb" >&2
fi
