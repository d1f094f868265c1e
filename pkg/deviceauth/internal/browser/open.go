// SPDX-License-Identifier: Apache-2.0

// Package browser shows an address in the person's browser.
package browser

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Open starts the browser and does not wait for it. The address must begin with https:
// or http:, so that it is neither an option nor a program.
func Open(uri string) error {
	if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") {
		return errors.New("only web addresses are opened")
	}
	name, args := command(runtime.GOOS, uri)
	cmd := exec.Command(name, args...) //nolint:gosec // one of three programs
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "DIFYAUTH_") { // a token is nothing to a browser
			cmd.Env = append(cmd.Env, v)
		}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return nil
}

func command(goos, uri string) (string, []string) {
	switch goos {
	case "darwin":
		return "open", []string{uri}
	case "windows":
		return "rundll32", []string{"url.dll,FileProtocolHandler", uri}
	default:
		return "xdg-open", []string{uri}
	}
}
