// SPDX-License-Identifier: Apache-2.0

// Command sso-bridge is the sidecar of the Enterprise Edition: it signs people in at their
// company's identity provider and tells core who they are.
package main

import (
	"os"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/cli"
)

// version is set by the build.
var version = "0.1.0-dev"

func main() { os.Exit(cli.Run(os.Args[1:], cli.System(version))) }
