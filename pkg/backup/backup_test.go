// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/datadir"
)

var (
	kind  = backup.Kind{Program: "svc", Database: "svc.db", Keys: []string{"first.key", "former.key", "second.key"}}
	now   = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	files = map[string]string{"first.key": "one", "second.key": "two", "svc.db": "rows"}
)

func open(t testing.TB) *datadir.Dir {
	t.Helper()
	dir, err := datadir.Open("svc", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// installed is a directory with what an installation has, and what no copy may have.
func installed(t testing.TB) *datadir.Dir {
	t.Helper()
	dir := open(t)
	for name, content := range files {
		write(t, dir.Path(name), content)
	}
	write(t, dir.Path("lock"), "1")
	write(t, dir.Path("other"), "of somebody else")
	return dir
}

func taken(t testing.TB, dir *datadir.Dir) backup.Snapshot {
	t.Helper()
	s, err := kind.Take(dir, now, func(to string) error { return os.WriteFile(to, []byte(files["svc.db"]), 0o600) })
	if err != nil {
		t.Fatal(err)
	}
	s.Version, s.Schema = "1.2.3", 4
	return s
}

func packed(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := kind.Pack(&b, taken(t, installed(t))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func well(string) error { return nil }

// names are those of a directory's entries.
func names(t testing.TB, path string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestACopyIsBroughtBack(t *testing.T) {
	from := installed(t)
	s := taken(t, from)
	if !slices.Equal(s.Files, []string{"first.key", "second.key", "svc.db"}) {
		t.Errorf("%q", s.Files)
	}
	path := filepath.Join(t.TempDir(), "svc.tar")
	made, err := kind.PackInto(path, s)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != made.Size || !made.MadeAt.Equal(now) || made.Schema != 4 {
		t.Errorf("%v %+v %v", info, made, err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	to := open(t)
	judged := ""
	m, err := kind.Restore(to, f, func(place string) error {
		judged = strings.Join(names(t, place), " ")
		if to.Has("svc.db") || to.Has("first.key") {
			t.Error("in place before it was judged")
		}
		return nil
	})
	if err != nil || judged != "first.key second.key svc.db" || m.Program != "svc" || m.Version != "1.2.3" {
		t.Fatalf("%+v %q %v", m, judged, err)
	}
	for name, content := range files {
		if b, err := os.ReadFile(to.Path(name)); err != nil || string(b) != content {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	if left := names(t, to.Path("")); len(left) != 3 {
		t.Errorf("%q", left)
	}
}

func TestTakeLeavesNothingBehind(t *testing.T) {
	dir := installed(t)
	before := len(names(t, dir.Path("")))
	broken := errors.New("the disk is full")
	if _, err := kind.Take(dir, now, func(string) error { return broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if left := names(t, dir.Path("")); len(left) != before {
		t.Errorf("%q", left)
	}
	// What a killed command has left goes an hour later, what another one is at stays.
	for name, age := range map[string]time.Duration{".backup-old": 2 * time.Hour, ".backup-busy": time.Minute} {
		if err := errors.Join(os.Mkdir(dir.Path(name), 0o700), os.Chtimes(dir.Path(name), time.Time{}, time.Now().Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	taken(t, dir)
	if left := names(t, dir.Path("")); slices.Contains(left, ".backup-old") || !slices.Contains(left, ".backup-busy") {
		t.Errorf("%q", left)
	}
}

// edited is the copy with its files changed; a file without a name is left out.
func edited(t testing.TB, copied []byte, edit func(h *tar.Header, content []byte) []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, r := tar.NewWriter(&out), tar.NewReader(bytes.NewReader(copied))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		content = edit(h, content)
		if h.Name == "" {
			continue
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// told is the copy under another manifest.
func told(t testing.TB, copied []byte, change func(m *backup.Manifest)) []byte {
	t.Helper()
	return edited(t, copied, func(h *tar.Header, content []byte) []byte {
		if h.Name != "manifest.json" {
			return content
		}
		var m backup.Manifest
		if err := json.Unmarshal(content, &m); err != nil {
			t.Fatal(err)
		}
		change(&m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

func TestWhatIsNoCopyIsRefused(t *testing.T) {
	good := packed(t)
	file := func(name string, do func(h *tar.Header, content []byte) []byte) []byte {
		return edited(t, good, func(h *tar.Header, content []byte) []byte {
			if h.Name == name {
				return do(h, content)
			}
			return content
		})
	}
	flipped := bytes.Replace(good, []byte("rows"), []byte("rOws"), 1)
	for name, tc := range map[string]struct {
		content []byte
		says    string // empty: that it is no copy
	}{
		"nothing":                     {nil, ""},
		"no tar":                      {[]byte(strings.Repeat("x", 4096)), ""},
		"cut short":                   {good[:len(good)/2], ""},
		"a flipped bit":               {flipped, ""},
		"a file is missing":           {file("second.key", func(h *tar.Header, b []byte) []byte { h.Name = ""; return b }), ""},
		"a file too many":             {append(good[:len(good)-1024:len(good)-1024], packed(t)...), ""},
		"no manifest":                 {file("manifest.json", func(h *tar.Header, b []byte) []byte { h.Name = ""; return b }), ""},
		"a manifest that is none":     {file("manifest.json", func(*tar.Header, []byte) []byte { return []byte("[") }), ""},
		"a manifest beyond its bound": {file("manifest.json", func(_ *tar.Header, b []byte) []byte { return append(b, make([]byte, 64<<10)...) }), ""},
		"a link in the place of a file": {file("svc.db", func(h *tar.Header, _ []byte) []byte {
			h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd"
			return nil
		}), ""},
		"a file that leads elsewhere": {edited(t, told(t, good, func(m *backup.Manifest) { m.Files[0].Name = "../first.key" }), func(h *tar.Header, b []byte) []byte {
			if h.Name == "first.key" {
				h.Name = "../first.key"
			}
			return b
		}), ""},
		"the same file twice":          {told(t, good, func(m *backup.Manifest) { m.Files[1] = m.Files[0] }), ""},
		"the database is not the last": {told(t, good, func(m *backup.Manifest) { m.Files = m.Files[:2] }), ""},
		"no file":                      {told(t, good, func(m *backup.Manifest) { m.Files = nil }), ""},
		"a huge key":                   {told(t, good, func(m *backup.Manifest) { m.Files[0].Size = 1 << 20 }), ""},
		"another form":                 {told(t, good, func(m *backup.Manifest) { m.Format = 2 }), `made by "svc" (version "1.2.3") in a form that this version does not know`},
		"another service's":            {told(t, good, func(m *backup.Manifest) { m.Program = "other" }), `a copy of "other", not of svc`},
		"of before there were names":   {told(t, good, func(m *backup.Manifest) { m.Program = "" }), `a copy of "core", not of svc`},
	} {
		t.Run(name, func(t *testing.T) {
			to := open(t)
			_, err := kind.Restore(to, bytes.NewReader(tc.content), well)
			if err == nil || tc.says == "" && !errors.Is(err, backup.ErrNotABackup) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v", err)
			}
			if left := names(t, to.Path("")); len(left) > 0 {
				t.Errorf("%q", left)
			}
		})
	}
	t.Run("what its service refuses", func(t *testing.T) {
		to, newer := open(t), errors.New("newer")
		if _, err := kind.Restore(to, bytes.NewReader(good), func(string) error { return newer }); !errors.Is(err, newer) || len(names(t, to.Path(""))) > 0 {
			t.Errorf("%v", err)
		}
	})
}

func TestTheDirectoryOfARestore(t *testing.T) {
	good := packed(t)
	for name, tc := range map[string]struct {
		files   map[string]string
		refused string
	}{
		"a lock, and what a killed one has left":   {map[string]string{"lock": "1", ".restore-1": "x"}, ""},
		"the same key":                             {map[string]string{"first.key": "one"}, ""},
		"a former key that the copy does not have": {map[string]string{"former.key": "zero"}, ""},
		"another key":                              {map[string]string{"first.key": "eins"}, "another key"},
		"a database":                               {map[string]string{"svc.db": "rows"}, "is not empty"},
		"something":                                {map[string]string{"notes": "x"}, "is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			to := open(t)
			for name, content := range tc.files {
				write(t, to.Path(name), content)
			}
			_, err := kind.Restore(to, bytes.NewReader(good), func(place string) error {
				if tc.files["former.key"] != "" && !slices.Contains(names(t, place), "former.key") {
					t.Error("what is there already is not part of what is judged")
				}
				return nil
			})
			if tc.refused == "" && err != nil || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("%v", err)
			}
			if to.Has("svc.db") != (tc.refused == "" || tc.files["svc.db"] != "") {
				t.Errorf("%q", names(t, to.Path("")))
			}
		})
	}
}

// FuzzRestore: whatever is given, either it is a whole copy of files that are ours, or nothing was
// put in place.
func FuzzRestore(f *testing.F) {
	good := packed(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(told(f, good, func(m *backup.Manifest) { m.Files[0].Name = "../first.key" }))
	f.Fuzz(func(t *testing.T, content []byte) {
		to := open(t)
		_, err := kind.Restore(to, bytes.NewReader(content), well)
		left := names(t, to.Path(""))
		if err != nil && len(left) > 0 {
			t.Fatalf("%q after %v", left, err)
		}
		for _, name := range left {
			if !kind.Holds(name) {
				t.Fatalf("%q", left)
			}
		}
		if err == nil && !slices.Contains(left, "svc.db") {
			t.Fatalf("%q", left)
		}
		if entries := names(t, filepath.Dir(to.Path(""))); len(entries) > 1 {
			t.Fatalf("beside the directory: %q", entries)
		}
	})
}
