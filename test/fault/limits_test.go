// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// sharedLimits gives budgets that nothing earns back within a test.
const sharedLimits = unlimited + ",bearer.token=60/1h,account.read=60/1h,device.code.addr=60/1h,device.lookup.addr=60/1h,device.decide.account=10/1h," +
	"oauth.revoke.addr=60/1h,oauth.introspect.client=60/1h,console.login.pair=5/1h"

const introspector, introspectorSecret = "gateway", "the secret of a gateway, long enough for it"

// Two processes share each budget: what one has spent the other has not.
func TestLimitsOfTwoProcesses(t *testing.T) {
	d := newDuo(t, sharedLimits, "INTROSPECTION_CLIENTS="+introspector+":"+hexDigest(introspectorSecret))
	who := d.a.owner()
	token, _ := d.a.login(who, "limited")
	form := func(p *process, path string, values url.Values, headers ...string) answer {
		return p.call(http.MethodPost, path, formType, values.Encode(), headers...)
	}
	for _, c := range []struct {
		name   string
		budget int
		rounds int
		passes int // status of a call that was let pass
		call   func(p *process, i int) answer
	}{
		{"LIM-2 bearer.token", 60, 200, http.StatusOK, func(p *process, _ int) answer {
			return p.bearer(http.MethodGet, "/openapi/v1/account/sessions", token)
		}},
		{"LIM-2 account.read", 60, 50, http.StatusOK, func(p *process, _ int) answer {
			return p.identity(token)
		}},
		{"LIM-2 device.code.addr", 60, 50, http.StatusOK, func(p *process, _ int) answer {
			_, a := p.code("limited")
			return a
		}},
		{"LIM-2 device.lookup.addr", 60, 50, http.StatusOK, func(p *process, _ int) answer {
			return p.call(http.MethodGet, "/openapi/v1/oauth/device/lookup?user_code=AAAA-AAAA", "", "")
		}},
		{"LIM-2 device.decide.account", 10, 50, http.StatusNotFound, func(p *process, i int) answer {
			return p.decide(who, []string{"approve", "deny"}[i/2%2], codes{user: "AAAA-AAAA"})
		}},
		{"LIM-2 oauth.revoke.addr", 60, 50, http.StatusOK, func(p *process, _ int) answer {
			return form(p, "/openapi/v1/oauth/revoke", url.Values{"token": {"unknown"}})
		}},
		{"LIM-2 oauth.introspect.client", 60, 50, http.StatusOK, func(p *process, _ int) answer {
			return form(p, "/openapi/v1/oauth/introspect", url.Values{"token": {token}}, "Authorization", basicAuth(introspector, introspectorSecret))
		}},
		{"LIM-2 LIM-15 console.login.pair, whose calls under way count", 5, 20, http.StatusUnauthorized, func(p *process, _ int) answer {
			_, a := p.signIn(ownerEmail, "not the password")
			return a
		}},
		{"LIM-2 LIM-3 an address that says it is another one", 60, 50, http.StatusOK, func(p *process, i int) answer {
			return p.json(http.MethodPost, "/openapi/v1/oauth/device/code", map[string]string{"client_id": clientID, "device_label": "forged"}, forged(i)...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for round := range rounds(c.rounds) {
				d.forgetLimits()
				passed := 0
				for _, a := range atOnce(100, func(i int) answer { return c.call(d.of(i), i) }) {
					switch a.Status {
					case c.passes:
						passed++
					case http.StatusTooManyRequests:
						if a.Header.Get("Retry-After") == "" {
							t.Fatalf("round %d: a refusal does not say when to come again", round)
						}
					default:
						t.Fatalf("round %d: %d %s %v", round, a.Status, a.Body, a.Err)
					}
				}
				if passed != c.budget {
					t.Fatalf("round %d: %d calls passed a budget of %d", round, passed, c.budget)
				}
			}
		})
	}

	t.Run("LIM-3 a forged address is on record nowhere", func(t *testing.T) {
		for key := range d.keys("dg:g:") {
			if ip := d.store.HGet(context.Background(), key, "created_ip").Val(); ip != "127.0.0.1" {
				t.Errorf("a grant is said to come from %s", ip)
			}
		}
		if n := d.count(`SELECT count(*) FROM audit_events WHERE ip <> '127.0.0.1'`); n != 0 {
			t.Errorf("%d events are said to come from elsewhere", n)
		}
	})

	t.Run("LIM-3 behind two trusted proxies the first other address counts", func(t *testing.T) {
		d.forgetLimits()
		inside := d.serve(sharedLimits, "TRUSTED_PROXIES=127.0.0.0/8,192.0.2.0/24")
		from := func(i int, address string) answer {
			return inside.json(http.MethodPost, "/openapi/v1/oauth/device/code", map[string]string{"client_id": clientID, "device_label": "proxied"},
				append(forged(i)[2:], "X-Forwarded-For", fmt.Sprintf("203.0.113.%d, %s, 192.0.2.7", i, address))...)
		}
		passed := 0
		for _, a := range atOnce(100, func(i int) answer { return from(i, "198.51.100.7") }) {
			if a.Status == http.StatusOK {
				passed++
			}
		}
		if passed != 60 {
			t.Errorf("%d calls passed a budget of 60", passed)
		}
		if a := from(0, "198.51.100.8"); a.Status != http.StatusOK {
			t.Errorf("another address: %d %s", a.Status, a.Body)
		}
	})
}

// forged is what a caller without a proxy may claim about its address.
func forged(i int) []string {
	address := fmt.Sprintf("198.51.100.%d", i)
	return []string{
		"X-Forwarded-For", address, "CF-Connecting-IP", address, "X-Real-IP", address, "True-Client-IP", address,
		"Forwarded", "for=" + address, "X-Forwarded-For", address + ", 127.0.0.1",
	}[:12-2*(i%2)]
}

// forgetLimits makes every budget whole again.
func (f *fleet) forgetLimits() {
	f.t.Helper()
	for key := range f.keys("rl:") {
		if err := f.store.Del(context.Background(), key).Err(); err != nil {
			f.t.Fatal(err)
		}
	}
}

// keys gives every key of the fleet that begins so behind its prefix.
func (f *fleet) keys(begin string) map[string]bool {
	f.t.Helper()
	ctx, found := context.Background(), map[string]bool{}
	keys := f.store.Scan(ctx, 0, f.prefix+begin+"*", 1000).Iterator()
	for keys.Next(ctx) {
		found[strings.Clone(keys.Val())] = true
	}
	if err := keys.Err(); err != nil {
		f.t.Fatal(err)
	}
	return found
}
