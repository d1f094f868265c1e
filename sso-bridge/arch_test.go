// SPDX-License-Identifier: Apache-2.0

package ssobridge_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The two services meet in signed messages and over HTTP, never in code.
func TestArchitecture(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./...").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "github.com/dify-sso/dify-sso/sso-bridge") {
		t.Fatalf("no package of the bridge in\n%s", out)
	}
	if strings.Contains(string(out), "github.com/dify-sso/dify-sso/core") {
		t.Error("the bridge reaches core")
	}
}
