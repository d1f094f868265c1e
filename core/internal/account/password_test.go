// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestPasswordRules(t *testing.T) {
	p := account.NewPasswords(8)
	for _, tc := range []struct {
		name, password string
		want           error
	}{
		{"seven characters", "1234567", account.ErrPasswordTooShort},
		{"eight characters", "12345678", nil},
		{"eight characters of several bytes", "ääääääää", nil},
		{"composed before it is counted", strings.Repeat("e\u0301", 7), account.ErrPasswordTooShort},
		{"128 characters", strings.Repeat("x", 128), nil},
		{"129 characters", strings.Repeat("x", 129), account.ErrPasswordTooLong},
		{"the e-mail in another case", "ADA@example.org", account.ErrPasswordIsEmail},
		{"not UTF-8", "12345678\xff", account.ErrPasswordInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := p.Check(secret.New(tc.password), "ada@example.org"); !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestHashAndVerify(t *testing.T) {
	p, ctx := account.NewPasswords(8), context.Background()
	hash, err := p.Hash(ctx, secret.New("correct hörse"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("hash is %s", hash)
	}
	weaker := "$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$" // parameters of another day
	for _, tc := range []struct {
		name, password, hash string
		ok                   bool
	}{
		{"right", "correct hörse", hash, true},
		{"right, decomposed", "correct ho\u0308rse", hash, true},
		{"wrong", "correct horse", hash, false},
		{"no hash never fits", "", "", false},
		{"the dummy's own password is unknown", "correct hörse", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ok, rehash, err := p.Verify(ctx, secret.New(tc.password), tc.hash)
			if err != nil || ok != tc.ok || rehash {
				t.Fatalf("ok %v, rehash %v, %v", ok, rehash, err)
			}
		})
	}
	if _, _, err := p.Verify(ctx, secret.New("x"), weaker); err == nil {
		t.Fatal("a hash without a key was accepted")
	}
}

func TestTOK15(t *testing.T) {
	t.Run("TOK-15 a flood of hashing is refused beyond the queue, not queued without bound", func(t *testing.T) {
		p := account.NewPasswords(8)
		n := runtime.GOMAXPROCS(0) * 40
		var (
			wg         sync.WaitGroup
			mu         sync.Mutex
			busy, fine int
			start      = make(chan struct{})
		)
		for range n {
			wg.Go(func() {
				<-start
				_, _, err := p.Verify(context.Background(), secret.New("x"), "")
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					fine++
				case errors.Is(err, account.ErrBusy):
					busy++
				default:
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		if busy == 0 || fine < runtime.GOMAXPROCS(0)*16 {
			t.Fatalf("%d served, %d refused of %d", fine, busy, n)
		}
	})
}
