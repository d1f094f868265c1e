// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBackupAndRestore(t *testing.T) {
	p := install(t)
	secret := p.path("client-secret")
	if err := os.WriteFile(secret, []byte("hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must(append(slices.Clone(github), "--client-secret-file", secret)...)
	file := p.path("bridge.tar")
	_, _, stop := p.serve()
	t.Run("beside a server", func(t *testing.T) {
		var made struct {
			File  string   `json:"file"`
			Bytes int64    `json:"bytes"`
			Files []string `json:"files"`
		}
		if err := json.Unmarshal([]byte(p.must("admin", "backup", "--to", file, "-o", "json")), &made); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() != made.Bytes || made.File != file || !slices.Equal(made.Files, []string{"secret.key", "sealing.key", "bridge.db"}) {
			t.Errorf("%v %+v %v", info, made, err)
		}
		if left, _ := filepath.Glob(p.path("data/.backup-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	stop()
	t.Run("without one, to standard output", func(t *testing.T) {
		if out := p.must("admin", "backup", "--to", "-"); !strings.Contains(out[:min(len(out), 2048)], "manifest.json") {
			t.Errorf("%.20q", out)
		}
	})
	shown := p.must("connection", "show", "gh", "-o", "json")
	p.must("connection", "delete", "gh", "--reason", "of no use")

	q := &place{t: t, dir: p.dir, log: &buffer{}, environ: append(slices.Clone(p.environ), "DATA_DIR="+p.path("again"))}
	t.Run("brought back it is the same bridge", func(t *testing.T) {
		if out := q.must("admin", "restore", "--from", file); !strings.Contains(out, "holds the bridge as of") {
			t.Error(out)
		}
		if again := q.must("connection", "show", "gh", "-o", "json"); again != shown {
			t.Errorf("%s\nwas\n%s", again, shown)
		}
		q.must("admin", "rotate-sealing-key") // opens what is sealed in it
	})
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		at   *place
		from []byte
		keys map[string]string
		says string
	}{
		"a directory that is in use": {q, content, nil, "is not empty"},
		"a damaged copy":             {install(t), bytes.Replace(content, []byte("SQLite format 3"), []byte("SQLite format 4"), 1), nil, "it is damaged"},
		"under another key":          {install(t), content, map[string]string{"secret.key": strings.Repeat("k", 40)}, "another key"},
		"under a key that is given":  {install(t, "SECRET_KEY="+strings.Repeat("y7Q_", 12)), content, nil, "SECRET_KEY has changed"},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			tc.at.t = t
			from := filepath.Join(t.TempDir(), "copy.tar")
			if err := os.WriteFile(from, tc.from, 0o600); err != nil {
				t.Fatal(err)
			}
			for file, key := range tc.keys {
				if err := os.MkdirAll(tc.at.path("data"), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(tc.at.path("data/"+file), []byte(key), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if code, out, errs := tc.at.run("admin", "restore", "--from", from); code != 1 || out != "" || !strings.Contains(errs, tc.says) {
				t.Errorf("%d %q %q", code, out, errs)
			}
			if tc.at != q {
				if _, err := os.Stat(tc.at.path("data/bridge.db")); err == nil {
					t.Error("there is a database all the same")
				}
			}
		})
	}
	t.Run("what is asked wrongly", func(t *testing.T) {
		for _, args := range [][]string{{"admin", "backup"}, {"admin", "restore"}, {"admin", "backup", "--to", "-", "-o", "json"}} {
			if code, _, errs := p.run(args...); code != 2 {
				t.Errorf("%q: %d %s", args, code, errs)
			}
		}
	})
}
