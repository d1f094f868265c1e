// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
)

const formType = "application/x-www-form-urlencoded"

// What ended at one process is over at the other with the next request, however it
// ended and whatever else goes on.
func TestAnEndHoldsEverywhereAtOnce(t *testing.T) {
	d := newDuo(t)
	owner, bob := d.a.owner(), d.another("bob@example.com")
	carol := d.another("carol@example.com")
	d.keepBrowsers()
	id := d.texts(`SELECT id FROM accounts WHERE email = $1`, ownerEmail)[0]
	targets := []map[string]string{
		{"account_id": id}, {"issuer": "dify:account", "email": ownerEmail}, {"issuer": "dify:account", "subject_id": id},
	}
	stop := d.traffic(t, bob)

	for _, c := range []struct {
		name   string
		rounds int
		who    person
		end    func(round int, p *process, token, session, manager string) answer
		after  func()
	}{
		{"TK-10 INV-11 a logout", 400, owner, func(_ int, p *process, token, _, _ string) answer {
			return p.logout(token)
		}, nil},
		{"TK-10 INV-11 the end of one session by another", 400, owner, func(_ int, p *process, _, session, manager string) answer {
			return p.bearer(http.MethodDelete, "/openapi/v1/account/sessions/"+session, manager)
		}, nil},
		{"TK-10 INV-11 the end of all others", 400, owner, func(_ int, p *process, _, _, manager string) answer {
			return p.bearer(http.MethodDelete, "/openapi/v1/account/sessions", manager)
		}, nil},
		{"TK-10 TK-22 INV-11 a revocation by the token alone", 400, owner, func(_ int, p *process, token, _, _ string) answer {
			return p.call(http.MethodPost, "/openapi/v1/oauth/revoke", formType, url.Values{"token": {token}}.Encode())
		}, nil},
		{"TK-10 INV-11 an operator's kill", 400, owner, func(round int, p *process, _, _, _ string) answer {
			return p.revokeSubject(targets[round%len(targets)])
		}, d.browsersBack},
		{"TK-10 INV-11 an operator's command", 50, owner, func(_ int, _ *process, _, session, _ string) answer {
			d.command(nil, "admin", "tokens", "revoke", session, "--yes")
			return answer{Status: http.StatusOK}
		}, nil},
		{"TK-10 TK-15 INV-11 a ban", 50, carol, func(int, *process, string, string, string) answer {
			d.command(nil, "admin", "set-status", "carol@example.com", "banned", "--yes")
			return answer{Status: http.StatusOK}
		}, func() {
			d.command(nil, "admin", "set-status", "carol@example.com", "active")
			d.browsersBack()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			manager, _ := d.a.login(c.who, "manager")
			for round := range rounds(c.rounds) {
				if d.a.identity(manager).Status != http.StatusOK { // it went with the others
					manager, _ = d.b.login(c.who, "manager")
				}
				token, session := d.of(round).login(c.who, fmt.Sprintf("device %d", round%3))
				d.works(token) // both have cached it
				d.underUse(t, 2, token, func() {
					if a := c.end(round, d.of(round/2), token, session, manager); a.Status != http.StatusOK {
						t.Errorf("round %d: %d %s %v", round, a.Status, a.Body, a.Err)
					}
				})
				if c.after != nil {
					c.after()
				}
			}
		})
	}
	stop()
	d.whole()
}

// traffic uses live tokens of somebody else on both processes until it is stopped.
func (d *duo) traffic(t *testing.T, who person) (stop func()) {
	t.Helper()
	var tokens []string
	for i := range 4 {
		token, _ := d.of(i).login(who, fmt.Sprintf("traffic %d", i))
		tokens = append(tokens, token)
	}
	over := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for n := i; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				if a := d.of(i).bearer(http.MethodGet, "/openapi/v1/account/sessions", tokens[n%len(tokens)]); a.Status != http.StatusOK {
					t.Errorf("a live token of somebody else: %d %s %v", a.Status, a.Body, a.Err)
					return
				}
			}
		})
	}
	end := sync.OnceFunc(func() { close(over); wg.Wait() })
	t.Cleanup(end)
	return end
}
