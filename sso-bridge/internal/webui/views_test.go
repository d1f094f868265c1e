// SPDX-License-Identifier: Apache-2.0

package webui_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/page"
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
	}
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
					if strings.Contains(got, inline) {
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
