// SPDX-License-Identifier: Apache-2.0

// Command difyauth signs this machine in on a dify-sso server and hands the token to
// scripts.
package main

import (
	"os"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/cli"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version string

func main() { os.Exit(cli.Run(os.Args[1:], cli.System(version))) }
