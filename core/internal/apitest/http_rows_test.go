// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// What a row says beside its caller holds on every route: where a write may come from,
// what a body may be, which limits are asked.

func TestForeignOriginsOfRoutesWithoutASession(t *testing.T) {
	s := apitest.Start(t, unlimited())
	tried := 0
	for _, route := range httpapi.Routes() {
		if route.Caller != "sign-in" && route.Caller != "set-up" {
			continue
		}
		tried++
		r := htTable[route.Method+" "+route.Path]
		for name, value := range map[string]string{"Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site"} {
			a := s.Call(t, route.Method, route.Path, r.json, "Content-Type", "application/json", name, value)
			if a.Status != http.StatusForbidden || reasonOf(a) != "origin_not_allowed" {
				t.Errorf("%s from another origin by %s: %d %s", route.Path, name, a.Status, a.Body)
			}
		}
	}
	if tried < 3 {
		t.Errorf("%d routes", tried)
	}
}

func TestEveryRouteRefusesOtherMedia(t *testing.T) {
	h := htNewSender(t, apitest.Start(t, unlimited()))
	place := sqlText(t, h.s, `SELECT id FROM workspaces`) // its owner asks: what they may do is judged first
	sqlExec(t, h.s, `UPDATE memberships SET account_id = (SELECT id FROM accounts WHERE email = 'approver@example.com')`)
	desk := h.s.NewApp(t, apps.App{WorkspaceID: place, APIEnabled: true})
	for _, route := range httpapi.Routes() {
		if len(route.Media) == 0 || route.Caller == "client" { // which is asked who it is first
			continue
		}
		path := strings.NewReplacer(":workspace", place, ":app", desk.ID).Replace(route.Path)
		a := h.sendTo(t, htServed(route.Caller), route.Method, htPath(path), htRequest{}, "Content-Type", "text/plain")
		if a.Status != http.StatusUnsupportedMediaType {
			t.Errorf("%s %s: %d %.200s", route.Method, route.Path, a.Status, a.Body)
		}
	}
}

func TestEveryFormRefusesARepeatedField(t *testing.T) {
	h := htNewSender(t, apitest.Start(t, unlimited()))
	for _, route := range httpapi.Routes() {
		if route.Caller != "form" && route.Caller != "signed-in form" {
			continue
		}
		a := h.sendTo(t, htCookie, route.Method, htPath(route.Path), htRequest{form: url.Values{"a": {"1", "2"}}})
		if a.Status != http.StatusBadRequest {
			t.Errorf("%s %s: %d %.200s", route.Method, route.Path, a.Status, a.Body)
		}
	}
}

// A code that was typed here and decided elsewhere asks for nothing more.
func TestADecidedCodeIsNotAskedFor(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b, c := s.SignedIn(t), s.Code(t, "box")
	b.Get("/device")
	if b.Submit("/device", url.Values{"user_code": {c.User}}); b.Page.Status != http.StatusOK {
		t.Fatalf("%d %s", b.Page.Status, b.Page.Body)
	}
	wantAnswer(t, b.Decide("deny", c.User), http.StatusOK, "")
	if a := b.SubmitOnly("/device/authorize", url.Values{"decision": {"allow"}}); a.Status != http.StatusConflict {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := b.Get("/device?user_code=" + c.User); a.Status != http.StatusConflict {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestTypedCodesAreLimitedOnThePage(t *testing.T) {
	s := apitest.Start(t, unlimited("device.lookup.addr=1/1h"))
	b := s.Browser(t)
	for _, want := range []int{http.StatusBadRequest, http.StatusTooManyRequests} {
		b.Get("/device")
		if a := b.SubmitOnly("/device", url.Values{"user_code": {"BCDF-GHJK"}}); a.Status != want {
			t.Errorf("%d instead of %d: %.300s", a.Status, want, a.Body)
		}
	}
}

// noFinding is a store of grants that cannot look a code up.
type noFinding struct{ devicegrant.Store }

func (noFinding) Find(context.Context, secret.Digest, time.Time) (devicegrant.Grant, error) {
	return devicegrant.Grant{}, errors.New("down")
}

// What cannot be looked up was not typed here.
func TestATypedCodeThatCannotBeLookedUp(t *testing.T) {
	s := apitest.Start(t, unlimited(), apitest.Wrap(func(st *app.Stores) { st.Grants = noFinding{st.Grants} }))
	b := s.Browser(t)
	b.Get("/device")
	if a := b.SubmitOnly("/device", url.Values{"user_code": {s.Code(t, "box").User}}); a.Status != http.StatusServiceUnavailable || b.Cookie("device_entry") != "" {
		t.Errorf("%d %.300s", a.Status, a.Body)
	}
}

func TestEveryLimitOfARowIsAsked(t *testing.T) {
	slow(t)
	all, senders := t, map[limits.Name]*htSender{}
	for _, route := range httpapi.Routes() {
		if route.Caller == "client" { // TestLimitsOfIntrospectionAndRevocation has its credentials
			continue
		}
		for _, name := range route.Limits {
			t.Run(route.Method+" "+route.Path+" "+string(name), func(t *testing.T) {
				h := senders[name]
				if h == nil {
					h = htNewSender(t, apitest.Start(all, unlimited(string(name)+"=1/1h")))
					senders[name] = h
				}
				h.s.Clock.Advance(2 * time.Hour) // what the last row has used up is there again
				h.token, h.doubted = "", true
				r := htTable[route.Method+" "+route.Path]
				if r.form == nil && r.json == "" && len(route.Media) > 0 {
					r.form = url.Values{}
				}
				as := htServed(route.Caller)
				if as == htLive { // one token for both
					h.token = rnBearer(t, h.s, h.account, "approver@example.com")
				}
				first := h.sendTo(t, as, route.Method, htPath(route.Path), r)
				second := h.sendTo(t, as, route.Method, htPath(route.Path), r)
				ended := route.Method == http.MethodDelete && second.Status == http.StatusUnauthorized // by the first
				if first.Status == http.StatusTooManyRequests || second.Status != http.StatusTooManyRequests && !ended {
					t.Errorf("%d, then %d %.200s", first.Status, second.Status, second.Body)
				}
			})
		}
	}
}
