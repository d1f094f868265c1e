// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"cmp"
	"net/http"
	"net/url"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// flServers are two servers on one pair of stores, and its owner, signed in at the first.
type flServers struct {
	*apitest.Pair
	a, b  *apitest.Server
	owner dvPerson
}

func flTwo(t *testing.T, p *apitest.Pair, options ...apitest.Option) *flServers {
	t.Helper()
	options = append([]apitest.Option{unlimited(), apitest.Set("OPERATOR_API_KEY", klKey)}, append(options, apitest.On(p))...)
	s := &flServers{Pair: p, a: apitest.Start(t, options...), b: apitest.Start(t, options...)}
	s.owner = dvSignIn(t, s.a, apitest.OwnerEmail)
	return s
}

// each gives both servers by name.
func (s *flServers) each() map[string]*apitest.Server {
	return map[string]*apitest.Server{"the first": s.a, "the second": s.b}
}

// with gives the same person at another server.
func (p dvPerson) with(s *apitest.Server) dvPerson { p.s = s; return p }

// login signs a device in: the code at one server, the decision at the other, the token
// at the first again.
func (s *flServers) login(t testing.TB, label string) (token, id string) {
	t.Helper()
	c := s.a.Code(t, label)
	wantAnswer(t, s.owner.with(s.b).decide(t, "approve", c.User), http.StatusOK, "")
	a := s.a.Poll(t, c)
	wantAnswer(t, a, http.StatusOK, "")
	return a.Text(t, "token"), a.Text(t, "token_id")
}

// alive wants both servers to serve a token, which remembers it, or to refuse it.
func (s *flServers) alive(t testing.TB, token string, want bool) {
	t.Helper()
	status := http.StatusUnauthorized
	if want {
		status = http.StatusOK
	}
	s.eachDoes(func(name string, server *apitest.Server) {
		if a := server.Bearer(t, token, http.MethodGet, accountPath); a.Status != status {
			t.Errorf("%s server: %d %s instead of %d", name, a.Status, a.Body, status)
		}
	})()
	if t.Failed() {
		t.FailNow()
	}
}

func TestServersOfAFleet(t *testing.T) {
	aboutFleet(t)
	flows := func(t *testing.T, s *flServers) {
		t.Helper()
		c := s.a.Code(t, "laptop")
		wantAnswer(t, s.b.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		wantAnswer(t, s.a.Poll(t, c), http.StatusBadRequest, "slow_down") // they share when it was polled
		if lookUp(t, s.b, c.User).JSON(t)["valid"] != true {
			t.Fatal("a code of the other server is not found")
		}
		wantAnswer(t, s.owner.with(s.b).decide(t, "approve", c.User), http.StatusOK, "")
		wantAnswer(t, s.owner.decide(t, "deny", c.User), http.StatusConflict, "already_resolved")
		s.Clock.Advance(2 * devicegrant.FirstInterval)
		won := s.a.Poll(t, c)
		wantAnswer(t, won, http.StatusOK, "")
		wantAnswer(t, s.b.Poll(t, c), http.StatusBadRequest, "expired_token")
		s.alive(t, won.Text(t, "token"), true)
		wantAnswer(t, s.b.Bearer(t, won.Text(t, "token"), http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
		s.alive(t, won.Text(t, "token"), false)

		c = s.b.Code(t, "laptop")
		wantAnswer(t, s.owner.decide(t, "deny", c.User), http.StatusOK, "")
		wantAnswer(t, s.b.Poll(t, c), http.StatusBadRequest, "access_denied")
		wantAnswer(t, s.a.Poll(t, c), http.StatusBadRequest, "expired_token")

		c = s.a.Code(t, "laptop")
		s.Clock.Advance(devicegrant.Lifetime)
		wantAnswer(t, s.b.Poll(t, c), http.StatusBadRequest, "expired_token")
		if lookUp(t, s.b, c.User).JSON(t)["valid"] != false {
			t.Fatal("a code that is over is found")
		}
	}
	t.Run("DF-29 under a key prefix, on a Redis that holds nothing else", func(t *testing.T) {
		server := testserver.StartRedis(t)
		s := flTwo(t, apitest.NewPairOn(t, apitest.RedisAt(t, server.URL(), "of:us:")))
		s.a.Code(t, "there")
		flows(t, s)
		all, ours := testserver.RedisKeys(t, s.Client, ""), testserver.RedisKeys(t, s.Client, "of:us:")
		if len(ours) == 0 || len(ours) != len(all) {
			t.Fatalf("%d keys of %d are under the prefix: %q", len(ours), len(all), all)
		}
	})
	t.Run("DF-29 without a prefix", func(t *testing.T) {
		server := testserver.StartRedis(t)
		flows(t, flTwo(t, apitest.NewPairOn(t, apitest.RedisAt(t, server.URL(), ""))))
	})
	t.Run("DF-29 in a cluster", func(t *testing.T) {
		slow(t)
		s := flTwo(t, apitest.NewPairOn(t, apitest.RedisInCluster(t)))
		for range 4 { // their keys lie in different slots
			flows(t, s)
		}
	})
	t.Run("DF-29 a page of one server, its form at the other", func(t *testing.T) {
		s := flTwo(t, apitest.NewPair(t))
		c := s.a.Code(t, "laptop")
		b := s.owner.browser
		b.Get("/device")
		b.Submit("/device", url.Values{"user_code": {c.User}})
		fields := b.Hidden("/device/authorize")
		fields.Set("decision", "allow")
		cookies := s.owner.cookie + "; device_entry=" + b.Cookie("device_entry")
		a := s.b.Form(t, "/device/authorize", fields, "Cookie", cookies, "Origin", s.b.URL, "Sec-Fetch-Site", "same-origin")
		if a.Status != http.StatusSeeOther {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		wantAnswer(t, s.b.Poll(t, c), http.StatusOK, "")
	})
}

// However a token ends at one server, the other has it refused with the next request.
func TestAnEndHoldsOnBothServers(t *testing.T) {
	aboutFleet(t)
	slow(t)
	end := func(t *testing.T, s *flServers) {
		t.Helper()
		ways := []struct {
			name string
			end  func(t *testing.T, token, id, manager string) apitest.Answer
			of   string // whose; empty is the owner
		}{
			{"its own logout", func(t *testing.T, token, _, _ string) apitest.Answer {
				return s.b.Bearer(t, token, http.MethodDelete, sessionsPath+"/self")
			}, ""},
			{"another device", func(t *testing.T, _, id, manager string) apitest.Answer {
				return s.b.Bearer(t, manager, http.MethodDelete, sessionsPath+"/"+id)
			}, ""},
			{"all others ended", func(t *testing.T, _, _, manager string) apitest.Answer {
				return s.b.Bearer(t, manager, http.MethodDelete, sessionsPath)
			}, ""},
			{"a revocation", func(t *testing.T, token, _, _ string) apitest.Answer {
				return s.b.Post(t, revokePath, map[string]string{"token": token})
			}, ""},
			{"a second login of the device", func(t *testing.T, _, _, _ string) apitest.Answer {
				s.login(t, "laptop")
				return apitest.Answer{Status: http.StatusOK}
			}, ""},
			{"the operator's kill", func(t *testing.T, _, _, _ string) apitest.Answer {
				return klSend(t, s.b, http.MethodPost, klPath, `{"account_id":"`+ownerID(t, s.a)+`","reason":"lost"}`)
			}, ""},
			{"a ban", func(t *testing.T, _, _, _ string) apitest.Answer {
				if _, err := s.b.App.Access.SetStatus(t.Context(), "bob@example.com", account.Banned, audit.Operator); err != nil {
					t.Fatal(err)
				}
				return apitest.Answer{Status: http.StatusOK}
			}, "bob@example.com"}, // the last owner cannot be banned
		}
		for _, w := range ways {
			t.Run("TK-10 INV-11 "+w.name, func(t *testing.T) {
				s.owner = dvSignIn(t, s.a, cmp.Or(w.of, apitest.OwnerEmail))
				manager, _ := s.login(t, "manager")
				token, id := s.login(t, "laptop")
				s.alive(t, token, true) // and is remembered
				wantAnswer(t, w.end(t, token, id, manager), http.StatusOK, "")
				s.alive(t, token, false)
			})
		}
	}
	t.Run("on one Redis", func(t *testing.T) {
		s := flTwo(t, apitest.NewPair(t))
		addAccount(t, s.a, "bob@example.com")
		end(t, s)
	})
	t.Run("in a cluster", func(t *testing.T) {
		s := flTwo(t, apitest.NewPairOn(t, apitest.RedisInCluster(t)))
		addAccount(t, s.a, "bob@example.com")
		end(t, s)
	})
}
