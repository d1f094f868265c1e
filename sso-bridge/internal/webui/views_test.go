// SPDX-License-Identifier: Apache-2.0

package webui_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/page"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/webui"
)

func render(t *testing.T, lang string, v webui.View) string {
	t.Helper()
	r, err := webui.New(webui.Deps{Core: &url.URL{Scheme: "https", Host: "console.example"}, Contact: "<b>IT</b>"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.Render(&b, webui.Frame{Lang: lang, Switch: "/sso/error/x?lang=en"}, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const markup = `"><script>alert(1)</script>`

// views are all there are, with foreign text wherever it can stand.
func views() map[string]webui.View {
	at, skew := time.Unix(1_800_000_000, 0), 1.5
	bad := login.Result{
		Reference: "7K2QD-9XM4P", Connection: "corp", Name: markup, At: at, Skew: &skew,
		Checks:  []login.Check{{Name: "issuer", Expected: markup, Got: markup, Verdict: login.Refused}, {Name: "time", Verdict: login.NotReached}},
		Claims:  []login.ShownClaim{{Name: markup, Value: markup, Source: "id_token", Maps: "email"}},
		Failure: &login.ShownFailure{Code: failure.OIDCIssuer, Cause: "c", Mend: "m", Expected: markup, Got: markup, Facts: map[string]string{"where": markup}},
	}
	good := bad
	good.Failure, good.Passed, good.Marked, good.Admitted = nil, true, true, true
	good.Identity = &identity.Identity{Issuer: markup, Subject: markup, Email: markup, Name: markup, EmailVerified: true}
	return map[string]webui.View{
		"failure": webui.Failure{Public: ssocode.Failed, Reference: "7K2QD-9XM4P", At: at, Intent: connection.AccountLogin},
		"limit":   webui.Failure{Public: ssocode.RateLimited, Wait: 3},
		"bad":     webui.Test{Result: bad}, "good": webui.Test{Result: good},
		"leave": leave(),
	}
}

// leave is a form whose fields hold markup, as no field of ours does.
func leave() webui.Leave {
	return webui.Leave{Destination: login.Destination{URL: "https://idp.example/sso?a=1&b=" + markup, Post: []login.Field{
		{Name: "SAMLRequest", Value: secret.New("PHNhbWxwOkF1dGhuUmVxdWVzdD4=")}, {Name: "RelayState", Value: secret.New(markup)},
	}}}
}

// ofLeave is what the page that leads on has and no other page.
var ofLeave = map[string]string{
	"<form":   `<form method="post" action="https://idp.example/sso?a=1&amp;b=%22%3e%3cscript%3ealert%281%29%3c/script%3e" data-submit>`,
	"<script": `<script src="/sso/static/submit-`,
}

func TestEveryViewInBothLanguages(t *testing.T) {
	for name, v := range views() {
		for _, lang := range []string{page.English, page.Chinese} {
			t.Run("SSO-96 "+name+" "+lang, func(t *testing.T) {
				got := render(t, lang, v)
				if !strings.Contains(got, `<html lang="`+lang+`">`) || strings.Count(got, "<h1>") != 1 || !strings.Contains(got, `<a class="skip"`) {
					t.Errorf("not the page of that language: %s", got)
				}
				for _, inline := range []string{"<script", " style=", "<style", " onclick", "http://", "<form"} {
					allowed := 0
					if part := ofLeave[inline]; name == "leave" && part != "" {
						if allowed = strings.Count(got, part); allowed != 1 {
							t.Errorf("it lacks %s: %s", part, got)
						}
					}
					if strings.Count(got, inline) != allowed {
						t.Errorf("it holds %s", inline)
					}
				}
			})
			t.Run("SSO-97 markup is text: "+name+" "+lang, func(t *testing.T) {
				if got := render(t, lang, v); strings.Contains(got, "<script>") || strings.Contains(got, "<b>IT") {
					t.Errorf("markup: %s", got)
				}
			})
		}
	}
}

func TestThePageThatLeadsOn(t *testing.T) {
	for lang, words := range map[string][2]string{
		page.English: {"Continue to your company&#39;s sign-in", "Continue"}, page.Chinese: {"前往公司登录页面", "继续"},
	} {
		t.Run("SSO-96 a form with its fields and a button that can be seen: "+lang, func(t *testing.T) {
			got := render(t, lang, leave())
			for _, part := range []string{
				"<h1>" + words[0] + "</h1>", `<button type="submit">` + words[1] + `</button>`,
				`<input type="hidden" name="SAMLRequest" value="PHNhbWxwOkF1dGhuUmVxdWVzdD4=">`, `name="RelayState"`,
			} {
				if strings.Count(got, part) != 1 {
					t.Errorf("without %s: %s", part, got)
				}
			}
		})
	}
	t.Run("SAML-34 an address that is no page's is none of the form's", func(t *testing.T) {
		got := render(t, page.English, webui.Leave{Destination: login.Destination{URL: "javascript:alert(1)"}})
		if strings.Contains(got, "javascript:") {
			t.Error(got)
		}
	})
	t.Run("the script that submits it is a file of ours", func(t *testing.T) {
		_, rest, _ := strings.Cut(render(t, page.English, leave()), `<script src="/sso/static/`)
		name, _, _ := strings.Cut(rest, `"`)
		if asset, ok := webui.Static(name); !ok || !strings.HasPrefix(asset.Type, "text/javascript") || len(asset.Content) == 0 {
			t.Errorf("%q: %+v", name, asset.Type)
		}
	})
}

func TestPagesOfOneCode(t *testing.T) {
	t.Run("SSO-92 two failures of one public code differ by their reference alone", func(t *testing.T) {
		at := time.Unix(1_800_000_000, 0)
		one := render(t, page.English, webui.Failure{Public: ssocode.ResponseRefused, Reference: "AAAAA-AAAAA", At: at})
		two := render(t, page.English, webui.Failure{Public: ssocode.ResponseRefused, Reference: "BBBBB-BBBBB", At: at})
		if strings.ReplaceAll(one, "AAAAA-AAAAA", "x") != strings.ReplaceAll(two, "BBBBB-BBBBB", "x") {
			t.Error("they differ")
		}
	})
}

func TestTheWayBack(t *testing.T) {
	for intent, want := range map[connection.Intent]string{connection.DeviceFlow: "/device", connection.AccountLogin: "/signin", connection.Test: "/", "": "/device"} {
		if got := render(t, page.English, webui.Failure{Public: ssocode.Failed, Intent: intent}); !strings.Contains(got, `href="https://console.example`+want+`"`) {
			t.Errorf("%s leads elsewhere", intent)
		}
	}
}

func TestStaticNames(t *testing.T) {
	for _, name := range []string{"bridge.css", "", "../templates/layout.html", "bridge-000000000000.css"} {
		if _, ok := webui.Static(name); ok {
			t.Errorf("%q is served", name)
		}
	}
}
