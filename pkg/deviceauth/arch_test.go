// SPDX-License-Identifier: Apache-2.0

package deviceauth_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// Whoever wants this sign-in must not inherit anything with it.
func TestTheLibraryNeedsTheStandardLibraryAlone(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p struct {
			ImportPath string
			Standard   bool
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		seen[p.ImportPath] = true
		if !p.Standard && p.ImportPath != "github.com/dify-sso/dify-sso/pkg/deviceauth" {
			t.Errorf("the library reaches %s", p.ImportPath)
		}
	}
	if !seen["net/http"] || !seen["github.com/dify-sso/dify-sso/pkg/deviceauth"] {
		t.Fatalf("%d packages listed: is that the library?", len(seen))
	}
}

func TestTheCommandCarriesNoTestServer(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./cmd/difyauth").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "/pkg/deviceauth/internal/cli") || strings.Contains(string(out), "servertest") || strings.Contains(string(out), "net/http/httptest") {
		t.Fatalf("%s", out)
	}
}

// A replace line counts only in the main module: with one, the module would build here
// and nowhere else.
func TestTheModuleReplacesNothing(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Module  struct{ Path string }
		Require []struct{ Path string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != "github.com/dify-sso/dify-sso/pkg/deviceauth" {
		t.Fatalf("go.mod of %q", mod.Module.Path)
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s", r.Old.Path)
	}
	for _, r := range mod.Require {
		if strings.HasPrefix(r.Path, "github.com/dify-sso/") {
			t.Errorf("go.mod requires %s, which is not published with it", r.Path)
		}
	}
}
