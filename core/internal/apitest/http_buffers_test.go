// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

// htKeeper keeps what requests hand to the stores, as an in-process store does, and the
// contexts they did it with.
type htKeeper struct {
	ratelimit.Store

	mu       sync.Mutex
	scopes   []string
	contexts []context.Context
}

func (k *htKeeper) Take(ctx context.Context, p ratelimit.Policy, scope string, now time.Time) (ratelimit.Result, error) {
	k.mu.Lock()
	k.scopes, k.contexts = append(k.scopes, p.Name+" "+scope), append(k.contexts, ctx)
	k.mu.Unlock()
	return k.Store.Take(ctx, p, scope, now)
}

// Three requests of equal length follow one another on one connection, so that each
// overwrites the bytes of the one before.
func TestStoredStringsAreCopies(t *testing.T) {
	slow(t)
	spy, keeper := &grantSpy{}, &htKeeper{}
	s := apitest.Start(t, apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"), apitest.Set("OPENAPI_KNOWN_CLIENT_IDS", "difyctl,client-AAAA,client-BBBB,client-CCCC"),
		apitest.Wrap(func(st *app.Stores) { spy.wrap(st); keeper.Store, st.Counters = st.Counters, keeper }))
	names := []string{"AAAA", "BBBB", "CCCC"}
	ip := func(name string) string {
		return "198.51.100." + map[string]string{"AAAA": "111", "BBBB": "122", "CCCC": "133"}[name]
	}
	each := func(t *testing.T, request func(name string) (method, path, media, body, headers string)) (answers []apitest.Answer) {
		t.Helper()
		c := htDial(t, s.URL)
		for _, name := range names {
			method, path, media, body, headers := request(name)
			c.send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\nX-Request-Id: request-%s\r\nUser-Agent: agent-%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s",
				method, path, ip(name), name, name, media, len(body), headers, body))
			answers = append(answers, c.read(method))
		}
		return answers
	}
	wants := func(t *testing.T, what string, got []string, format string) {
		t.Helper()
		var want []string
		for _, name := range names {
			want = append(want, fmt.Sprintf(format, name))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q instead of %q", what, got, want)
		}
	}
	column := func(query string, args ...any) (list []string) {
		rows, err := s.App.Stores.DB.Query(context.Background(), query, args...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var v string
			if err := rows.Scan(&v); err != nil {
				t.Fatal(err)
			}
			list = append(list, v)
		}
		return list
	}

	t.Run("HTTP-17 W-21 the store of grants", func(t *testing.T) {
		for _, media := range []string{"application/json", "application/x-www-form-urlencoded"} {
			spy.created = nil
			each(t, func(name string) (string, string, string, string, string) {
				body := fmt.Sprintf(`{"client_id":"client-%s","device_label":"label-%s"}`, name, name)
				if media != "application/json" {
					body = url.Values{"client_id": {"client-" + name}, "device_label": {"label-" + name}}.Encode()
				}
				return "POST", codePath, media, body, ""
			})
			var clients, labels, addresses, expected []string
			for _, g := range spy.created {
				clients, labels, addresses = append(clients, g.ClientID), append(labels, g.Label), append(addresses, g.CreatedIP)
			}
			for _, name := range names {
				expected = append(expected, ip(name))
			}
			wants(t, "clients", clients, "client-%s")
			wants(t, "labels", labels, "label-%s")
			if !slices.Equal(addresses, expected) {
				t.Errorf("addresses %q", addresses)
			}
		}
	})
	t.Run("HTTP-17 W-21 the counters", func(t *testing.T) {
		keeper.mu.Lock()
		defer keeper.mu.Unlock()
		for _, name := range names {
			if !slices.Contains(keeper.scopes, "device.code.addr "+ip(name)) {
				t.Errorf("%s counts nowhere: %q", ip(name), keeper.scopes)
			}
		}
	})
	t.Run("HTTP-19 W-21 the contexts of requests that are over", func(t *testing.T) {
		keeper.mu.Lock()
		defer keeper.mu.Unlock()
		seen := map[string]bool{}
		for _, ctx := range keeper.contexts {
			r := audit.RequestOf(ctx)
			name := strings.TrimPrefix(r.ID, "request-")
			if r.IP != ip(name) || r.UserAgent != "agent-"+name {
				t.Errorf("a kept context says %+v", r)
			}
			seen[name] = true
		}
		if len(seen) != len(names) {
			t.Errorf("%d contexts of %d requests", len(seen), len(names))
		}
	})
	t.Run("HTTP-17 HTTP-19 W-21 the queue of events and their table", func(t *testing.T) {
		for _, a := range each(t, func(name string) (string, string, string, string, string) {
			return "POST", "/console/api/login", "application/json", `{"email":"` + name + `@example.com","password":"eA=="}`, ""
		}) {
			wantAnswer(t, a, http.StatusUnauthorized, "invalid_credentials")
		}
		awaitEvents(t, s, "account.sign_in_failed", len(names))
		const from = ` FROM audit_events WHERE event = 'account.sign_in_failed' ORDER BY user_agent`
		wants(t, "agents", column(`SELECT user_agent`+from), "agent-%s")
		wants(t, "requests", column(`SELECT request_id`+from), "request-%s")
		if got := column(`SELECT ip` + from); !slices.Equal(got, []string{ip("AAAA"), ip("BBBB"), ip("CCCC")}) {
			t.Errorf("addresses %q", got)
		}
	})
	t.Run("HTTP-17 W-21 console sessions", func(t *testing.T) {
		for _, a := range each(t, func(string) (string, string, string, string, string) {
			return "POST", "/console/api/login", "application/json", `{"email":"` + apitest.OwnerEmail + `","password":"Y29ycmVjdCBob3JzZSBiYXR0ZXJ5"}`, ""
		}) {
			wantAnswer(t, a, http.StatusOK, "")
		}
		wants(t, "agents", column(`SELECT user_agent FROM console_sessions WHERE user_agent LIKE 'agent-%' ORDER BY user_agent`), "agent-%s")
	})
	t.Run("HTTP-17 W-21 tokens and their last uses", func(t *testing.T) {
		b := s.SignedIn(t)
		tokens := map[string]string{}
		codes := map[string]apitest.Codes{}
		for _, name := range names {
			codes[name] = s.Code(t, "token-"+name)
			allow(t, b, codes[name])
		}
		for i, a := range each(t, func(name string) (string, string, string, string, string) {
			return "POST", tokenPath, "application/json", `{"client_id":"difyctl","device_code":"` + codes[name].Device + `"}`, ""
		}) {
			tokens[names[i]] = a.Text(t, "token")
		}
		wants(t, "labels", column(`SELECT device_label FROM oauth_access_tokens WHERE device_label LIKE 'token-%' ORDER BY device_label`), "token-%s")
		each(t, func(name string) (string, string, string, string, string) {
			return "GET", htAccount, "application/json", "", "Authorization: Bearer " + tokens[name] + "\r\n"
		})
		eventually(t, func() (bool, string) {
			got := column(`SELECT coalesce(last_used_ip, '') FROM oauth_access_tokens WHERE device_label LIKE 'token-%' ORDER BY device_label`)
			return slices.Equal(got, []string{ip("AAAA"), ip("BBBB"), ip("CCCC")}), fmt.Sprintf("last uses %q", got)
		})
	})
}
