// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func (b *bench) digest(m token.Minted) secret.Digest { return secret.DigestOf(m.Token.Reveal()) }

func (b *bench) found(m token.Minted) token.Finding {
	b.t.Helper()
	r, err := b.Bearers.Get(b.t.Context(), b.digest(m), b.Clock.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	return r.Finding
}

func TestCachedAnswers(t *testing.T) {
	t.Run("INV-12 TK-25 a hit asks nobody and says what the registry said", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		cold, err := b.resolve(m)
		if err != nil {
			t.Fatal(err)
		}
		before := b.faults.Calls("ByDigest")
		warm, err := b.resolve(m)
		if err != nil || b.faults.Calls("ByDigest") != before {
			t.Fatalf("%v, the registry was asked %d times", err, b.faults.Calls("ByDigest")-before)
		}
		if diff := cmp.Diff(cold, warm); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("TK-7 a hit is judged by the clock", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.Clock.Advance(life - time.Second)
		b.alive(m)
		b.Clock.Advance(time.Second - time.Microsecond)
		b.alive(m)
		b.Clock.Advance(time.Microsecond)
		b.dead(m, token.CauseExpired)
		if n := len(b.Recorded(t, "oauth.token_expired")); n != 1 {
			t.Fatalf("%d events", n)
		}
	})

	t.Run("TOK-05 an unknown token costs SQL one question in ten seconds", func(t *testing.T) {
		b := newBench(t)
		m := token.Minted{Token: secret.New("dfoa_x")}
		for range 5 {
			b.dead(m, token.CauseUnknown)
		}
		if n := b.faults.Calls("ByDigest"); n != 1 {
			t.Fatalf("asked %d times", n)
		}
		b.Clock.Advance(token.UnknownFor)
		b.dead(m, token.CauseUnknown)
		if n := b.faults.Calls("ByDigest"); n != 2 {
			t.Fatalf("asked %d times", n)
		}
	})

	t.Run("TK-31 an unknown that was planted does not hide a fresh token", func(t *testing.T) {
		b := newBench(t)
		b.draws = []string{"fresh"}
		b.dead(token.Minted{Token: secret.New("dfoa_fresh")}, token.CauseUnknown)
		b.alive(b.minted(b.request("l")))
	})

	t.Run("TK-32 a positive lives from the read of its row", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		slow := func() { b.Clock.Advance(12 * time.Second) }
		b.faults.Plan(storetest.Fault{Method: "ByDigest", Mode: storetest.Pass, Before: slow})
		b.alive(m)
		b.Clock.Advance(18*time.Second - time.Microsecond)
		if b.found(m) != token.Live {
			t.Fatal("gone too early")
		}
		b.Clock.Advance(time.Microsecond)
		if b.found(m) != token.Missing {
			t.Fatal("older than its row")
		}
		b.faults.Clear()
		b.faults.Plan(storetest.Fault{Method: "ByDigest", Mode: storetest.Pass, Before: func() { b.Clock.Advance(token.LiveFor) }})
		b.alive(m)
		if b.found(m) != token.Missing {
			t.Fatal("a row read half a minute ago was remembered")
		}
	})

	t.Run("TK-23 an outage of SQL is not remembered", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.faults.Plan(storetest.Fault{Method: "ByDigest", On: 1})
		_, err := b.resolve(m)
		b.unavailable(err)
		b.alive(m)
	})

	t.Run("TK-13 without the cache SQL answers, nothing is written, and a revoke counts", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.faults.Plan(storetest.Fault{Method: "Cache.Get"})
		b.alive(m)
		b.alive(m)
		if n := b.faults.Calls("Cache.Remember"); n != 0 || b.faults.Calls("ByDigest") != 2 {
			t.Fatalf("written %d times, SQL asked %d times", n, b.faults.Calls("ByDigest"))
		}
		if err := b.End(t.Context(), b.subject(), m.Session.ID, token.ReasonUser, audit.System); err != nil {
			t.Fatal(err)
		}
		b.dead(m, token.CauseUnknown)
		if n := b.faults.Calls("Cache.RememberUnknown"); n != 0 {
			t.Fatalf("written %d times", n)
		}
	})

	t.Run("misses of one token at once share one load", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		entered, release := make(chan struct{}), make(chan struct{})
		b.faults.Plan(storetest.Fault{Method: "ByDigest", On: 1, Mode: storetest.Pass, Before: func() { close(entered); <-release }})
		errs := make(chan error, 10)
		ask := func() { _, err := b.Resolve(context.Background(), token.AccountKind, b.digest(m)); errs <- err }
		go ask()
		<-entered
		for range 9 {
			go ask()
		}
		left, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := b.ResolveKnown(left, token.AccountKind, b.digest(m), token.Remembered{}, true); err == nil {
			t.Error("a caller that has left waits")
		}
		close(release)
		for range 10 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestALoadThatPanics(t *testing.T) {
	t.Run("HTTP-18 a panic under a shared load is an answer and not the end of the process", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.faults.Plan(storetest.Fault{Method: "ByDigest", On: 1, Before: func() { panic("canary") }})
		_, err := b.resolve(m)
		if err == nil || fault.Of(err).Kind() != fault.Internal || !strings.Contains(err.Error(), "panic: canary") {
			t.Fatal(err)
		}
		b.alive(m)
	})
}

func TestTombstones(t *testing.T) {
	end := func(b *bench, m token.Minted) error {
		return b.End(b.t.Context(), b.subject(), m.Session.ID, token.ReasonUser, audit.System)
	}

	t.Run("TK-9 TOK-04 a reader that loaded the row before the revoke cannot undo it", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		loaded, revoked := make(chan struct{}), make(chan struct{})
		b.faults.Plan(storetest.Fault{Method: "Cache.Remember", On: 1, Mode: storetest.Pass, Before: func() { close(loaded); <-revoked }})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = b.Resolve(context.Background(), token.AccountKind, b.digest(m)) })
		<-loaded
		if err := end(b, m); err != nil {
			t.Fatal(err)
		}
		close(revoked)
		wg.Wait()
		b.dead(m, token.CauseRevoked)
	})

	t.Run("TK-10 with a warm cache the very next request is refused", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.alive(m)
		if err := end(b, m); err != nil {
			t.Fatal(err)
		}
		b.dead(m, token.CauseRevoked)
	})

	t.Run("TK-11 without its tombstone a revoke is 503, the row stays revoked, and the process goes on trying", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.alive(m)
		b.faults.Plan(storetest.Fault{Method: "Cache.Bury"})
		b.unavailable(end(b, m))
		b.alive(m) // out of the cache, for LiveFor at most
		b.unavailable(end(b, m))
		b.faults.Clear()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.RunBurials(ctx); err != nil { // its last round
			t.Fatal(err)
		}
		b.dead(m, token.CauseRevoked)
		if n := len(b.Recorded(t, "oauth.token_revoked")); n != 1 {
			t.Fatalf("%d events", n)
		}
	})

	t.Run("TK-11 a repeat writes the tombstone again, also on another process", func(t *testing.T) {
		for name, again := range map[string]func(b *bench, m token.Minted) error{
			"one": end,
			"all": func(b *bench, _ token.Minted) error {
				_, err := b.EndOthers(b.t.Context(), b.subject(), "", audit.System)
				return err
			},
		} {
			b := newBench(t)
			m := b.minted(b.request("l"))
			b.alive(m)
			b.faults.Plan(storetest.Fault{Method: "Cache.Bury", On: 1})
			b.unavailable(again(b, m))
			if err := again(b, m); err != nil {
				t.Fatal(name, err)
			}
			b.dead(m, token.CauseRevoked)
		}
	})

	t.Run("TK-29 without any tombstone a revoke holds when the positive is over", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.alive(m)
		b.faults.Plan(storetest.Fault{Method: "Cache.Bury"})
		b.unavailable(end(b, m))
		b.Clock.Advance(token.LiveFor)
		b.dead(m, token.CauseUnknown)
	})

	t.Run("TK-2 what a login rotates out is buried before it answers, and a cache that is down fails no login", func(t *testing.T) {
		b := newBench(t)
		first := b.minted(b.request("l"))
		b.alive(first)
		second := b.minted(b.request("l"))
		b.dead(first, token.CauseRevoked)
		b.alive(second)
		b.faults.Plan(storetest.Fault{Method: "Cache.Bury"}, storetest.Fault{Method: "Cache.Forget"})
		third := b.minted(b.request("l"))
		b.alive(third)
		b.faults.Clear()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.RunBurials(ctx); err != nil {
			t.Fatal(err)
		}
		b.dead(second, token.CauseRevoked)
	})

	t.Run("a client that has left does not keep the tombstone from being written", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.alive(m)
		ctx, cancel := context.WithCancel(t.Context())
		b.faults.Plan(storetest.Fault{Method: "Cache.Bury", Mode: storetest.Pass, Before: cancel})
		if err := b.End(ctx, b.subject(), m.Session.ID, token.ReasonUser, audit.System); err != nil {
			t.Fatal(err)
		}
		b.dead(m, token.CauseRevoked)
	})
}

func TestContextOutsideTheProcess(t *testing.T) {
	c := token.Context{
		SessionID: "session", Subject: token.AccountSubject("account", "röck@example.com"), AccountName: "Ada \"x\"", WorkspaceID: "workspace",
		ClientID: "difyctl", Label: "label", CreatedAt: time.UnixMicro(1).UTC(), ExpiresAt: time.UnixMicro(1 << 50).UTC(),
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back token.Context
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, back); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(string(text), "full") {
		t.Error("scopes are stored")
	}
	t.Run("TK-26 what is not whole is an error", func(t *testing.T) {
		for _, bad := range []string{``, `{}`, `[]`, `null`, `x`, `{"s":"a","i":"dify:account","u":"u","x":1}`, `{"s":"a","i":"https://idp","u":"u","a":"b","x":1}`, `{"s":"a","u":"u","x":1}`, string(text[:40])} {
			if err := json.Unmarshal([]byte(bad), new(token.Context)); err == nil {
				t.Errorf("%s was taken", bad)
			}
		}
		if err := new(token.Context).UnmarshalJSON([]byte(`{}`)); err == nil || errors.Is(err, token.ErrInvalid) {
			t.Error(err)
		}
	})
}
