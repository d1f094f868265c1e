// SPDX-License-Identifier: Apache-2.0

package oidcrp_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idptest"
)

func TestClaims(t *testing.T) {
	p := newParty(t)
	p.idp.Claim("acr", "mfa")
	p.idp.Claim("amr", []string{"pwd", "otp"})
	c, trace, err := p.signIn(t)
	if err != nil {
		t.Fatal(err)
	}
	if c.Issuer != p.idp.URL || c.Subject != idptest.Subject || !slices.Equal(c.Emails, []string{"alice@corp.example"}) || c.Verified != identity.StatedTrue ||
		c.Name != "Alice" || !slices.Equal(c.Groups, []string{"staff"}) || !c.GroupsPresent || c.Overage || c.ACR != "mfa" || !slices.Equal(c.AMR, []string{"pwd", "otp"}) || c.AuthTime == 0 {
		t.Errorf("%+v", c)
	}
	if i := slices.IndexFunc(c.Seen, func(s identity.Claim) bool { return s.Name == "groups" }); i < 0 || c.Seen[i].Value != `["staff"]` || c.Seen[i].Source != "id_token" {
		t.Errorf("seen %v", c.Seen)
	}
	p.counts(t, idptest.Userinfo, 0)
	if trace.ProviderHost != "127.0.0.1" || trace.ProviderStatus != 200 || !slices.Equal(trace.Algorithms, []string{"RS256"}) || trace.Issuer != p.idp.URL || trace.ACR != "mfa" {
		t.Errorf("%+v", trace)
	}
	if trace.ClockSkew == nil || *trace.ClockSkew < -3 || *trace.ClockSkew > 3 || trace.AuthAge == nil || *trace.AuthAge < 0 || *trace.AuthAge > 60 {
		t.Errorf("skew %v, age %v", trace.ClockSkew, trace.AuthAge)
	}
	steps := []string{}
	for _, s := range trace.Steps {
		steps = append(steps, s.Name)
		if !s.OK {
			t.Errorf("%s is not well", s.Name)
		}
	}
	if !slices.Equal(steps, []string{"discovery", "token", "id_token"}) {
		t.Errorf("%v", steps)
	}
}

// The bridge's clock is moved, the provider's is the real one.
func TestClockSkewIsMeasured(t *testing.T) {
	for _, tc := range []struct {
		name    string
		ahead   time.Duration // of the provider's clock
		refused bool
	}{
		{"SSO-95 OIDC-12 the provider's clock is two minutes behind", -2 * time.Minute, false},
		{"SSO-95 OIDC-12 over ten minutes behind", -10*time.Minute - 2*time.Second, true},
		{"SSO-95 OIDC-12 two minutes ahead", 2 * time.Minute, true},
		{"SSO-95 OIDC-12 ten minutes ahead", 10 * time.Minute, true},
		{"SSO-95 OIDC-12 half a minute ahead", 30 * time.Second, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newParty(t)
			p.clock.add(-tc.ahead)
			p.idp.Clock(time.Now)
			near := func(skew float64) bool { return skew >= tc.ahead.Seconds()-3 && skew <= tc.ahead.Seconds()+3 }
			if tc.refused {
				f := p.refused(t, failure.OIDCTime)
				skew, err := strconv.ParseFloat(f.Facts["skew_s"], 64)
				if f.Facts["claim"] != "iat" || err != nil || !near(skew) {
					t.Errorf("%v", f.Facts)
				}
				return
			}
			if _, trace, err := p.signIn(t); err != nil || trace.ClockSkew == nil || !near(float64(*trace.ClockSkew)) {
				t.Errorf("%v %v", trace.ClockSkew, err)
			}
		})
	}
}

func TestEmailAndItsWord(t *testing.T) {
	idp := idptest.New(t)
	raw := func(s string) any { return json.RawMessage(s) }
	for _, tc := range []struct {
		name    string
		word    any // of the ID token; nil is absent
		texts   bool
		want    identity.Stated
		wantRaw string
	}{
		{"OIDC-20 true", true, false, identity.StatedTrue, "true"},
		{"OIDC-20 false", false, false, identity.StatedFalse, "false"},
		{"OIDC-20 absent", nil, false, identity.Unstated, ""},
		{"OIDC-20 null", raw("null"), false, identity.Unstated, ""},
		{"OIDC-20 the text true", "true", false, identity.Unstated, `"true"`},
		{"OIDC-20 the text true, by option", "true", true, identity.StatedTrue, `"true"`},
		{"OIDC-20 the text True, by option", "True", true, identity.Unstated, `"True"`},
		{"OIDC-20 the text false", "false", false, identity.StatedFalse, `"false"`},
		{"OIDC-20 1", 1, true, identity.Unstated, "1"},
		{"OIDC-20 0", 0, true, identity.StatedFalse, "0"},
		{"OIDC-20 a list", []bool{true}, true, identity.Unstated, "[true]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			idp.Reset()
			idp.Claim("email_verified", tc.word)
			idp.Userinfo(func(m map[string]any) { m["email"], m["email_verified"] = "other@corp.example", true })
			p := beside(t, idp)
			p.config().EmailVerifiedStrings = tc.texts
			c := p.must(t)
			if c.Verified != tc.want || c.VerifiedRaw != tc.wantRaw || !slices.Equal(c.Emails, []string{"alice@corp.example"}) {
				t.Errorf("%v %q %q", c.Verified, c.VerifiedRaw, c.Emails)
			}
		})
	}
	t.Run("OIDC-20 the word of the ID token does not vouch for the address of userinfo", func(t *testing.T) {
		idp.Reset()
		idp.Claim("email", nil)
		idp.Claim("email_verified", true)
		idp.Userinfo(func(m map[string]any) { m["email"] = "other@corp.example"; delete(m, "email_verified") })
		if c := beside(t, idp).must(t); c.Verified != identity.Unstated || !slices.Equal(c.Emails, []string{"other@corp.example"}) {
			t.Errorf("%+v", c)
		}
	})
	t.Run("OIDC-20 the word of userinfo does not vouch for the address of the ID token", func(t *testing.T) {
		idp.Reset()
		idp.Claim("email_verified", nil)
		idp.Claim("name", nil) // so that userinfo is read
		idp.Userinfo(func(m map[string]any) { m["email"], m["email_verified"] = "other@corp.example", true })
		if c := beside(t, idp).must(t); c.Verified != identity.Unstated || !slices.Equal(c.Emails, []string{"alice@corp.example"}) || c.Name != "Alice" {
			t.Errorf("%+v", c)
		}
	})
	t.Run("OIDC-27 address and word of userinfo", func(t *testing.T) {
		idp.Reset()
		idp.Claim("email", nil)
		idp.Claim("email_verified", nil)
		c := beside(t, idp).must(t)
		if c.Verified != identity.StatedTrue || !slices.Equal(c.Emails, []string{"alice@corp.example"}) {
			t.Errorf("%+v", c)
		}
		if !slices.ContainsFunc(c.Seen, func(s identity.Claim) bool { return s.Source == "userinfo" && s.Name == "email" }) {
			t.Error("nothing seen of userinfo")
		}
	})
	for _, tc := range []struct {
		name  string
		email any
		want  []string
	}{
		{"OIDC-22 several addresses stay several", []string{"a@b.example", "c@d.example"}, []string{"a@b.example", "c@d.example"}},
		{"OIDC-22 a number stays no address", 7, []string{"7"}},
		{"OIDC-22 an object stays no address", map[string]string{"a": "b"}, []string{`{"a":"b"}`}},
		{"OIDC-22 nothing is trimmed or folded", " Alice@CORP.example ", []string{" Alice@CORP.example "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			idp.Reset()
			idp.Claim("email", tc.email)
			if c := beside(t, idp).must(t); !slices.Equal(c.Emails, tc.want) {
				t.Errorf("%q", c.Emails)
			}
		})
	}
}

func TestUserinfoIsAskedWhenAClaimIsMissing(t *testing.T) {
	idp := idptest.New(t)
	for _, tc := range []struct {
		name  string
		thin  []string
		set   func(*party)
		calls int
	}{
		{"OIDC-27 nothing is missing", nil, nil, 0},
		{"OIDC-27 the e-mail is", []string{"email"}, nil, 1},
		{"OIDC-27 the groups are", []string{"groups"}, nil, 1},
		{"OIDC-27 what nobody asks for is", []string{"groups"}, func(p *party) { p.config().Claims.Groups = "" }, 0},
		{"OIDC-27 the provider has none", []string{"email"}, func(p *party) {
			idp.Discovery(func(d map[string]any) { delete(d, "userinfo_endpoint") })
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			idp.Reset()
			idp.Thin(tc.thin...)
			p := beside(t, idp)
			if tc.set != nil {
				tc.set(p)
			}
			before := idp.Count(idptest.Userinfo)
			p.must(t)
			if got := idp.Count(idptest.Userinfo) - before; got != tc.calls {
				t.Errorf("asked %d times", got)
			}
		})
	}
	t.Run("OIDC-27 without an access token", func(t *testing.T) {
		idp.Reset()
		idp.Thin("email")
		idp.Claim("at_hash", nil)
		idp.Answer(func(m map[string]any) { delete(m, "access_token") })
		beside(t, idp).refused(t, failure.UserinfoFailed)
	})
}

func TestGroups(t *testing.T) {
	idp := idptest.New(t)
	for _, tc := range []struct {
		name    string
		claims  map[string]any
		present bool
		overage bool
		want    []string
	}{
		{"OIDC-24 a list", map[string]any{"groups": []string{"a", "b"}}, true, false, []string{"a", "b"}},
		{"OIDC-24 a text is one group", map[string]any{"groups": "a,b"}, true, false, []string{"a,b"}},
		{"OIDC-24 an empty list", map[string]any{"groups": []string{}}, true, false, nil},
		{"OIDC-24 absent", map[string]any{"groups": nil}, false, false, nil},
		{"OIDC-24 nested", map[string]any{"groups": map[string]any{"roles": []string{"admin"}}}, false, false, nil},
		{"OIDC-24 a list of lists", map[string]any{"groups": []any{[]string{"admin"}}}, false, false, nil},
		{"OIDC-24 a list with a number", map[string]any{"groups": []any{"a", 1}}, false, false, nil},
		{"OIDC-24 overage", map[string]any{"groups": nil, "_claim_names": map[string]string{"groups": "src1"}}, false, true, nil},
		{"OIDC-24 overage without a source", map[string]any{"groups": nil, "_claim_names": "groups"}, false, true, nil},
		{"OIDC-24 a link in place of another claim", map[string]any{"_claim_names": map[string]string{"address": "src1"}}, true, false, []string{"staff"}},
		{"OIDC-24 hasgroups", map[string]any{"groups": nil, "hasgroups": true}, false, true, nil},
		{"OIDC-24 hasgroups as a text", map[string]any{"groups": nil, "hasgroups": "true"}, false, true, nil},
		{"OIDC-24 hasgroups false", map[string]any{"groups": []string{"a"}, "hasgroups": false}, true, false, []string{"a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			idp.Reset()
			idp.Thin()
			for name, value := range tc.claims {
				idp.Claim(name, value)
			}
			idp.Userinfo(func(m map[string]any) { delete(m, "groups") })
			c := beside(t, idp).must(t)
			if c.GroupsPresent != tc.present || c.Overage != tc.overage || !slices.Equal(c.Groups, tc.want) {
				t.Errorf("%v %v %q", c.GroupsPresent, c.Overage, c.Groups)
			}
			if idp.Canary().Count() != 0 {
				t.Error("a link was followed")
			}
		})
	}
	t.Run("OIDC-24 overage in userinfo", func(t *testing.T) {
		idp.Reset()
		idp.Claim("groups", nil)
		idp.Userinfo(func(m map[string]any) {
			delete(m, "groups")
			m["_claim_names"] = map[string]string{"groups": "src1"}
		})
		if c := beside(t, idp).must(t); !c.Overage || c.GroupsPresent {
			t.Errorf("%+v", c)
		}
	})
}

func TestSubjectClaim(t *testing.T) {
	p := newParty(t)
	p.config().Claims.Subject = "employee"
	p.idp.Userinfo(func(m map[string]any) { m["employee"] = "e-1" })
	p.idp.Thin("email")
	if f := p.refused(t, failure.SubjectMissing); f.Facts["claim"] != "employee" {
		t.Errorf("userinfo identified the person: %v", f.Facts)
	}
	p.idp.Claim("employee", "e-7")
	if c := p.must(t); c.Subject != "e-7" {
		t.Errorf("%q", c.Subject)
	}
	p.idp.Claim("employee", 7)
	p.refused(t, failure.SubjectMalformed)
}

func TestFreshSignIn(t *testing.T) {
	idp := idptest.New(t)
	at := func(off time.Duration) func() {
		return func() { idp.Claim("auth_time", time.Now().Add(off).Unix()) }
	}
	for _, tc := range []struct {
		name string
		arm  func()
		want failure.Code
	}{
		{"just now", func() {}, ""},
		{"within the skew", at(-55 * time.Second), ""},
		{"a minute and a half ago", at(-90 * time.Second), failure.OIDCStale},
		{"an hour ago", at(-time.Hour), failure.OIDCStale},
		{"without auth_time", func() { idp.Claim("auth_time", nil) }, failure.OIDCStale},
		{"auth_time is a text", func() { idp.Claim("auth_time", "1") }, failure.OIDCTime},
	} {
		t.Run(tc.name, func(t *testing.T) {
			idp.Reset()
			tc.arm()
			p := beside(t, idp)
			p.config().ForceAuthn = true
			p.refused(t, tc.want)
			if tc.want == failure.OIDCStale {
				p.config().ForceAuthn = false
				p.must(t)
			}
		})
	}
	for _, tc := range []struct {
		name string
		acr  any
		want failure.Code
	}{{"the acr that is asked for", "phr", ""}, {"a weaker acr", "pwd", failure.OIDCACR}, {"no acr", nil, failure.OIDCACR}, {"acr is a list", []string{"phr"}, failure.OIDCACR}} {
		t.Run(tc.name, func(t *testing.T) {
			idp.Reset()
			idp.Claim("acr", tc.acr)
			p := beside(t, idp)
			p.oidc().ACRValues, p.oidc().ACRRequired = []string{"mfa", "phr"}, true
			p.refused(t, tc.want)
			p.oidc().ACRRequired = false
			p.must(t)
		})
	}
}
