// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
)

// ssDecider decides as somebody of the identity provider, outside the test's goroutine.
func (s *ssServer) decider(t testing.TB, c apitest.Codes, who apitest.External) func(act string) func() dvReply {
	t.Helper()
	b := s.Browser(t)
	s.back(t, b, c, who)
	token, cookie := csrf(t, b), ssGrant+"="+b.DeviceCookie(ssGrant)
	return func(act string) func() dvReply {
		return func() dvReply {
			return dvPost(s.URL+apitest.DevicePath+"/"+act+"-external", `{"user_code":"`+c.User+`"}`, "Cookie", cookie, "Origin", s.URL, "X-CSRF-Token", token)
		}
	}
}

func TestManyDecidersOfBothKinds(t *testing.T) {
	s := ssStart(t, unlimited())
	owner := dvSignIn(t, s.Server, apitest.OwnerEmail)
	wants := []string{"account", "external_sso", "", ""} // the subject's type by who won; none for a denial
	race := func(t *testing.T, c apitest.Codes, late bool) int {
		external := s.decider(t, c, apitest.Grace)
		calls := []func() dvReply{
			func() dvReply { return owner.try("approve", c) }, external("approve"), func() dvReply { return owner.try("deny", c) }, external("deny"),
		}
		if late {
			s.Clock.Advance(devicegrant.Lifetime - 14*time.Minute - time.Second)
			calls = append(calls, func() dvReply { s.Clock.Advance(2 * time.Second); return dvReply{status: http.StatusConflict} })
		}
		winner := -1
		for i, r := range together(calls...) {
			switch {
			case r.err != nil:
				t.Fatal(r.err)
			case r.status == http.StatusOK && winner < 0:
				winner = i
			case r.status == http.StatusOK:
				t.Fatalf("both %d and %d moved the grant", winner, i)
			case r.status == http.StatusConflict:
			case late && r.status == http.StatusNotFound:
			default:
				t.Fatalf("decider %d: %d %s", i, r.status, r.body)
			}
		}
		return winner
	}
	settle := func(t *testing.T, c apitest.Codes, winner, rows int) {
		if n := tokenRows(t, s.Server); n != rows {
			t.Fatalf("%d rows before a poll, %d were there", n, rows)
		}
		a := s.Poll(t, c)
		switch {
		case winner < 0:
			wantAnswer(t, a, http.StatusBadRequest, "expired_token")
		case wants[winner] == "":
			wantAnswer(t, a, http.StatusBadRequest, "access_denied")
		default:
			if wantAnswer(t, a, http.StatusOK, ""); a.Text(t, "subject_type") != wants[winner] {
				t.Fatalf("decider %d won: %s", winner, a.Body)
			}
		}
	}
	t.Run("SSO-27 INV-1 INV-4 approvals and denials of both kinds", func(t *testing.T) {
		for range dvRounds(1000) {
			rows, c := tokenRows(t, s.Server), s.Code(t, "x")
			winner := race(t, c, false)
			if winner < 0 {
				t.Fatal("nobody won")
			}
			settle(t, c, winner, rows)
		}
	})
	t.Run("SSO-27 and the code expires meanwhile", func(t *testing.T) {
		for range dvRounds(200) {
			rows, c := tokenRows(t, s.Server), s.Code(t, "x")
			s.Clock.Advance(14 * time.Minute)
			settle(t, c, race(t, c, true), rows)
		}
	})
}
