// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

func TestMinting(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)

	t.Run("TK-2 a second login on the same device keeps the session and ends the old token", func(t *testing.T) {
		old, id := tkLogin(t, s, b, "laptop")
		tkAsk(t, s, old, http.StatusOK, "")
		eventually(t, func() (bool, string) {
			return sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE id = $1 AND last_used_at IS NOT NULL`, id) == 1, "the use was not recorded"
		})
		created := sqlTime(t, s, `SELECT created_at FROM oauth_access_tokens WHERE id = $1`, id)
		s.Clock.Advance(time.Hour)
		fresh, again := tkLogin(t, s, b, "laptop")
		if again != id || fresh == old {
			t.Fatalf("session %s became %s", id, again)
		}
		tkAsk(t, s, old, http.StatusUnauthorized, "invalid_token")
		if n := liveRows(t, s); n != 1 || tokenRows(t, s) != 1 {
			t.Fatalf("%d live rows of %d", n, tokenRows(t, s))
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE id = $1 AND last_used_at IS NULL AND last_used_ip IS NULL
			AND created_at > $2 AND approved_at > $2`, id, created); n != 1 {
			t.Fatal("the dates are not those of the new login")
		}
		begun, end := sqlTime(t, s, `SELECT created_at FROM oauth_access_tokens WHERE id = $1`, id), sqlTime(t, s, `SELECT expires_at FROM oauth_access_tokens WHERE id = $1`, id)
		if end.Sub(begun) != 14*24*time.Hour {
			t.Fatalf("it lives for %s", end.Sub(begun))
		}
		if f := eventFields(t, s, "oauth.token_minted"); f["rotated"] != true || f["token_id"] != id {
			t.Fatal(f)
		}
		tkAsk(t, s, fresh, http.StatusOK, "")
	})
	t.Run("TK-4 another label is a session of its own, the e-mail in other case is not", func(t *testing.T) {
		first, id := tkLogin(t, s, b, "desk")
		second, other := tkLogin(t, s, b, "desk 2")
		if other == id {
			t.Fatal("two labels, one session")
		}
		loud := s.Browser(t)
		loud.SignIn(" "+strings.ToUpper(apitest.OwnerEmail)+" ", apitest.OwnerPassword)
		third, same := tkLogin(t, s, loud, "desk")
		if same != id {
			t.Fatal("one e-mail in two letter cases, two sessions")
		}
		tkAsk(t, s, first, http.StatusUnauthorized, "invalid_token")
		tkAsk(t, s, second, http.StatusOK, "")
		tkAsk(t, s, third, http.StatusOK, "")
		if n := sqlInt(t, s, `SELECT count(DISTINCT subject_id) FROM oauth_access_tokens`); n != 1 {
			t.Fatalf("%d identities", n)
		}
	})
}

func TestASubjectThatChanged(t *testing.T) {
	reasonOfRow := func(t *testing.T, s *apitest.Server, id string) string {
		t.Helper()
		return sqlText(t, s, `SELECT coalesce(revoke_reason, '') FROM oauth_access_tokens WHERE id = $1`, id)
	}
	t.Run("TK-5 the same e-mail with another subject id ends what the former had", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		former := s.SignedIn(t)
		_, laptop := tkLogin(t, s, former, "laptop")
		_, desk := tkLogin(t, s, former, "desk")
		addAccount(t, s, "bob@example.com")
		bobs, _ := tkLogin(t, s, signedInAs(t, s, "bob@example.com"), "laptop")
		// Her account goes and one with her e-mail and another id comes.
		sqlExec(t, s, `UPDATE accounts SET email = 'gone@example.com' WHERE email = $1`, apitest.OwnerEmail)
		addAccountLike(t, s, "gone@example.com", apitest.OwnerEmail, apitest.OwnerName)
		fresh, id := tkLogin(t, s, s.SignedIn(t), "laptop")
		for _, old := range []string{laptop, desk} {
			if got := reasonOfRow(t, s, old); got != "subject_changed" || old == id {
				t.Errorf("row %s ended with %q", old, got)
			}
		}
		awaitEvents(t, s, "oauth.token_revoked", 2)
		if f := eventFields(t, s, "oauth.token_revoked"); f["reason"] != "subject_changed" {
			t.Error(f)
		}
		tkAsk(t, s, fresh, http.StatusOK, "")
		tkAsk(t, s, bobs, http.StatusOK, "")
		if n := liveRows(t, s); n != 2 {
			t.Errorf("%d live rows", n)
		}
	})
	t.Run("TK-5 the same person and device under another e-mail is one session still", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		b := s.SignedIn(t)
		old, id := tkLogin(t, s, b, "laptop")
		elsewhere, _ := tkLogin(t, s, b, "desk")
		sqlExec(t, s, `UPDATE accounts SET email = 'ada@new.example' WHERE email = $1`, apitest.OwnerEmail)
		fresh, next := tkLogin(t, s, b, "laptop")
		if got := reasonOfRow(t, s, id); got != "subject_changed" || next == id {
			t.Fatalf("row %s ended with %q, the new one is %s", id, got, next)
		}
		tkAsk(t, s, old, http.StatusUnauthorized, "invalid_token")
		tkAsk(t, s, elsewhere, http.StatusOK, "")
		if got := tkAsk(t, s, fresh, http.StatusOK, "").Text(t, "subject_email"); got != "ada@new.example" {
			t.Fatal(got)
		}
	})
}

func TestManyLoginsAtOnce(t *testing.T) {
	t.Run("TK-3 TOK-16 INV-9 INV-10 fifty logins of one identity and label", func(t *testing.T) {
		const logins = 50
		s := apitest.Start(t, unlimited())
		b := s.SignedIn(t)
		var codes []apitest.Codes
		for range logins {
			c := s.Code(t, "laptop")
			allow(t, b, c)
			codes = append(codes, c)
		}
		answers := tkAtOnce(logins, func(i int) apitest.Answer { return s.Poll(t, codes[i]) })
		var works int
		ids := map[string]bool{}
		for _, a := range answers {
			wantAnswer(t, a, http.StatusOK, "") // none is 5xx
			ids[a.Text(t, "token_id")] = true
			if s.Bearer(t, a.Text(t, "token"), http.MethodGet, accountPath).Status == http.StatusOK {
				works++
			}
		}
		if len(ids) != 1 || works != 1 || liveRows(t, s) != 1 || tokenRows(t, s) != 1 {
			t.Fatalf("%d session ids, %d tokens work, %d live rows of %d", len(ids), works, liveRows(t, s), tokenRows(t, s))
		}
	})
}

// An approval that was given and not redeemed dies with the session it may have been
// stolen from.
func TestAnApprovalDiesWithWhatGaveIt(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)
	bearer, _ := tkLogin(t, s, b, "standing")

	ways := []struct {
		name  string
		end   func(t *testing.T)
		works bool // the standing token, afterwards
	}{
		{name: "TK-27 all other tokens are ended", works: true, end: func(t *testing.T) {
			wantAnswer(t, s.Bearer(t, bearer, http.MethodDelete, sessionsPath), http.StatusOK, "")
		}},
		{name: "TK-27 another browser is ended", works: true, end: func(t *testing.T) {
			s.SignedIn(t)
			b.Get("/account/sessions/end?kind=browser&id=" + tkOtherBrowser(t, s, b))
			b.Submit("/account/sessions/end", nil)
			if b.Path != "/account/sessions?outcome=ended" {
				t.Fatal(b.Path)
			}
		}},
		{name: "TK-27 the page ends all others", end: func(t *testing.T) {
			b.Get("/account/sessions/end?kind=others")
			b.Submit("/account/sessions/end", nil)
			if b.Path != "/account/sessions?outcome=ended" {
				t.Fatal(b.Path)
			}
		}},
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			before := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.device_flow_rejected'`)
			c := s.Code(t, "stolen")
			allow(t, b, c)
			w.end(t)
			wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
			if n := sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE device_label = 'stolen'`); n != 0 {
				t.Fatalf("%d rows", n)
			}
			wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
			awaitEvents(t, s, "oauth.device_flow_rejected", before+1)
			status := http.StatusUnauthorized
			if w.works {
				status = http.StatusOK
			}
			tkAsk(t, s, bearer, status, "")
			later, _ := tkLogin(t, s, b, "later: "+w.name)
			tkAsk(t, s, later, http.StatusOK, "")
		})
	}
	t.Run("TK-27 ending one device leaves approvals alone", func(t *testing.T) {
		_, id := tkLogin(t, s, b, "one")
		c := s.Code(t, "kept")
		allow(t, b, c)
		b.Get("/account/sessions/end?kind=device&id=" + id)
		b.Submit("/account/sessions/end", nil)
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
}

// tkOtherBrowser gives the id of the newest console session that is not this one's.
func tkOtherBrowser(t *testing.T, s *apitest.Server, b *apitest.Browser) string {
	t.Helper()
	return sqlText(t, s, `SELECT id FROM console_sessions WHERE token_hash <> $1 ORDER BY created_at DESC, id DESC LIMIT 1`,
		tkDigest(b.Cookie("console_session")))
}
