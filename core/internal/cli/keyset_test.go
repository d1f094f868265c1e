// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/keyset"
)

type shownKeyset struct {
	Active      string `json:"active"`
	Fingerprint string `json:"keyset_fingerprint"`
	DryRun      bool   `json:"dry_run"`
	Keys        []struct {
		KID, State  string
		VerifyUntil *string `json:"verify_until"`
	} `json:"keys"`
}

func TestKeysetCommands(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keyset.json")
	show := func(t *testing.T, args ...string) (shown shownKeyset) {
		t.Helper()
		r := run(t, dir, "", append([]string{"keyset", "--keyset-file", path, "-o", "json"}, args...)...)
		if r.code != 0 || json.Unmarshal([]byte(r.out), &shown) != nil {
			t.Fatalf("%v: code %d\n%s%s", args, r.code, r.out, r.err)
		}
		return shown
	}
	states := func(s shownKeyset) string {
		var b strings.Builder
		for _, k := range s.Keys {
			b.WriteString(k.KID + "=" + k.State + " ")
		}
		return strings.TrimSpace(b.String())
	}
	content := func(t *testing.T) string {
		t.Helper()
		c, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(c)
	}
	refused := func(name string, code int, say string, args ...string) {
		t.Run(name, func(t *testing.T) {
			before, _ := os.ReadFile(path)
			r := run(t, dir, "", append([]string{"keyset", "--keyset-file", path}, args...)...)
			if r.code != code || !regexp.MustCompile(say).MatchString(r.err) || r.out != "" {
				t.Fatalf("code %d\n%s%s", r.code, r.out, r.err)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Fatal("the file has changed")
			}
		})
	}

	refused("no file is named", 2, `KEYSET_FILE: names no file`, "check", "--keyset-file", "")
	refused("a file that is not there", 2, `KEYSET_FILE: .*no such file`, "check")
	if s := show(t, "new", "first", "--dry-run"); !s.DryRun || states(s) != "first=active" {
		t.Fatalf("%+v", s)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("--dry-run made the file")
	}
	if s := show(t, "new", "first"); states(s) != "first=active" {
		t.Fatalf("%+v", s)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	refused("a file that is there is never made anew", 1, `exists: .*core keyset add`, "new")
	refused("a kid that is none", 1, `a kid is 1 to 32`, "add", "A/B")
	refused("two kids", 2, `one KID at most`, "add", "a", "b")
	refused("no kid", 2, `give the KID`, "retire")
	refused("SSO-41 what was never added is not activated", 1, `no entry has this kid`, "activate", "second", "--seen", "00000000")

	before := content(t)
	if s := show(t, "add", "--dry-run", "second"); states(s) != "second=waiting first=active" || content(t) != before {
		t.Fatalf("%+v", s)
	}
	added := show(t, "add", "second")
	if states(added) != "second=waiting first=active" || content(t) == before {
		t.Fatalf("%+v", added)
	}
	refused("SSO-41 nothing is activated that nobody has looked for", 2, `--seen is required`, "activate", "second")
	refused("SSO-41 nothing is activated that a replica lacks", 1, `not the fingerprint`, "activate", "second", "--seen", "00000000")
	refused("SSO-41 the former entry verifies for an hour", 1, `has to verify for 1h`, "activate", "second", "--seen", added.Fingerprint, "--keep-until", time.Now().Add(59*time.Minute).Format(time.RFC3339))
	refused("a time that is none", 2, `--keep-until takes a time`, "activate", "second", "--seen", added.Fingerprint, "--keep-until", "tomorrow")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if s := show(t, "activate", "second", "--seen", added.Fingerprint); states(s) != "second=active first=retiring" || s.Active != "second" {
		t.Fatalf("%+v", s)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	refused("SSO-41 nothing is retired that still verifies", 1, `still verifies`, "retire", "first")
	refused("the active entry stays", 1, `is the active one`, "retire", "second")

	// A day later, as the file would then read.
	file, err := keyset.Decode([]byte(content(t)))
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	file.Keys[1].VerifyUntil = &past
	if err := keyset.Replace(path, file); err != nil {
		t.Fatal(err)
	}
	if s := show(t, "check"); states(s) != "second=active first=over" {
		t.Fatalf("%+v", s)
	}
	if s := show(t, "retire", "first"); states(s) != "second=active" {
		t.Fatalf("%+v", s)
	}

	t.Run("no command shows a secret", func(t *testing.T) {
		r := run(t, dir, "", "keyset", "--keyset-file", path, "check")
		if r.code != 0 || strings.Contains(r.out, file.Keys[0].Secret) || !strings.Contains(r.out, "second") {
			t.Fatalf("code %d\n%s", r.code, r.out)
		}
	})
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	refused("JWS-14 a file that others may read", 2, `KEYSET_FILE: has mode 0644`, "check")
	if err := os.WriteFile(path, []byte(`{"version":2,"active":"x","keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("every problem of a file is listed", 2, `(?s)version must be 1.*1 to 8 entries.*active names no entry`, "add")
}
