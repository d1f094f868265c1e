// SPDX-License-Identifier: Apache-2.0

package keyset_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/keyset"
)

// rotated is a file with an entry in each state at noon.
func rotated() keyset.File {
	return keyset.File{Version: 1, Active: "active", Keys: []keyset.Entry{
		entry("waiting", 1), entry("active", 2), until(entry("retiring", 3), "2026-11-20T13:00:00Z"), until(entry("over", 4), "2026-11-20T12:00:00Z"),
	}}
}

func TestStates(t *testing.T) {
	f := rotated()
	for _, kid := range []string{"waiting", "active", "retiring", "over"} {
		if got := f.State(kid, noon); string(got) != kid {
			t.Errorf("%s is %s", kid, got)
		}
	}
	if got := f.State("none", noon); got != "" {
		t.Errorf("no entry is %s", got)
	}
}

func TestAdd(t *testing.T) {
	full := rotated()
	for _, kid := range []string{"e5", "e6", "e7", "e8"} {
		full.Keys = append(full.Keys, entry(kid, byte(10+len(full.Keys))))
	}
	for _, tc := range []struct {
		name, kid string
		f         keyset.File
		want      error
	}{
		{"one more", "2026-12-a", rotated(), nil},
		{"a kid that has no form of one", "2026/12", rotated(), keyset.ErrKID},
		{"a kid that is there", "over", rotated(), keyset.ErrTaken},
		{"a ninth", "ninth", full, keyset.ErrFull},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := len(tc.f.Keys)
			f, err := tc.f.Add(tc.kid, noon)
			if !errors.Is(err, tc.want) {
				t.Fatalf("err = %v", err)
			}
			if err != nil {
				return
			}
			if f.State(tc.kid, noon) != keyset.Waiting || f.Active != "active" || len(f.Keys) != before+1 || len(tc.f.Keys) != before {
				t.Fatalf("%+v", f)
			}
			if _, err := f.Fingerprint(noon); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestActivate(t *testing.T) {
	fingerprint, err := rotated().Fingerprint(noon)
	if err != nil {
		t.Fatal(err)
	}
	hour := noon.Add(time.Hour)
	for _, tc := range []struct {
		name, kid, seen string
		keep            time.Time
		want            error
	}{
		{"an entry that was added", "waiting", fingerprint, hour, nil},
		{"an entry that signed before", "retiring", fingerprint, hour, nil},
		{"SSO-41 a step is skipped: never added", "none", fingerprint, hour, keyset.ErrNoEntry},
		{"SSO-41 a step is skipped: not seen everywhere", "waiting", "00000000", hour, keyset.ErrNotSeen},
		{"SSO-41 the former entry kept for less than an hour", "waiting", fingerprint, hour.Add(-time.Nanosecond), keyset.ErrKeep},
		{"the active entry", "active", fingerprint, hour, keyset.ErrActive},
		{"an entry that is over", "over", fingerprint, hour, keyset.ErrOver},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := rotated()
			f, err := before.Activate(tc.kid, tc.seen, tc.keep, noon)
			if !errors.Is(err, tc.want) {
				t.Fatalf("err = %v", err)
			}
			if !reflect.DeepEqual(before, rotated()) {
				t.Error("the file that was given has changed")
			}
			if err != nil {
				return
			}
			if f.Active != tc.kid || f.State("active", hour.Add(-time.Second)) != keyset.Retiring || f.State("active", hour) != keyset.Over {
				t.Fatalf("%+v", f)
			}
			if _, err := f.Fingerprint(noon); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("a time between seconds is no earlier end", func(t *testing.T) {
		f, err := rotated().Activate("waiting", fingerprint, hour.Add(time.Millisecond), noon)
		if err != nil || f.State("active", hour.Add(time.Millisecond)) != keyset.Retiring {
			t.Fatalf("%v %+v", err, f)
		}
	})
}

func TestRetire(t *testing.T) {
	for _, tc := range []struct {
		kid  string
		want error
	}{
		{"over", nil}, {"retiring", keyset.ErrStillInUse}, {"waiting", keyset.ErrNeverOver}, {"active", keyset.ErrActive}, {"none", keyset.ErrNoEntry},
	} {
		t.Run("SSO-41 retire "+tc.kid, func(t *testing.T) {
			f, err := rotated().Retire(tc.kid, noon)
			if !errors.Is(err, tc.want) {
				t.Fatalf("err = %v", err)
			}
			if left := f.State(tc.kid, noon) != ""; (err == nil) == left && tc.kid != "none" {
				t.Fatalf("left: %v", left)
			}
		})
	}
}

func TestNextKID(t *testing.T) {
	f := keyset.File{Keys: []keyset.Entry{entry("2026-11-a", 1), entry("2026-11-c", 2)}}
	if got := f.NextKID(noon); got != "2026-11-b" {
		t.Error(got)
	}
	if got := (keyset.File{}).NextKID(noon); got != "2026-11-a" {
		t.Error(got)
	}
}

func TestFilesAreWrittenWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keyset.json")
	f, err := keyset.NewFile("a", noon)
	if err != nil {
		t.Fatal(err)
	}
	mode := func() fs.FileMode {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if err := keyset.Replace(path, f); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a file that is not there was replaced: %v", err)
	}
	if err := keyset.Create(path, f); err != nil || mode() != 0o600 {
		t.Fatalf("%v, mode %04o", err, mode())
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := keyset.NewFile("b", noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := keyset.Create(path, other); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("a file that is there was made anew: %v", err)
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != string(before) {
		t.Fatal("a refused Create changed the file")
	}
	link := filepath.Join(dir, "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[fs.FileMode]fs.FileMode{0o600: 0o600, 0o640: 0o640, 0o664: 0o640} {
		if err := os.Chmod(path, given); err != nil {
			t.Fatal(err)
		}
		if err := keyset.Replace(link, other); err != nil || mode() != want {
			t.Errorf("mode %04o became %04o, want %04o: %v", given, mode(), want, err)
		}
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link is one no more")
	}
	set, err := keyset.Load(link, noon)
	if err != nil || set.Active() != "b" {
		t.Fatalf("%v", err)
	}
	if rest, err := filepath.Glob(filepath.Join(dir, ".keyset-*")); err != nil || len(rest) > 0 {
		t.Errorf("left behind: %v", rest)
	}
}
