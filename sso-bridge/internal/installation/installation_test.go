// SPDX-License-Identifier: Apache-2.0

package installation_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// world is a database and its recorder.
type world struct {
	storetest.Durable
	recorder *audit.Recorder
}

func newWorld(t *testing.T) world {
	t.Helper()
	d := storetest.NewSQLite(t)
	r, err := audit.NewRecorder(d.Audit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return world{d, r}
}

// with gives a process that starts with these keys.
func (w world) with(t *testing.T, keyFile []byte, canary, previous string) *installation.Service {
	t.Helper()
	keys, err := seal.Parse(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	d := installation.Deps{
		Store: w.Installation, Recorder: w.recorder, Now: func() time.Time { return storetest.Start }, Sealing: keys, CanaryKey: []byte(canary),
	}
	if previous != "" {
		d.CanaryKeyPrevious = []byte(previous)
	}
	s, err := installation.New(d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, s *installation.Service) []byte {
	t.Helper()
	key, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestOpen(t *testing.T) {
	k1, k2 := seal.NewKeyFile("k1"), seal.NewKeyFile("k2")

	t.Run("SSO-110 the fingerprint key is made once, whatever the sealing key is later", func(t *testing.T) {
		w := newWorld(t)
		first := open(t, w.with(t, k1, "one", ""))
		if len(first) != 32 || bytes.Equal(first, make([]byte, 32)) {
			t.Fatalf("%d bytes", len(first))
		}
		rotated := w.with(t, append(slices.Clone(k2), k1...), "one", "")
		if !bytes.Equal(open(t, rotated), first) {
			t.Error("another key under a new sealing key")
		}
		if done, err := rotated.Reseal(t.Context(), audit.Operator); err != nil || done[0].Sealed != 1 || done[1].Sealed != 1 {
			t.Fatal(done, err)
		}
		if !bytes.Equal(open(t, w.with(t, k2, "one", "")), first) {
			t.Error("another key once the former sealing key is gone")
		}
		if done, err := rotated.Reseal(t.Context(), audit.Operator); err != nil || done[0].Sealed+done[1].Sealed != 0 {
			t.Error(done, err)
		}
	})

	t.Run("SSO-110 of many first starts all have one key", func(t *testing.T) {
		w := newWorld(t)
		s := w.with(t, k1, "one", "")
		keys := storetest.AtOnce(8, func(int) []byte {
			key, err := s.Open(context.Background())
			if err != nil {
				t.Error(err)
			}
			return key
		})
		for _, key := range keys {
			if !bytes.Equal(key, keys[0]) {
				t.Fatal("two keys")
			}
		}
	})

	t.Run("SSO-112 another SECRET_KEY or sealing key is refused", func(t *testing.T) {
		w := newWorld(t)
		open(t, w.with(t, k1, "one", ""))
		for name, s := range map[string]*installation.Service{
			"secret key": w.with(t, k1, "two", ""), "secret key and a former one": w.with(t, k1, "two", "three"), "sealing key": w.with(t, k2, "one", ""),
		} {
			if _, err := s.Open(t.Context()); !errors.Is(err, installation.ErrKeyChanged) {
				t.Errorf("%s: %v", name, err)
			}
		}
		open(t, w.with(t, k1, "one", ""))
	})

	t.Run("SSO-112 with the former SECRET_KEY it starts, and rotate-secret-key writes the canary", func(t *testing.T) {
		w := newWorld(t)
		first := open(t, w.with(t, k1, "one", ""))
		s := w.with(t, k1, "two", "one")
		if !bytes.Equal(open(t, s), first) {
			t.Error("another fingerprint key")
		}
		for _, want := range []bool{true, false} {
			if did, err := s.AdoptSecretKey(t.Context(), audit.Operator); err != nil || did != want {
				t.Error(did, err)
			}
		}
		open(t, w.with(t, k1, "two", ""))
		if _, err := w.with(t, k1, "one", "").Open(t.Context()); !errors.Is(err, installation.ErrKeyChanged) {
			t.Error(err)
		}
		if names, _ := w.Events(t); !slices.Equal(names, []string{"installation.secret_key_rotated"}) {
			t.Error(names)
		}
	})

	t.Run("a canary or key that was moved does not open", func(t *testing.T) {
		w := newWorld(t)
		open(t, w.with(t, k1, "one", ""))
		if _, err := w.DB.Exec(t.Context(), `UPDATE sso_installation SET fingerprint_key_sealed = canary`); err != nil {
			t.Fatal(err)
		}
		if _, err := w.with(t, k1, "one", "").Open(t.Context()); !errors.Is(err, installation.ErrKeyChanged) {
			t.Error(err)
		}
	})

	t.Run("verifying makes nothing", func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.with(t, k1, "one", "").Verify(t.Context()); err == nil {
			t.Error("there is an installation")
		}
		if s, err := w.Installation.Read(t.Context()); err != nil || s != (installation.State{}) {
			t.Error(s, err)
		}
	})
}

func TestNewChecksWhatItNeeds(t *testing.T) {
	whole := newWorld(t).with(t, seal.NewKeyFile("k1"), "one", "").Deps
	for name, drop := range map[string]func(*installation.Deps){
		"store": func(d *installation.Deps) { d.Store = nil }, "recorder": func(d *installation.Deps) { d.Recorder = nil }, "clock": func(d *installation.Deps) { d.Now = nil },
		"sealing": func(d *installation.Deps) { d.Sealing = nil }, "canary": func(d *installation.Deps) { d.CanaryKey = nil },
	} {
		d := whole
		drop(&d)
		if _, err := installation.New(d); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}
