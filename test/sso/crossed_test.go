// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// crossed gives two people each other's codes, as somebody would who wants the other to
// sign in for him: the handle of one login with the code of the other, and whole addresses.
func crossed(t *testing.T, in *install) {
	for _, how := range []string{"the code beside the own handle", "the handle beside the own code"} {
		for _, whose := range []int{0, 1} {
			browsers, clients := []*browser{newBrowser(t), newBrowser(t)}, []*waiting{in.client("one"), in.client("other")}
			addresses := []*url.URL{}
			for i, w := range clients {
				addresses = append(addresses, mustParse(t, w.upTo(browsers[i], "/sso/oidc/callback")))
			}
			mine, theirs := addresses[whose], addresses[1-whose]
			name := "code"
			if strings.HasPrefix(how, "the handle") {
				name = "state"
			}
			q := mine.Query()
			q.Set(name, theirs.Query().Get(name))
			mixed := *mine
			mixed.RawQuery = q.Encode()
			p := browsers[whose].travel(nil, http.MethodGet, mixed.String(), nil, 20)
			if !strings.Contains(p.body, "something we cannot accept") && !strings.Contains(p.body, "begun in another browser") {
				t.Errorf("%s: %s\n%s", how, p.url.Redacted(), p.body)
			}
			in.explained(p, "token_endpoint_failed")
			// The whole address of the other login, where it is still good, signs nobody in here.
			if name == "code" {
				browsers[whose].travel(nil, http.MethodGet, theirs.String(), nil, 20)
			}
			for i, w := range clients {
				w.pending()
				if p := browsers[i].open(in.core.url + approvalPage); strings.Contains(p.body, "Alice Liddell") {
					t.Errorf("%s: browser %d may approve", how, i)
				}
			}
		}
	}
	mine, other, w := newBrowser(t), newBrowser(t), in.client("whole")
	w.chooser(other)
	address := w.upTo(mine, "/sso/oidc/callback")
	other.travel(nil, http.MethodGet, address, nil, 20).must(http.StatusOK, "begun in another browser")
	w.pending()
}

// led adds to every address of the way what other products take for a place to go to.
func led(t *testing.T, in *install, idp *provider) {
	const elsewhere = "https://evil.example/x"
	foreign := url.Values{}
	for _, name := range []string{"return_to", "redirect", "redirect_uri", "redirect_url", "next", "url", "continue", "target", "RelayState", "post_logout_redirect_uri", "iss_hint"} {
		foreign.Set(name, elsewhere)
	}
	ours := []string{in.core.url, in.bridge.url, idp.issuer}
	for _, at := range []string{"sso-initiate", "/sso/start/", "/sso/oidc/callback", "sso-complete"} {
		w, b := in.client(at), newBrowser(t)
		p := w.chooser(b)
		next := p.link("sso-initiate")
		for hops := 0; ; hops++ {
			if hops > 20 {
				t.Fatal("it does not end")
			}
			if strings.Contains(next, at) {
				next += map[bool]string{true: "&", false: "?"}[strings.Contains(next, "?")] + foreign.Encode()
			}
			p = b.hop(p, http.MethodGet, next, nil)
			where := p.header.Get("Location")
			if where == "" {
				break
			}
			to, err := p.url.Parse(where)
			if err != nil {
				t.Fatal(err)
			}
			var known bool
			for _, origin := range ours {
				known = known || to.Scheme+"://"+to.Host == origin
			}
			if !known || to.Host != mustParse(t, idp.issuer).Host && strings.Contains(to.RawQuery, "evil.example") {
				t.Fatalf("%s leads to %s", at, where)
			}
			if strings.Contains(p.url.Path, "/sso/oidc/callback") && !strings.HasPrefix(to.String(), in.core.url+"/openapi/v1/oauth/device/sso-complete?") {
				t.Errorf("a callback leads to %s", to.Redacted())
			}
			next = to.String()
		}
		if strings.Contains(p.body, "evil.example") {
			t.Errorf("%s: the last page names it:\n%s", at, p.body)
		}
		w.pending()
	}
}
