// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// settled looks at what the load has left, when it is over and all replicas serve.
func (l *load) settled() {
	f := l.f
	f.t.Helper()
	// Every token is what its client was told it is, on each replica.
	a := newAttempts(newRecord())
	for _, public := range f.front.rotation() {
		l.everywhere(a, public)
	}
	for what, query := range map[string]string{
		"logins with two tokens": `SELECT count(*) FROM (SELECT 1 FROM oauth_access_tokens GROUP BY device_label HAVING count(*) > 1) d`,
		"tokens without exactly one event of their minting": `SELECT count(*) FROM oauth_access_tokens t
			WHERE (SELECT count(*) FROM audit_events e WHERE e.event = 'oauth.token_minted' AND e.token_id = t.id) <> 1`,
		"ended tokens without exactly one event of their end": `SELECT count(*) FROM oauth_access_tokens t WHERE t.revoked_at IS NOT NULL
			AND (SELECT count(*) FROM audit_events e WHERE e.event IN ('oauth.token_revoked', 'oauth.token_expired') AND e.token_id = t.id) <> 1`,
		"live tokens with an event of their end": `SELECT count(*) FROM oauth_access_tokens t WHERE t.revoked_at IS NULL
			AND EXISTS (SELECT 1 FROM audit_events e WHERE e.event IN ('oauth.token_revoked', 'oauth.token_expired') AND e.token_id = t.id)`,
		"approvals that minted twice": `SELECT count(*) FROM grant_fences WHERE mints > 1`,
		"requests with one event twice": `SELECT count(*) FROM (SELECT 1 FROM audit_events WHERE event IN
			('oauth.device_flow_approved', 'oauth.token_minted', 'oauth.token_revoked', 'account.signed_in', 'app.run.openapi')
			GROUP BY request_id, event HAVING count(*) > 1) d`,
	} {
		if n := f.count(query); n != 0 {
			l.violated("%s: %d", what, n)
		}
	}
	if f.bridges != nil {
		l.attempts()
	}
	l.rows()
}

// attempts looks at what the bridges have on record: of an attempt one success at most, and of a
// login that its client has a token of at least one.
func (l *load) attempts() {
	const succeeded = `FROM sso_audit_events WHERE event = 'sso.attempt_succeeded'`
	if n := l.f.bridges.count(`SELECT count(*) FROM (SELECT 1 ` + succeeded + ` GROUP BY fields::json->>'attempt' HAVING count(*) > 1) d`); n != 0 {
		l.violated("attempts that succeeded twice: %d", n)
	}
	n, tokens := l.f.bridges.count(`SELECT count(*) `+succeeded), l.f.count(`SELECT count(*) FROM oauth_access_tokens WHERE prefix LIKE 'dfoe%'`)
	if n < tokens {
		l.violated("%d attempts succeeded, and people have %d tokens by them", n, tokens)
	}
}

// everywhere asks one replica about all tokens.
func (l *load) everywhere(a *attempts, public string) {
	l.held.Lock()
	live, dead := maps.Clone(l.live), maps.Clone(l.dead)
	l.held.Unlock()
	v := visitor.New("http://"+public, transport())
	for label, token := range live {
		a.do("account", refusedWith(http.StatusUnauthorized), func(ctx context.Context) error {
			err := v.Get(ctx, token, accountPath, nil)
			if statusOf(err) == http.StatusUnauthorized {
				l.violated("a live token (%s) is refused by %s in the end", label, public)
			}
			return err
		})
	}
	for label, token := range dead {
		a.do("dead", refusedWith(http.StatusUnauthorized), func(ctx context.Context) error {
			err := v.Get(ctx, token, accountPath, nil)
			if err == nil {
				l.violated("an ended token (%s) is taken by %s in the end", label, public)
			}
			return err
		})
	}
	for _, story := range a.record.stories {
		l.violated("a question in the end: %s", story)
	}
}

// rows compares what is on record with what clients were told.
func (l *load) rows() {
	f := l.f
	f.t.Helper()
	l.held.Lock()
	defer l.held.Unlock()
	labels := slices.Collect(maps.Keys(l.live))
	if n := f.count(`SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NULL AND device_label = ANY($1)`, labels); n != len(labels) {
		l.violated("%d of %d live tokens are on record", n, len(labels))
	}
	labels = slices.Collect(maps.Keys(l.dead))
	if n := f.count(`SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NOT NULL AND device_label = ANY($1)`, labels); n != len(labels) {
		l.violated("%d of %d ended tokens are on record as ended", n, len(labels))
	}
}

// unfinished counts runs whose end is not on record, once those that go on have had time.
func (l *load) unfinished(limit int) int {
	if l.chat == "" {
		return 0
	}
	n := 0
	for range 100 {
		if n = l.f.count(`SELECT count(*) FROM app_runs WHERE finished_at IS NULL`); n <= limit {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return n
}
