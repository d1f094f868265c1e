// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
)

// tkLoginFrom tries a sign-in from an address behind a trusted proxy.
func tkLoginFrom(t testing.TB, s *apitest.Server, ip, email, password string) apitest.Answer {
	t.Helper()
	return s.Call(t, http.MethodPost, loginPath, tkLoginBody(email, tkEncoded(password), false), "Content-Type", "application/json", "X-Forwarded-For", ip)
}

var tkProxied = apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32")

const wrongPassword = "wrong battery staple"

// tkAccounts is an account store that can fail once armed.
type tkAccounts struct {
	account.Store
	failing atomic.Bool
}

func (a *tkAccounts) ByEmail(ctx context.Context, email string) (account.Account, error) {
	if a.failing.Load() {
		return account.Account{}, errStore
	}
	return a.Store.ByEmail(ctx, email)
}

func TestAFloodOfFailuresOnOneEmail(t *testing.T) {
	slow(t)
	frozen, accounts := &tkFrozen{}, &tkAccounts{}
	s := apitest.Start(t, tkProxied, apitest.Wrap(func(st *app.Stores) {
		frozen.wrap(st)
		accounts.Store, st.Accounts = st.Accounts, accounts
	}))
	const worked, office = "198.51.100.1", "198.51.100.2" // a live session stands at the one, the last sign-in was at the other
	for _, ip := range []string{worked, office} {
		wantAnswer(t, tkLoginFrom(t, s, ip, apitest.OwnerEmail, apitest.OwnerPassword), http.StatusOK, "")
	}
	attackers := func(i int) string { return fmt.Sprintf("203.0.113.%d", i) }
	for i := range 100 { // five an address, as the pair's budget allows
		wantAnswer(t, tkLoginFrom(t, s, attackers(1+i/5), apitest.OwnerEmail, wrongPassword), http.StatusUnauthorized, "invalid_credentials")
	}

	t.Run("LIM-13 RL-04 the 101st is refused, wherever it is from", func(t *testing.T) {
		for i, password := range []string{wrongPassword, apitest.OwnerPassword} {
			a := tkLoginFrom(t, s, attackers(100+i), apitest.OwnerEmail, password)
			wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
			tkRefusedBy(t, a, "100")
		}
	})
	t.Run("LIM-13 RL-04 the owner signs in where they last did and where they are signed in", func(t *testing.T) {
		for _, ip := range []string{worked, office, worked} {
			wantAnswer(t, tkLoginFrom(t, s, ip, apitest.OwnerEmail, apitest.OwnerPassword), http.StatusOK, "")
		}
	})
	t.Run("LIM-13 the owner's sign-ins give the others nothing back", func(t *testing.T) {
		wantAnswer(t, tkLoginFrom(t, s, office, apitest.OwnerEmail, apitest.OwnerPassword), http.StatusOK, "")
		wantAnswer(t, tkLoginFrom(t, s, attackers(110), apitest.OwnerEmail, wrongPassword), http.StatusTooManyRequests, "too_many_requests")
	})
	t.Run("LIM-13 a try refused by the e-mail's budget costs its address nothing", func(t *testing.T) {
		for range 8 {
			wantAnswer(t, tkLoginFrom(t, s, attackers(120), apitest.OwnerEmail, wrongPassword), http.StatusTooManyRequests, "too_many_requests")
		}
		frozen.advance(36 * time.Second) // one of a hundred an hour is back
		wantAnswer(t, tkLoginFrom(t, s, attackers(120), apitest.OwnerEmail, wrongPassword), http.StatusUnauthorized, "invalid_credentials")
	})
	t.Run("LIM-13 an outage costs nobody a permit", func(t *testing.T) {
		accounts.failing.Store(true)
		for range 8 {
			wantAnswer(t, tkLoginFrom(t, s, office, apitest.OwnerEmail, apitest.OwnerPassword), http.StatusServiceUnavailable, "service_unavailable")
		}
		accounts.failing.Store(false)
		wantAnswer(t, tkLoginFrom(t, s, office, apitest.OwnerEmail, apitest.OwnerPassword), http.StatusOK, "")
	})
	t.Run("RL-04 another e-mail is untouched", func(t *testing.T) {
		addAccount(t, s, "bob@example.com")
		wantAnswer(t, tkLoginFrom(t, s, attackers(130), "bob@example.com", apitest.OwnerPassword), http.StatusOK, "")
	})
	t.Run("LIM-13 no counter knows an e-mail in clear", func(t *testing.T) {
		frozen.mu.Lock()
		defer frozen.mu.Unlock()
		if slices.ContainsFunc(frozen.scopes, func(scope string) bool { return strings.Contains(scope, "@") || strings.Contains(scope, "ada") }) {
			t.Fatal("an e-mail is a scope")
		}
	})
}

func TestPasswordsAtOnce(t *testing.T) {
	slow(t)
	t.Run("LIM-15 a hundred wrong passwords at once against a budget of five", func(t *testing.T) {
		s := apitest.Start(t, unlimited("console.login.pair=5/15m"), apitest.Wrap((&tkFrozen{}).wrap))
		var statuses []int
		hashed := tkHashes(func() {
			statuses = tkAtOnce(100, func(int) int {
				// By a bare client: what holds exchanges against the API's document needs memory too.
				r, err := http.Post(s.URL+loginPath, "application/json", strings.NewReader(tkLoginBody(apitest.OwnerEmail, tkEncoded(wrongPassword), false)))
				if err != nil {
					t.Error(err)
					return 0
				}
				_ = r.Body.Close()
				return r.StatusCode
			})
		})
		if tkCount(statuses, http.StatusUnauthorized) != 5 || tkCount(statuses, http.StatusTooManyRequests) != 95 || hashed != 5 {
			t.Fatalf("%d checked, %v", hashed, statuses)
		}
	})
	t.Run("LIM-15 right passwords in a row are never refused by it", func(t *testing.T) {
		s := apitest.Start(t, unlimited("console.login.pair=5/15m", "console.login.email=10/1h"), apitest.Wrap((&tkFrozen{}).wrap))
		for range 100 {
			tkSignIn(t, s, false)
		}
	})
}
