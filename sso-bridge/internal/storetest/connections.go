// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

// contenders is how many meet at a row.
const contenders = 16

func hash(n int) string { return fmt.Sprintf("%064x", n) }

// row is a connection of no consequence.
func row(id string) connection.Connection {
	return connection.Connection{
		ID: id, Name: "Name " + id, Protocol: connection.OIDC, Preset: "generic-oidc", State: connection.Draft,
		Intents: []connection.Intent{connection.DeviceFlow}, ManagedBy: connection.ByAPI, Head: hash(1), CreatedAt: Start, UpdatedAt: Start,
	}
}

func record(id string, n int, sealed string) connection.Record {
	return connection.Record{ConnectionID: id, Hash: hash(n), Config: fmt.Sprintf(`{"n":%d}`, n), Sealed: sealed, CreatedAt: After(time.Duration(n) * time.Millisecond), CreatedBy: "cli:test"}
}

func write(t *testing.T, d Durable, fn func(ctx context.Context, tx connection.Tx) error) {
	t.Helper()
	if err := d.Connections.InTx(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func insert(t *testing.T, d Durable, rows ...connection.Connection) {
	t.Helper()
	write(t, d, func(ctx context.Context, tx connection.Tx) error {
		for _, c := range rows {
			if err := tx.Insert(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// opened gives two handles on the database of an installation.
func opened(t *testing.T, open OpenDurable) (a, b Durable) {
	t.Helper()
	a, b = open(t)
	ready(t, a)
	return a, b
}

// Connections is the contract of connection.Store for its rows.
func Connections(t *testing.T, open OpenDurable) {
	full := row("full")
	full.Button, full.State, full.Listed, full.Default, full.Position = "Sign in with 公司", connection.Enabled, true, true, 7
	full.Intents = []connection.Intent{connection.AccountLogin, connection.DeviceFlow}
	full.ManagedBy, full.Serving, full.UpdatedAt = connection.ByFile, hash(2), After(time.Second)

	t.Run("every field comes back, also when it is changed", func(t *testing.T) {
		a, b := opened(t, open)
		insert(t, a, full, row("plain"))
		gone := After(time.Minute)
		for _, want := range []connection.Connection{full, row("plain")} {
			got, err := b.Connections.Find(t.Context(), want.ID)
			if err != nil {
				t.Fatal(err)
			}
			Same(t, want.ID, got, want)
		}
		changed := row("full")
		changed.DeletedAt, changed.Head, changed.Protocol, changed.Preset = &gone, hash(9), connection.OAuth2, "github"
		write(t, a, func(ctx context.Context, tx connection.Tx) error { return tx.Save(ctx, changed) })
		got, err := b.Connections.Find(t.Context(), "full")
		if err != nil {
			t.Fatal(err)
		}
		Same(t, "changed", got, changed)
	})

	t.Run("an id is never used again, also not that of a deleted connection", func(t *testing.T) {
		a, b := opened(t, open)
		insert(t, a, row("one"))
		again := func(d Durable) error {
			return d.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) error { return tx.Insert(ctx, row("one")) })
		}
		if err := again(b); !errors.Is(err, connection.ErrExists) {
			t.Error(err)
		}
		gone := row("one")
		gone.DeletedAt = &Start
		write(t, a, func(ctx context.Context, tx connection.Tx) error { return tx.Save(ctx, gone) })
		if err := again(b); !errors.Is(err, connection.ErrExists) {
			t.Error(err)
		}
	})

	t.Run("all are listed by position, then name, but those that are deleted", func(t *testing.T) {
		a, b := opened(t, open)
		var rows []connection.Connection
		for i, id := range []string{"c2", "c1", "c0", "gone"} {
			c := row(id)
			c.Name, c.Position = fmt.Sprint("Name ", i%2), i/2
			rows = append(rows, c)
		}
		rows[3].DeletedAt = &Start
		insert(t, a, rows...)
		all, err := b.Connections.All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range all {
			ids = append(ids, c.ID)
		}
		Same(t, "order", ids, []string{"c2", "c1", "c0"})
	})

	t.Run("the owner of an issuer is told beside a transaction too, also when it is deleted", func(t *testing.T) {
		a, b := opened(t, open)
		gone := row("gone")
		gone.DeletedAt = &Start
		insert(t, a, gone)
		write(t, a, func(ctx context.Context, tx connection.Tx) error {
			return tx.TakeIssuer(ctx, "http://idp.example/", "gone")
		})
		for issuer, want := range map[string]string{"http://idp.example/": "gone", "http://idp.example": ""} {
			if got, err := b.Connections.IssuerOwner(t.Context(), issuer); err != nil || got != want {
				t.Errorf("%s belongs to %q, %v", issuer, got, err)
			}
		}
	})

	t.Run("one that is not there is said so", func(t *testing.T) {
		a, _ := opened(t, open)
		if _, err := a.Connections.Find(t.Context(), "none"); !errors.Is(err, connection.ErrUnknown) {
			t.Error(err)
		}
		err := a.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) error { return tx.Save(ctx, row("none")) })
		if !errors.Is(err, connection.ErrUnknown) {
			t.Error(err)
		}
	})

	t.Run("one that is not deleted is the default", func(t *testing.T) {
		a, _ := opened(t, open)
		gone := row("gone")
		gone.Default, gone.DeletedAt = true, &Start
		insert(t, a, full, gone)
		second := row("second")
		second.Default = true
		if err := a.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) error { return tx.Insert(ctx, second) }); err == nil {
			t.Error("there are two defaults")
		}
	})

	t.Run("a refusal and a cancelled context write nothing, events included", func(t *testing.T) {
		a, b := opened(t, open)
		boom := errors.New("boom")
		for name, tc := range map[string]struct {
			ctx  context.Context
			want error
		}{"refused": {t.Context(), boom}, "cancelled": {cancelled(t), context.Canceled}} {
			err := a.Connections.InTx(tc.ctx, func(ctx context.Context, tx connection.Tx) error {
				return errors.Join(tx.Insert(ctx, row("one")), tx.Append(ctx, event("x")), boom)
			})
			if !errors.Is(err, tc.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := b.Connections.Find(t.Context(), "one"); !errors.Is(err, connection.ErrUnknown) {
			t.Error(err)
		}
		if names, _ := b.Events(t); len(names) != 0 {
			t.Error(names)
		}
		insert(t, b, row("one"))
		write(t, b, func(ctx context.Context, tx connection.Tx) error { return tx.Append(ctx, event("y")) })
		if names, _ := a.Events(t); !slices.Equal(names, []string{"test.something"}) {
			t.Error(names)
		}
	})

	t.Run("writers are serial: what one has read stays so until it ends", func(t *testing.T) {
		a, b := opened(t, open)
		insert(t, a, row("one"))
		handles := []Durable{a, b}
		for i, err := range AtOnce(contenders, func(i int) error {
			return handles[i%2].Connections.InTx(context.Background(), func(ctx context.Context, tx connection.Tx) error {
				c, err := tx.Find(ctx, "one")
				if err != nil {
					return err
				}
				c.Position++
				return tx.Save(ctx, c)
			})
		}) {
			if err != nil {
				t.Fatal(i, err)
			}
		}
		if c, err := b.Connections.Find(t.Context(), "one"); err != nil || c.Position != contenders {
			t.Fatalf("%d of %d counted, %v", c.Position, contenders, err)
		}
	})

	t.Run("a database of no installation takes nothing", func(t *testing.T) {
		a, _ := open(t)
		err := a.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) error { return tx.Insert(ctx, row("one")) })
		if err == nil || !strings.Contains(err.Error(), "installation") {
			t.Fatal(err)
		}
	})
}
