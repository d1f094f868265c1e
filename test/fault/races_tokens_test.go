// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestRacesOfTokens(t *testing.T) {
	d := newDuo(t)
	who := d.a.owner()
	d.keepBrowsers()
	manager, _ := d.a.login(who, "manager")

	t.Run("TK-3 INV-9 INV-10 fifty logins of one device", func(t *testing.T) { d.logins(t, who) })
	t.Run("TK-8 twenty uses of a token that has just expired", func(t *testing.T) { d.expiries(t, who) })
	t.Run("TK-9 TOK-04 INV-11 readers that have just loaded the row of a token that is revoked", func(t *testing.T) { d.readers(t, who, manager) })
	t.Run("TK-14 TK-30 a kill and mints", func(t *testing.T) { d.kills(t, who) })
	d.whole()
}

func (d *duo) logins(t *testing.T, who person) {
	for round := range longRounds(1000, 20) {
		label := fmt.Sprintf("shared %d", round%2)
		type login struct{ code, approve, poll answer }
		logins := atOnce(50, func(i int) (l login) {
			var g codes
			if g, l.code = d.of(i).code(label); l.code.Status == http.StatusOK {
				l.approve = d.of(i+1).decide(who, "approve", g)
				l.poll = d.of(i).poll(g)
			}
			return l
		})
		var tokens []string
		id := logins[0].poll.text("token_id")
		for _, l := range logins {
			if l.code.Status != http.StatusOK || l.approve.Status != http.StatusOK || l.poll.Status != http.StatusOK || l.poll.text("token_id") != id {
				t.Fatalf("round %d: code %d %s, approve %d %s, poll %d %s, id %s of %s", round,
					l.code.Status, l.code.Body, l.approve.Status, l.approve.Body, l.poll.Status, l.poll.Err, l.poll.text("token_id"), id)
			}
			tokens = append(tokens, l.poll.text("token"))
		}
		live := d.texts(`SELECT encode(token_hash, 'hex') FROM oauth_access_tokens WHERE id = $1 AND device_label = $2 AND revoked_at IS NULL`, id, label)
		last := slices.IndexFunc(tokens, func(token string) bool { return len(live) == 1 && live[0] == hexDigest(token) })
		if last < 0 {
			t.Fatalf("round %d: %d live rows, of none of the tokens", round, len(live))
		}
		d.device(label, tokens[last])
		d.works(tokens[last])
		d.refused(tokens[(last+1+round%49)%50])
	}
}

func (d *duo) expiries(t *testing.T, who person) {
	for round := range rounds(1000) {
		token, id := d.of(round).login(who, fmt.Sprintf("ends %d", round%3))
		end := time.Now().Add(15 * time.Millisecond).Truncate(time.Microsecond)
		d.exec(`UPDATE oauth_access_tokens SET expires_at = $1 WHERE id = $2`, end, id)
		if round%2 == 1 { // both know it, and its end
			for _, p := range []*process{d.a, d.b} {
				if a := p.identity(token); a.Status != http.StatusOK && time.Now().Before(end) {
					t.Fatalf("round %d: before the end: %d %s %v", round, a.Status, a.Body, a.Err)
				}
			}
		}
		for _, a := range atOnce(20, func(i int) answer {
			time.Sleep(time.Until(end)) // the one clock that both processes know
			return d.of(i).identity(token)
		}) {
			if a.Status != http.StatusUnauthorized || a.refusal() != "invalid_token" {
				t.Fatalf("round %d: %d %s %v", round, a.Status, a.Body, a.Err)
			}
		}
		if n := d.count(`SELECT count(*) FROM audit_events WHERE event = 'oauth.token_expired' AND token_id = $1`, id); n != 1 {
			t.Fatalf("round %d: it has expired %d times", round, n)
		}
		if n := d.count(`SELECT count(*) FROM oauth_access_tokens WHERE id = $1 AND revoke_reason = 'expired'`, id); n != 1 {
			t.Fatalf("round %d: the row is not closed", round)
		}
	}
}

func (d *duo) readers(t *testing.T, who person, manager string) {
	for round := range rounds(1000) {
		token, id := d.of(round).login(who, fmt.Sprintf("read %d", round%3)) // nothing is cached of it
		p := d.of(round / 2)
		d.underUse(t, 8, token, func() {
			if a := p.bearer(http.MethodDelete, "/openapi/v1/account/sessions/"+id, manager); a.Status != http.StatusOK {
				t.Errorf("round %d: the revoke: %d %s %v", round, a.Status, a.Body, a.Err)
			}
		})
	}
}

// kills ends all access of a person while grants that they approved are redeemed and
// approved on both processes.
func (d *duo) kills(t *testing.T, who person) {
	owner := d.texts(`SELECT id FROM accounts WHERE email = $1`, ownerEmail)[0]
	targets := []map[string]string{
		{"account_id": owner}, {"issuer": "dify:account", "email": ownerEmail}, {"issuer": "dify:account", "subject_id": owner},
	}
	const before, during = 3, 2 // grants that are approved before the kill, and beside it
	for round := range rounds(1000) {
		var grants []codes
		for i := range before + 1 {
			grants = append(grants, d.approved(who, fmt.Sprintf("killed %d", i)))
		}
		late := grants[before] // nobody polls it until the kill is over
		for i := range during {
			grants = append(grants, d.b.mustCode(fmt.Sprintf("renewed %d", i)))
		}
		old, _ := d.a.login(who, "old")
		var (
			mu     sync.Mutex
			tokens = []string{old}
		)
		won := func(a answer, allowed ...string) {
			mu.Lock()
			defer mu.Unlock()
			if a.Status == http.StatusOK {
				tokens = append(tokens, a.text("token"))
			} else if a.Status != http.StatusBadRequest || !slices.Contains(allowed, a.refusal()) {
				t.Errorf("round %d: a poll: %d %s %v", round, a.Status, a.Body, a.Err)
			}
		}
		var killed answer
		atOnce(before+during+1, func(i int) any {
			switch p := d.of(i + round); {
			case i < before:
				won(p.poll(grants[i]), "access_denied")
			case i == before:
				killed = p.revokeSubject(targets[round%len(targets)])
			default:
				a := p.decide(who, "approve", grants[i])
				if a.Status == http.StatusUnauthorized { // signed out
					return nil
				}
				if a.Status != http.StatusOK {
					t.Errorf("round %d: approve: %d %s %v", round, a.Status, a.Body, a.Err)
				}
				won(d.of(i+round+1).poll(grants[i]), "access_denied")
			}
			return nil
		})
		if killed.Status != http.StatusOK || t.Failed() {
			t.Fatalf("round %d: the kill: %d %s %v", round, killed.Status, killed.Body, killed.Err)
		}
		d.noneBefore(t, round, owner, tokens)
		if a := d.of(round).poll(late); a.refusal() != "access_denied" {
			t.Fatalf("round %d: an approval of before the kill: %d %s %v", round, a.Status, a.Body, a.Err)
		}
		d.browsersBack()
	}
}

// noneBefore wants no live row whose approval is older than the kill, and every token
// but those of such rows to be refused at its next use.
func (d *duo) noneBefore(t *testing.T, round int, owner string, tokens []string) {
	t.Helper()
	var at time.Time
	if err := d.sql.QueryRow(context.Background(), `SELECT max(epoch_at) FROM subject_epochs`).Scan(&at); err != nil {
		t.Fatal(err)
	}
	if n := d.count(`SELECT count(*) FROM oauth_access_tokens WHERE account_id = $1 AND revoked_at IS NULL AND approved_at <= $2`, owner, at); n != 0 {
		t.Fatalf("round %d: %d tokens outlive the kill", round, n)
	}
	live := d.texts(`SELECT encode(token_hash, 'hex') FROM oauth_access_tokens WHERE account_id = $1 AND revoked_at IS NULL`, owner)
	for _, token := range tokens {
		if !slices.Contains(live, hexDigest(token)) {
			d.refused(token)
		}
	}
	if slices.Contains(live, hexDigest(tokens[0])) {
		t.Fatalf("round %d: the kill has passed over a live token", round)
	}
}
