// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const (
	idp   = "https://idp.example.com"
	email = "ada@example.com"
)

var operator = audit.Actor{Type: audit.Operator.Type, ID: "cli:root"}

// bench is the service, beside those that give what it ends.
type bench struct {
	*storetest.World
	*access.Service
	t        *testing.T
	faults   storetest.Faults
	tombs    storetest.Tombs
	minter   *token.Service
	sessions *console.Service
	ada      account.Account
	grants   int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchIn(t, storetest.NewWorld(t))
}

func newBenchIn(t *testing.T, w *storetest.World) *bench {
	t.Helper()
	b := &bench{World: w, t: t}
	b.Service = storetest.NewAccess(t, b.Durable, storetest.FaultyAccess(b.Access, &b.faults), &b.tombs, b.Recorder, b.Clock.Now)
	b.sessions = b.Service.Console
	kinds, err := token.NewKindRegistry(token.AccountKind, token.ExternalKind)
	if err != nil {
		t.Fatal(err)
	}
	if b.minter, err = token.New(token.Deps{Store: b.Tokens, Cache: b.Bearers, Kinds: kinds, Recorder: b.Recorder, Now: b.Clock.Now, TTL: 14 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	b.ada = b.AddActive(t, email)
	return b
}

func subjectOf(a account.Account) token.Subject { return token.AccountSubject(a.ID, a.Email) }

func stranger(id, connection string) token.Subject {
	return token.Subject{Issuer: idp, ID: id, Email: id + "@idp.example.com", ConnectionID: connection}
}

// approved is a claimed grant of a subject, approved now.
func (b *bench) approved(s token.Subject) token.MintRequest {
	b.t.Helper()
	b.grants++
	epoch, err := b.minter.Epoch(b.t.Context(), s)
	if err != nil {
		b.t.Fatal(err)
	}
	prefix := token.AccountKind.Prefix
	if s.AccountID == "" {
		prefix = token.ExternalKind.Prefix
	}
	return token.MintRequest{
		Grant: secret.DigestOf(fmt.Sprint("grant ", b.grants)), ClaimNo: 1, GrantExpires: b.Clock.Now().Add(time.Minute), Prefix: prefix, Subject: s,
		Epoch: epoch, ClientID: "difyctl", Label: fmt.Sprint("device ", b.grants), ApprovedAt: b.Clock.Now(), IP: "192.0.2.1",
	}
}

func (b *bench) login(s token.Subject) token.Minted {
	b.t.Helper()
	m, err := b.minter.Mint(b.t.Context(), b.approved(s))
	if err != nil {
		b.t.Fatal("mint: ", err)
	}
	return m
}

func (b *bench) lives(m token.Minted) bool {
	b.t.Helper()
	_, err := b.Tokens.ByDigest(b.t.Context(), digest(m))
	if err != nil && !errors.Is(err, token.ErrUnknown) {
		b.t.Fatal(err)
	}
	return err == nil
}

func digest(m token.Minted) secret.Digest { return secret.DigestOf(m.Token.Reveal()) }

func (b *bench) browse(a account.Account) console.Issued {
	b.t.Helper()
	s, err := b.sessions.Begin(b.t.Context(), a, console.HowPassword, console.Browser{Remember: true, IP: "192.0.2.1", UserAgent: "Firefox"})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) signedIn(s console.Issued) bool {
	b.t.Helper()
	_, err := b.sessions.Authenticate(b.t.Context(), s.Cookie)
	if err != nil && !errors.Is(err, console.ErrUnauthorized) {
		b.t.Fatal(err)
	}
	return err == nil
}

func (b *bench) kill(target access.Target) access.Receipt {
	b.t.Helper()
	r, err := b.Kill(b.t.Context(), target, "left the company", operator)
	if err != nil {
		b.t.Fatal("kill: ", err)
	}
	return r
}

// refused checks that an approval no longer mints.
func (b *bench) refused(r token.MintRequest, why string) {
	b.t.Helper()
	_, err := b.minter.Mint(b.t.Context(), r)
	if refusal, ok := errors.AsType[*token.RefusedError](err); !ok || refusal.Reason != why {
		b.t.Fatalf("mint: %v, want a refusal because of %s", err, why)
	}
}

func (b *bench) buries(want ...token.Minted) {
	b.t.Helper()
	var hashes []secret.Digest
	for _, m := range want {
		hashes = append(hashes, digest(m))
	}
	got := b.tombs.Taken()
	for _, list := range [][]secret.Digest{got, hashes} {
		slices.SortFunc(list, func(a, b secret.Digest) int { return bytes.Compare(a[:], b[:]) })
	}
	if !slices.Equal(got, hashes) {
		b.t.Fatalf("%d tombstones, want those of %d tokens", len(got), len(want))
	}
}

func unavailable(t *testing.T, err error) {
	t.Helper()
	if err == nil || fault.Of(err).Kind() != fault.Unavailable {
		t.Fatalf("%v, want a 503", err)
	}
}

func fields(t *testing.T, e audit.Event) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(e.Fields, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
