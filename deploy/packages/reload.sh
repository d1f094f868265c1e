#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# After a package came or went: the group of the units is made, and systemd reads them again.
# Nothing is started or enabled, for a service without its settings would only fail.
set -eu
if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers || true
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
