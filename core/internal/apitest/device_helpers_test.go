// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// slow keeps a test that takes seconds out of test-fast.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds: make test runs it")
	}
}

// unlimited turns every limit off but those named with a value of their own.
func unlimited(but ...string) apitest.Option {
	list := make([]string, 0, len(limits.Names()))
	for _, name := range limits.Names() {
		item := name + "=0"
		for _, b := range but {
			if strings.HasPrefix(b, name+"=") {
				item = b
			}
		}
		list = append(list, item)
	}
	return apitest.Set("RATE_LIMITS", strings.Join(list, ","))
}

func tokenRows(t testing.TB, s *apitest.Server) int {
	t.Helper()
	return sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens`)
}

func liveRows(t testing.TB, s *apitest.Server) int {
	t.Helper()
	return sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NULL`)
}

// awaitEvents waits until the table holds that many events of a name: those outside a
// transaction are written in batches.
func awaitEvents(t testing.TB, s *apitest.Server, name string, want int) {
	t.Helper()
	eventually(t, func() (bool, string) {
		n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = $1`, name)
		return n == want, name + " does not stand in the table as often as it should"
	})
}

// eventually repeats a question for what a worker of the server does by its own tick.
func eventually(t testing.TB, ask func() (done bool, otherwise string)) {
	t.Helper()
	pause := time.Millisecond // most of what is awaited is there at once: many small waits add up
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(pause) {
		pause = min(2*pause, 20*time.Millisecond)
		done, otherwise := ask()
		if done {
			return
		}
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}

// eventFields gives the own fields of the newest event of a name.
func eventFields(t testing.TB, s *apitest.Server, name string) map[string]any {
	t.Helper()
	var v map[string]any
	stored := sqlText(t, s, `SELECT fields FROM audit_events WHERE event = $1 ORDER BY at DESC, id DESC LIMIT 1`, name)
	if err := json.Unmarshal([]byte(stored), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func ownerID(t testing.TB, s *apitest.Server) string {
	t.Helper()
	return sqlText(t, s, `SELECT id FROM accounts WHERE email = $1`, apitest.OwnerEmail)
}

func signedInAs(t testing.TB, s *apitest.Server, email string) *apitest.Browser {
	t.Helper()
	b := s.Browser(t)
	b.SignIn(email, apitest.OwnerPassword)
	return b
}

// wantAnswer compares status and, where it is not empty, the code or error of the body.
func wantAnswer(t testing.TB, a apitest.Answer, status int, word string) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d instead of %d: %s", a.Status, status, a.Body)
	}
	if word == "" {
		return
	}
	body := a.JSON(t)
	if body["code"] != word && body["error"] != word {
		t.Fatalf("%q instead of %q: %s", reasonOf(a), word, a.Body)
	}
}

// reasonOf is the stable reason of an answer: code, else error, else nothing.
func reasonOf(a apitest.Answer) string {
	var v struct{ Code, Error string }
	_ = json.Unmarshal([]byte(a.Body), &v)
	if v.Code != "" {
		return v.Code
	}
	return v.Error
}

func allow(t testing.TB, b *apitest.Browser, c apitest.Codes) {
	t.Helper()
	wantAnswer(t, b.Decide("approve", c.User), http.StatusOK, "")
}

// grantSpy watches what the server asks of its grant store.
type grantSpy struct {
	devicegrant.Store

	mu      sync.Mutex
	created []devicegrant.Grant
	polled  devicegrant.Grant
	polls   int
	finds   int
}

func (g *grantSpy) wrap(s *app.Stores) { g.Store, s.Grants = s.Grants, g }

func (g *grantSpy) Create(ctx context.Context, v devicegrant.Grant) error {
	g.mu.Lock()
	g.created = append(g.created, v)
	g.mu.Unlock()
	return g.Store.Create(ctx, v)
}

func (g *grantSpy) Poll(ctx context.Context, p devicegrant.Poll) (devicegrant.PollResult, devicegrant.Grant, error) {
	r, v, err := g.Store.Poll(ctx, p)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.polls++
	if r == devicegrant.PollUnknown || r == devicegrant.PollOtherClient {
		return r, v, err
	}
	g.polled = v
	for _, c := range g.created {
		if c.Ref == p.Ref && v.Ref != p.Ref { // a poll that has to wait brings no grant
			g.polled, _ = g.Store.Find(ctx, c.UserMAC, p.Now)
		}
	}
	return r, v, err
}

func (g *grantSpy) Find(ctx context.Context, mac secret.Digest, now time.Time) (devicegrant.Grant, error) {
	g.mu.Lock()
	g.finds++
	g.mu.Unlock()
	return g.Store.Find(ctx, mac, now)
}

// interval is the one that the last poll left in the store.
func (g *grantSpy) interval() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.polled.Interval
}

func (g *grantSpy) lastCreated() devicegrant.Grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.created[len(g.created)-1]
}

func (g *grantSpy) asked() (created, polls, finds int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.created), g.polls, g.finds
}

// unknownCode has the shape of a device code and belongs to nobody.
var unknownCode = apitest.Codes{Device: "dc_" + strings.Repeat("A", 43), User: "BCDF-GHJK"}
