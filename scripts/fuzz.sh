#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs each fuzz target of the repository for FUZZTIME.
set -eu
# shellcheck disable=SC2086 # a list of packages
for package in $(go list ${PACKAGES:?run it by make fuzz}); do
	dir=$(go list -f '{{.Dir}}' "$package")
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go 2>/dev/null | sed 's/^func //' || true); do
		echo "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" "$package"
	done
done
