#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the flags of every binary that is given away, on one line: flags.sh for the go command, flags.sh ld for its
# -ldflags but for the version. "make build", the images and the release all take them from here, so that the same
# commit makes the same bytes on each way.
set -eu
# Inlining is left out where no request waits for it, or waits for a store, a peer or a page anyhow: 2.9 MB of 36.
# Of the standard library: what is read and written in text, what the start needs, and what stands around a socket.
cold="archive/... compress/... crypto/tls crypto/x509/... database/sql encoding/asn1 encoding/base64 encoding/hex encoding/pem
	encoding/xml flag fmt go/... html/template log/... math/big mime/... net net/http os/... path/... reflect regexp/...
	runtime/pprof sort text/tabwriter text/template/... time vendor/golang.org/..."
# Of others: drivers of databases, metrics, files of settings and of words.
cold="$cold
	github.com/goccy/... github.com/gofiber/fiber/v2/internal/... github.com/gofiber/fiber/v2/utils github.com/google/...
	github.com/hashicorp/... github.com/jackc/pgpassfile github.com/jackc/pgservicefile github.com/jackc/pgx/v5/pgtype/...
	github.com/jackc/puddle/... github.com/klauspost/... github.com/molecule-man/... github.com/nicksnyder/...
	github.com/pressly/... github.com/prometheus/... github.com/redis/... github.com/spf13/... golang.org/x/text/...
	google.golang.org/protobuf/... modernc.org/sqlite"
# Of ours: all but what every request passes (authz, token, limits, memstore, and in pkg server, wire, secret, audit and
# the like), and what carries streams (run, serviceapi).
for name in access account app apps bridgeclient cli console control devicegrant echo httpapi installation openapi operator \
	prune redisstore sqlstore sso webui workspace; do
	cold="$cold github.com/dify-sso/dify-sso/core/internal/$name"
done
for name in command config control datadir egress envelope innerclient jobs keyset lifecycle limits ownkeys page redisdb schema \
	serve settings sqlaudit sqldb sqllease sqlseal ssocode telemetry; do
	cold="$cold github.com/dify-sso/dify-sso/pkg/$name"
done
# Functions begin at multiples of 16 bytes, as before Go 1.16, and not of 32: 0.4 MB. Loops that the assembler aligns stay aligned.
if [ "${1:-}" = ld ]; then
	echo "-s -w -funcalign=16"
	exit
fi
# Nothing here speaks HTTP/2: fasthttp serves HTTP/1.1 alone, and the bridge, runtimes and providers are asked by it: 0.5 MB.
tags=nethttpomithttp2
# The version is stamped by name: what git says of the folder beside would make two builds of one commit differ.
printf '%s' "-tags=$tags -trimpath -buildvcs=false"
for pattern in $cold; do printf ' %s' "-gcflags=$pattern=-l"; done
echo
