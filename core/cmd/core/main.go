// SPDX-License-Identifier: Apache-2.0

// Command core is the Community Edition: sign-in for command-line tools by the OAuth
// 2.0 device authorization grant (RFC 8628).
package main

import (
	"os"

	"github.com/dify-sso/dify-sso/core/internal/cli"
)

// version is set by the build.
var version = "0.1.0-dev"

func main() { os.Exit(cli.Run(os.Args[1:], cli.System(version))) }
