// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/cli"
	examine "github.com/dify-sso/dify-sso/core/internal/doctor"
	"github.com/dify-sso/dify-sso/pkg/doctor"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// reported reads what "doctor -o json" has said, and gives the status of each check.
func reported(t *testing.T, got result) (doctor.Report, map[string]doctor.Status) {
	t.Helper()
	var r doctor.Report
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	by := map[string]doctor.Status{}
	for _, f := range r.Findings {
		if !slices.ContainsFunc(examine.Catalogue(), func(e doctor.Entry) bool { return e.ID == f.Check }) {
			t.Errorf("%q is not in the catalogue", f.Check)
		}
		if by[f.Check] == "" || f.Status == doctor.Fail {
			by[f.Check] = f.Status
		}
	}
	return r, by
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := testserver.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestDoctor(t *testing.T) {
	t.Run("where nothing is yet, it makes nothing", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		got := run(t, dir, "", "doctor", "-o", "json", "--inner-listen", "127.0.0.1:"+freePort(t), "--console-api-url", "http://127.0.0.1:"+freePort(t))
		r, by := reported(t, got)
		if got.code != 1 || r.Status != doctor.Fail || by[doctor.Schema] != doctor.Skipped || by[doctor.AddressOurs] != doctor.Fail || by[examine.Runtime] != doctor.Skipped || by[doctor.ReplicaReady] != doctor.Warn {
			t.Errorf("%+v", got)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("it has made a data directory")
		}
	})
	t.Run("settings that do not load", func(t *testing.T) {
		got := run(t, t.TempDir(), "", "doctor", "-o", "json", "--listen", "x")
		r, _ := reported(t, got)
		if got.code != 2 || len(r.Findings) != 1 || r.Findings[0].Check != doctor.Settings || !strings.Contains(r.Findings[0].Text, "LISTEN: ") {
			t.Errorf("%+v", got)
		}
		if got := run(t, t.TempDir(), "", "doctor", "--replica", "u:p@x/y"); got.code != 2 || !strings.Contains(got.err, "--replica must be") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("beside a server, which goes on", func(t *testing.T) {
		dir := t.TempDir()
		public, inner := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
		var log apitest.Buffer
		env := cli.Env{Stdin: strings.NewReader(""), Stdout: &log, Stderr: &log, Environ: []string{"DATA_DIR=" + dir, "CONSOLE_API_URL=http://" + public}, Version: "1.2.3"}
		_, finished := serving(t, env, "--listen", public, "--inner-listen", inner)
		if got := run(t, dir, apitest.OwnerPassword, owner()...); got.code != 0 {
			t.Fatalf("%+v", got)
		}
		files := t.TempDir()
		if got := run(t, dir, "", "app", "import", filepath.Join("..", "..", "..", "deploy", "dev", "apps.yaml")); got.code != 0 {
			t.Fatalf("%+v", got)
		}
		got := run(t, dir, "", "doctor", "-o", "json", "--console-api-url", "http://"+public, "--inner-listen", inner)
		r, by := reported(t, got)
		if got.code != 0 {
			t.Fatalf("%+v", got)
		}
		for _, id := range []string{doctor.Settings, doctor.Schema, doctor.KeysCanary, doctor.ReplicaReady, doctor.AddressOurs, doctor.AddressInner, doctor.Clock} {
			if by[id] != doctor.OK {
				t.Errorf("%s is %q: %+v", id, by[id], r)
			}
		}
		if by[examine.Runtime] != doctor.OK {
			t.Errorf("the app's runtime is %q: %+v", by[examine.Runtime], r)
		}
		if got := run(t, dir, "", "healthcheck", "--inner-listen", inner); got.code != 0 || got.out != "ready\n" {
			t.Errorf("%+v", got)
		}
		if got := run(t, dir, "", "healthcheck", "--address", inner, "-o", "json"); got.code != 0 || !strings.Contains(got.out, `"ready":true`) {
			t.Errorf("%+v", got)
		}
		if got := run(t, dir, "", "healthcheck", "--address", "x/y"); got.code != 2 || !strings.Contains(got.err, "--address must be") {
			t.Errorf("%+v", got)
		}
		if code := finished(); code != 0 {
			t.Errorf("exit %d", code)
		}
		if got := run(t, dir, "", "healthcheck", "--address", inner); got.code != 1 || !strings.Contains(got.err, "not ready: nobody answers there") {
			t.Errorf("%+v", got)
		}
		t.Run("PPL-12 keys of another database are a finding, and nothing of them is told", func(t *testing.T) {
			const other = "a key of somebody else, thirty-two bytes and more"
			file := filepath.Join(files, "key")
			if err := os.WriteFile(file, []byte(other), 0o644); err != nil {
				t.Fatal(err)
			}
			got := runWith(t, []string{"DATA_DIR=" + dir, "SECRET_KEY_FILE=" + file}, "doctor", "-o", "json", "--inner-listen", inner)
			_, by := reported(t, got)
			if got.code != 1 || by[doctor.KeysCanary] != doctor.Fail || by[doctor.FilesModes] != doctor.Fail || by[examine.Runtime] != doctor.Skipped || strings.Contains(got.out+got.err, other) {
				t.Errorf("%+v", got)
			}
		})
	})
}

// The reference of an operator has every check, by its id.
func TestTheDoctorsPageIsWhole(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "operating", "doctor.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range examine.Catalogue() {
		if !strings.Contains(string(page), "| `"+e.ID+"` | "+e.What+" |") {
			t.Errorf("docs/operating/doctor.md lacks the row | `%s` | %s |", e.ID, e.What)
		}
	}
}

func runWith(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	var out, errs strings.Builder
	code := cli.Run(args, cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Environ: environ, Version: "1.2.3"})
	return result{code: code, out: out.String(), err: errs.String()}
}
