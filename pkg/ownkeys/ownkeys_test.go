// SPDX-License-Identifier: Apache-2.0

package ownkeys_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const database = "svc.db"

func source(t *testing.T) ownkeys.Source {
	t.Helper()
	dir, err := datadir.Open("svc", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return ownkeys.Source{Dir: dir, Database: database}
}

func load(t *testing.T, s ownkeys.Source) *ownkeys.Keys {
	t.Helper()
	k, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// made pretends that the database exists.
func made(t *testing.T, s ownkeys.Source) {
	t.Helper()
	if err := os.WriteFile(s.Dir.Path(database), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKeysOfOurOwn(t *testing.T) {
	s := source(t)
	first := load(t, s)
	if !first.Own || len(first.Master.Reveal()) < secret.MinMaster || !first.Previous.IsZero() || len(first.Sealing.IDs()) != 1 {
		t.Fatalf("%v", first.Sealing.IDs())
	}
	made(t, s)
	if again := load(t, s); !again.Master.Equal(first.Master) {
		t.Error("a second start has another key")
	}
	for _, file := range []string{datadir.SecretKeyFile, datadir.SealingKeyFile} {
		if info, err := os.Stat(s.Dir.Path(file)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	for file, key := range map[string]string{datadir.SecretKeyFile: "SECRET_KEY", datadir.SealingKeyFile: "SEALING_KEY_FILE"} {
		aside := s.Dir.Path(file) + ".aside"
		if err := os.Rename(s.Dir.Path(file), aside); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(); err == nil || !strings.HasPrefix(err.Error(), key+": is missing") {
			t.Errorf("a database without %s: %v", file, err)
		}
		if s.Dir.Has(file) {
			t.Errorf("%s was made anew", file)
		}
		if err := os.Rename(aside, s.Dir.Path(file)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (ownkeys.Source{}).Load(); err == nil || !strings.Contains(err.Error(), "SECRET_KEY: is required") || !strings.Contains(err.Error(), "SEALING_KEY_FILE: is required") {
		t.Errorf("a fleet without keys: %v", err)
	}
}

func TestANewSecretKey(t *testing.T) {
	s := source(t)
	first := load(t, s)
	r, err := ownkeys.NewSecretKey(s.Dir, first.Master)
	if err != nil || !r.Changed || !r.Restart || r.Previous != s.Dir.Path(datadir.PreviousKeyFile) {
		t.Fatalf("%+v, %v", r, err)
	}
	next := load(t, s)
	if next.Master.Equal(first.Master) || !next.Previous.Equal(first.Master) {
		t.Error("the former key is not the previous one")
	}
	if r, err := ownkeys.NewSecretKey(s.Dir, first.Master); err != nil || r.Changed {
		t.Errorf("a second rotation before the restart: %+v, %v", r, err)
	}
	present, former, err := next.Derive("purpose")
	was, _, _ := first.Derive("purpose")
	other, _, _ := next.Derive("another")
	if err != nil || string(former) != string(was) || string(present) == string(was) || string(present) == string(other) {
		t.Errorf("derived keys, %v", err)
	}
	if removed, err := ownkeys.ForgetPrevious(s.Dir, time.Now()); err != nil || removed != "" {
		t.Errorf("pages of last night still need it: %q, %v", removed, err)
	}
	if removed, err := ownkeys.ForgetPrevious(s.Dir, time.Now().Add(ownkeys.PreviousLife+time.Hour)); err != nil || removed == "" {
		t.Errorf("%q, %v", removed, err)
	}
	if got := load(t, s); !got.Previous.IsZero() || !got.Master.Equal(next.Master) {
		t.Error("the previous key is still there")
	}
}

func TestANewSealingKey(t *testing.T) {
	s := source(t)
	k := load(t, s)
	sealed := k.Sealing.Seal([]byte("x"), "place")
	for _, want := range []string{"k2 k1", "k3 k2"} {
		if err := ownkeys.NewSealingKey(s.Dir, k.Sealing); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(k.Sealing.IDs(), " "); got != want || strings.Join(load(t, s).Sealing.IDs(), " ") != want {
			t.Errorf("%s, want %s", got, want)
		}
		if want == "k2 k1" {
			if plain, err := k.Sealing.Open(sealed, "place"); err != nil || string(plain) != "x" {
				t.Errorf("what the former key sealed: %v", err)
			}
		}
	}
}

func TestApart(t *testing.T) {
	shared, own := strings.Repeat("s", 32), secret.New(strings.Repeat("o", 32))
	set := keyset.Fixed("k", map[string][]byte{"k": []byte(shared)})
	sealing := seal.NewKeyFile("k1")
	judge := func(set *keyset.Set, present, previous secret.Text, file []byte) string {
		var p config.Problems
		ownkeys.Apart(set, present, previous, file, &p)
		keys := ""
		for _, one := range p {
			keys += one.Key + " "
		}
		return keys
	}
	if got := judge(set, own, secret.Text{}, sealing); got != "" {
		t.Error(got)
	}
	if got := judge(nil, own, own, sealing); got != "" {
		t.Error(got)
	}
	if got := judge(set, secret.New(shared), secret.New(shared), sealing); got != "SECRET_KEY SECRET_KEY_PREVIOUS " {
		t.Error(got)
	}
	file := filepath.Join(t.TempDir(), "mounted.key")
	if err := os.WriteFile(file, sealing, 0o640); err != nil {
		t.Fatal(err)
	}
	k := load(t, ownkeys.Source{SecretKey: own, SealingKeyFile: file})
	if k.Own || !k.Master.Equal(own) {
		t.Error("given keys are not taken")
	}
}
