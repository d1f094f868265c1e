// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// Each act moves what it is about by what it did, and nothing else.
func TestMetricsMove(t *testing.T) {
	s := apitest.Start(t, unlimited(), apitest.Set("RATE_LIMITS", "device.code.addr=6/1h"))
	b := s.SignedIn(t)
	var codes apitest.Codes
	var token string
	app := s.NewApp(t, apps.App{WorkspaceID: sqlText(t, s, `SELECT id FROM workspaces`), Name: "Echo", Mode: apps.Chat, Runtime: apps.RuntimeEcho, APIEnabled: true, Access: apps.InternalAll})
	runs := "/openapi/v1/apps/" + app.ID + "/run"
	run := func(body string) func() {
		return func() {
			s.Call(t, http.MethodPost, runs, body, "Authorization", "Bearer "+token, "Content-Type", "application/json", "Accept", "text/event-stream")
		}
	}
	begin := func() { codes = s.Code(t, "box") }
	decide := func(act string) func() { return func() { b.Decide(act, codes.User) } }
	poll := func() {
		s.Clock.Advance(6 * time.Second)
		if a := s.Poll(t, codes); a.Status == http.StatusOK {
			token = a.Text(t, "access_token")
		}
	}
	get := func(bearer string) func() { return func() { s.Bearer(t, bearer, http.MethodGet, htSessions) } }
	end := func() { s.Form(t, "/openapi/v1/oauth/revoke", url.Values{"token": {token}}) }
	for _, tc := range []struct {
		name string
		act  func()
		want map[string]float64
	}{
		{"M-15 a device asks for a code", begin, map[string]float64{"logins_total{outcome=ok,step=code}": 1, "grants_total{state=pending}": 1}},
		{"M-15 it waits, and nothing has ended", poll, map[string]float64{}},
		{"M-15 a person refuses it", decide("deny"), map[string]float64{"logins_total{outcome=ok,step=decision}": 1, "grants_total{state=denied}": 1}},
		{"M-15 it is told so", poll, map[string]float64{"logins_total{outcome=refused,step=token}": 1}},
		{"M-15 a second decision is refused", decide("approve"), map[string]float64{"logins_total{outcome=refused,step=decision}": 1}},
		{"M-15 a second code", begin, map[string]float64{"logins_total{outcome=ok,step=code}": 1, "grants_total{state=pending}": 1}},
		{"M-15 a person allows it", decide("approve"), map[string]float64{"logins_total{outcome=ok,step=decision}": 1, "grants_total{state=approved}": 1}},
		{"M-15 a token is made", poll, map[string]float64{"logins_total{outcome=ok,step=token}": 1, "grants_total{state=redeemed}": 1, "tokens_minted_total{kind=dfoa}": 1}},
		{"M-15 the first request is found in the database", func() { get(token)() }, map[string]float64{"bearer_lookups_total{step=database}": 1}},
		{"M-15 the next one is remembered", func() { get(token)() }, map[string]float64{"bearer_lookups_total{step=remembered}": 1}},
		{"M-15 nobody's token", get("dfoa_" + strings.Repeat("A", 43)), map[string]float64{"bearer_lookups_total{step=unknown}": 1}},
		{"M-15 what is no token is looked up nowhere", get("garbage"), map[string]float64{}},
		{"M-15 a run", run(`{"inputs":{},"query":"hello"}`), map[string]float64{
			"runs_total{mode=chat,outcome=succeeded}": 1, "runtime_seconds{operation=stream,outcome=ok}": 1, "bearer_lookups_total{step=remembered}": 1}},
		{"M-15 a run that is refused", run(`{"inputs":{}}`), map[string]float64{"runs_total{mode=chat,outcome=refused}": 1, "bearer_lookups_total{step=remembered}": 1}},
		{"M-15 a token is revoked", end, map[string]float64{"tokens_revoked_total{kind=dfoa,reason=rfc7009}": 1, "revoke_propagation_seconds": 1}},
		{"M-15 another code", begin, map[string]float64{"logins_total{outcome=ok,step=code}": 1, "grants_total{state=pending}": 1}},
		{"M-15 nobody asked for this client", func() {
			s.Post(t, "/openapi/v1/oauth/device/code", map[string]string{"client_id": "stranger" + strings.Repeat("x", 20), "device_label": "dfoa_x"})
		}, map[string]float64{"logins_total{outcome=refused,step=code}": 1}},
		{"M-15 a wrong password", func() {
			other := s.Browser(t)
			other.Get("/signin")
			other.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {"wrong password"}})
		}, map[string]float64{"logins_total{outcome=refused,step=console}": 1}},
		{"M-15 a right one", func() { s.Browser(t).SignIn(apitest.OwnerEmail, apitest.OwnerPassword) }, map[string]float64{"logins_total{outcome=ok,step=console}": 1}},
		{"M-15 too many codes", func() {
			for range 8 {
				s.Post(t, "/openapi/v1/oauth/device/code", map[string]string{"client_id": "difyctl", "device_label": "box"})
			}
		}, map[string]float64{"logins_total{outcome=ok,step=code}": 2, "grants_total{state=pending}": 2, "logins_total{outcome=limited,step=code}": 6, "rate_limited_total{policy=device.code.addr}": 6}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, mtMoves(t, s, tc.act)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("M-17 the routes of the other edition move nothing, and its values are not there", func(t *testing.T) {
		moved := mtMoves(t, s, func() {
			for _, path := range []string{ssInitiate, ssComplete, ssApprove, apPermitted} {
				s.Call(t, http.MethodGet, path, "")
				s.Call(t, http.MethodPost, path, `{}`, "Content-Type", "application/json")
			}
		})
		if len(moved) > 0 {
			t.Error(moved)
		}
		for key := range mtValues(mtFamilies(t, s)) {
			if strings.Contains(key, "dfoe") || strings.Contains(key, "sso_start") || strings.Contains(key, "keyset") {
				t.Error(key)
			}
		}
	})
	t.Run("M-15 the tokens are counted", func(t *testing.T) {
		s.Clock.Advance(time.Hour) // for the codes
		for _, job := range s.App.Jobs() {
			if job.Name == "count.tokens" {
				if _, err := job.Do(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.SignInDevice(t, b, "not counted yet")
		if live, there := mtValues(mtFamilies(t, s))["dify_sso_tokens_live{kind=dfoa}"]; !there || live != 0 {
			t.Errorf("%v %v", live, there)
		}
		s.Clock.Advance(12 * time.Minute)
		if _, there := mtValues(mtFamilies(t, s))["dify_sso_tokens_live{kind=dfoa}"]; there {
			t.Error("an old count is shown: another process may have counted since")
		}
	})
}

// mtMost is the most series that this file's server may have, go_ and process_ apart: what
// it came to was 567; docs/operating/metrics.md calculates the bound of one that is used in full.
const mtMost = 1500

func TestMetricsAsPrometheusReadsThem(t *testing.T) {
	s := apitest.Start(t, apitest.Enterprise(t))
	token, _ := s.SignInDevice(t, s.SignedIn(t), "box")
	for i := range 300 { // strange things, each once
		odd := strings.Repeat("z", i+1)
		s.Call(t, http.MethodGet, "/"+odd, "", "User-Agent", odd)
		s.Bearer(t, token+odd, http.MethodGet, htSessions)
		s.Call(t, http.MethodPost, "/openapi/v1/oauth/device/token", `{"client_id":"`+odd+`","device_code":"`+odd+`"}`, "Content-Type", "application/json")
	}
	families := mtFamilies(t, s)
	t.Run("M-15 each has its words and its type, and names are as Prometheus wants them", func(t *testing.T) {
		for name, f := range families {
			if f.GetHelp() == "" || strings.HasPrefix(name, "dify_sso_") && f.GetType().String() == "UNTYPED" {
				t.Errorf("%s: %s %q", name, f.GetType(), f.GetHelp())
			}
		}
		linter := promlint.NewWithMetricFamilies(slices.Collect(maps.Values(families)))
		problems, err := linter.Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, "dify_sso_") {
				t.Errorf("%s: %s", p.Metric, p.Text)
			}
		}
	})
	t.Run("M-15 what strangers send makes no series", func(t *testing.T) {
		series := 0
		for name, f := range families {
			if !strings.HasPrefix(name, "dify_sso_") && !strings.HasPrefix(name, "keyset_") {
				continue
			}
			for _, m := range f.GetMetric() {
				series += max(1, len(m.GetHistogram().GetBucket())+3)
				for _, l := range m.GetLabel() {
					if strings.Contains(l.GetValue(), "zz") {
						t.Errorf("%s: %s=%q", name, l.GetName(), l.GetValue())
					}
				}
			}
		}
		t.Logf("%d series", series)
		if series < 100 || series > mtMost {
			t.Errorf("%d series", series)
		}
	})
	t.Run("M-15 readiness, the key set, connections and lines of the log are there", func(t *testing.T) {
		values := mtValues(families)
		for _, key := range []string{"ready{check=keyset}", "ready{check=schema}", "ready{check=sql}", "ready{check=store}"} {
			if values["dify_sso_"+key] != 1 {
				t.Errorf("%s is %v", key, values["dify_sso_"+key])
			}
		}
		if values["dify_sso_store_connections{state=max,store=sql}"] < 1 || values["dify_sso_store_seconds{outcome=ok,store=sql}"] < 1 || values["dify_sso_log_lines_total{level=info}"] < 300 {
			t.Error(values)
		}
		found := 0
		for key := range values {
			if strings.HasPrefix(key, "dify_sso_keyset_info{fingerprint=") {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d key sets", found)
		}
	})
}
