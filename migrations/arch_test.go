// SPDX-License-Identifier: Apache-2.0

package migrations_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Both services and their tests take the schema from here, so it stands on the
// standard library alone.
func TestArchitecture(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != "github.com/dify-sso/dify-sso/migrations" {
		t.Errorf("it stands on\n%s", got)
	}
}
