// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// Installation is the contract of installation.Store.
func Installation(t *testing.T, open OpenDurable) {
	read := func(t *testing.T, d Durable) installation.State {
		t.Helper()
		s, err := d.Installation.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := installation.State{Canary: "canary", FingerprintKey: "key"}

	t.Run("of two that make the row one has made it", func(t *testing.T) {
		a, b := open(t)
		Same(t, "before", read(t, a), installation.State{})
		for _, err := range []error{a.Installation.Init(t.Context(), first), b.Installation.Init(t.Context(), installation.State{Canary: "late", FingerprintKey: "late"})} {
			if err != nil {
				t.Fatal(err)
			}
		}
		Same(t, "after", read(t, b), first)
	})

	t.Run("a canary is swapped by whoever knows it, with its event, and the key stays", func(t *testing.T) {
		a, b := open(t)
		ready(t, a)
		for i, tc := range []struct {
			from, to string
			swapped  bool
		}{{"other", "x", false}, {"canary", "next", true}, {"canary", "y", false}} {
			if swapped, err := a.Installation.SwapCanary(t.Context(), tc.from, tc.to, event("x")); err != nil || swapped != tc.swapped {
				t.Errorf("%d: %v %v", i, swapped, err)
			}
		}
		Same(t, "state", read(t, b), installation.State{Canary: "next", FingerprintKey: "key"})
		if names, _ := b.Events(t); len(names) != 1 {
			t.Errorf("%d events", len(names))
		}
	})

	t.Run("what is sealed is sealed again at its place, unless it has changed or does not open", func(t *testing.T) {
		a, b := open(t)
		ready(t, a)
		write(t, a, func(ctx context.Context, tx connection.Tx) error {
			return errors.Join(tx.Insert(ctx, row("one")), tx.AddRecord(ctx, record("one", 1, "sealed")), tx.AddRecord(ctx, record("one", 2, "")))
		})
		if _, err := a.SPKeys.Add(t.Context(), spKey("one", 1, spkeys.Current)); err != nil {
			t.Fatal(err)
		}
		var places []string
		done, err := a.Installation.Reseal(t.Context(), func(sealed, place string) (string, error) {
			places = append(places, place)
			return sealed + " again", nil
		})
		if err != nil {
			t.Fatal(err)
		}
		Same(t, "counts", done, []seal.Resealed{
			{Column: "sso_installation.canary", Values: 1, Sealed: 1},
			{Column: "sso_installation.fingerprint_key_sealed", Values: 1, Sealed: 1},
			{Column: "sso_connection_revisions.secrets_sealed", Values: 1, Sealed: 1},
			{Column: "sso_sp_keys.private_sealed", Values: 1, Sealed: 1},
		})
		Same(t, "places", places, []string{
			"sso_installation/1/canary", "sso_installation/1/fingerprint_key_sealed", "sso_connection_revisions/one:" + hash(1) + "/secrets_sealed",
			"sso_sp_keys/" + spKey("one", 1, "").ID + "/private_sealed",
		})
		Same(t, "state", read(t, b), installation.State{Canary: "canary again", FingerprintKey: "key again"})
		if r, err := b.Connections.Record(t.Context(), "one", hash(1)); err != nil || r.Sealed != "sealed again" {
			t.Error(r, err)
		}
		if all, err := b.SPKeys.Keys(t.Context(), "one"); err != nil || all[0].Sealed != "sealed 1 again" {
			t.Error(all, err)
		}
		closed := errors.New("does not open")
		if _, err := a.Installation.Reseal(t.Context(), func(string, string) (string, error) { return "", closed }); !errors.Is(err, closed) {
			t.Fatal(err)
		}
	})

	t.Run("a cancelled context writes nothing", func(t *testing.T) {
		a, b := open(t)
		ready(t, a)
		_, reading := a.Installation.Read(cancelled(t))
		_, swapping := a.Installation.SwapCanary(cancelled(t), "canary", "x")
		_, resealing := a.Installation.Reseal(cancelled(t), func(string, string) (string, error) { return "x", nil })
		for name, err := range map[string]error{"Read": reading, "SwapCanary": swapping, "Reseal": resealing, "Init": a.Installation.Init(cancelled(t), first)} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		Same(t, "state", read(t, b), first)
	})
}

// ready makes a database one of an installation, without which nothing is written.
func ready(t *testing.T, d Durable) {
	t.Helper()
	if err := d.Installation.Init(t.Context(), installation.State{Canary: "canary", FingerprintKey: "key"}); err != nil {
		t.Fatal(err)
	}
}
