// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// create makes a connection to a provider by command, a draft.
func (in *install) create(p *provider, id string) {
	in.t.Helper()
	in.operate("connection", "create", "--preset", "generic-oidc", "--id", id, "--name", strings.ToUpper(id), "--issuer", p.issuer, "--client-id", "bridge",
		"--client-secret-file", in.file("secret-"+id, p.secret), "--scopes", "openid,email,profile,groups", "--intents", "device_flow")
}

// refusal is the error that ends a client's waiting.
func (w *waiting) refusal() string {
	w.in.t.Helper()
	ctx, cancel := context.WithTimeout(w.in.t.Context(), time.Minute)
	defer cancel()
	w.auth.Interval = 1
	_, err := w.config.DeviceAccessToken(ctx, w.auth)
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		w.in.t.Fatalf("poll: %v", err)
	}
	return refused.ErrorCode
}

// A connection from its draft to its end, by commands, with services that come and go.
func TestConnectionsByCommand(t *testing.T) {
	t.Parallel()
	in := newInstall(t, plan{withoutBridge: true, connections: `  - id: gone
    name: A provider that is down
    preset: generic-oidc
    enable: force
    reason: a connection of a test
    intents: [device_flow]
    oidc: { issuer: "http://` + freePort(t, "127.0.0.1") + `", client_id: bridge, client_secret: "a client secret of a test, 0123456789" }
`})
	t.Run("SSO-06 OUT-04 core starts without a bridge, and people sign in to it", func(t *testing.T) {
		w, b := in.client("alone"), newBrowser(t)
		b.open(in.core.url+"/signin").submit("/signin", "email", ownerEmail, "password", ownerPassword).must(http.StatusOK, "Devices and browsers")
		b.open(in.core.url+"/device").submit("/device", "user_code", w.auth.UserCode).submit("allow").must(http.StatusOK, "Device connected")
		if tok := w.token(); !strings.HasPrefix(tok.AccessToken, "dfoa_") {
			t.Error("no account's token")
		}
	})
	t.Run("SSO-06 OUT-04 the bridge starts while core and the provider are down", func(t *testing.T) {
		in.cores[0].kill()
		in.serveBridges(1)
		in.coreAgain()
		in.client("nobody there").arrive(newBrowser(t)).must(http.StatusServiceUnavailable, "did not answer")
		in.configure()
	})
	idp := newProvider(t, []string{in.callback("corp")})
	in.create(idp, "corp")
	t.Run("SSO-79 SSO-80 a draft is tested by its link and serves after that", func(t *testing.T) {
		if out, err := try(t, in.bridgeEnviron, "", program(t, "sso-bridge"), "connection", "enable", "corp"); err == nil || !strings.Contains(out, "test") {
			t.Fatalf("enabled without a test: %s", out)
		}
		var test struct {
			URL       string `json:"test_url"`
			Reference string `json:"reference"`
		}
		if out := in.operate("connection", "test", "corp", "-o", "json"); json.Unmarshal([]byte(out), &test) != nil || !strings.HasPrefix(test.URL, in.bridge.url+"/sso/") {
			t.Fatal(out)
		}
		b := newBrowser(t)
		result := b.open(test.URL).must(http.StatusOK, test.Reference).must(http.StatusOK, "alice@corp.test").must(http.StatusOK, "email_verified").must(http.StatusOK, idp.issuer)
		if !strings.HasPrefix(result.url.String(), in.bridge.url+"/sso/test/") {
			t.Errorf("it ends at %s", result.url.Redacted())
		}
		b.open(result.url.String()).must(http.StatusOK, test.Reference)
		newBrowser(t).open(result.url.String()).must(http.StatusForbidden, "begun in another browser")
		newBrowser(t).open(test.URL).must(http.StatusBadRequest, "only once")
		in.operate("connection", "enable", "corp")
		in.client("tested").arrive(newBrowser(t)).must(http.StatusOK, "Alice Liddell")
	})
	approved, returning, asked, signedIn := in.client("approved"), in.client("returning"), in.client("asked"), in.client("signed in")
	approved.arrive(newBrowser(t)).submit("approve-external").must(http.StatusOK, "Device connected")
	signedIn.arrive(newBrowser(t)).submit("approve-external").must(http.StatusOK, "Device connected")
	bearer := []string{"Authorization", "Bearer " + signedIn.token().AccessToken}
	b := newBrowser(t)
	last := returning.upTo(b, "sso-complete")
	question := asked.arrive(newBrowser(t)).must(http.StatusOK, "Alice Liddell")
	in.operate("connection", "disable", "corp", "--reason", "a test")

	t.Run("SSO-33 SSO-113 disabled between the approval and the poll", func(t *testing.T) {
		if got := approved.refusal(); got != "access_denied" {
			t.Errorf("the client reads %q", got)
		}
	})
	t.Run("SSO-113 disabled after the assertion had left the bridge", func(t *testing.T) {
		b.open(last).must(http.StatusOK, "could not be completed")
		returning.pending()
	})
	t.Run("SSO-113 disabled while the question was on the screen", func(t *testing.T) {
		question.submit("approve-external").must(http.StatusUnauthorized, "no longer valid")
		asked.pending()
	})
	t.Run("SSO-83 its tokens are dead at the next request", func(t *testing.T) {
		if status, body := in.get("/openapi/v1/account", bearer...); status != http.StatusUnauthorized {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("SSO-83 disabled while core is down: core hears of it when it is back", func(t *testing.T) {
		other := newProvider(t, []string{in.callback("other")})
		in.create(other, "other")
		in.operate("connection", "enable", "other", "--force", "--reason", "a connection of a test")
		w := in.client("kept")
		w.arrive(newBrowser(t)).must(http.StatusOK, "Alice Liddell").submit("approve-external")
		bearer := []string{"Authorization", "Bearer " + w.token().AccessToken}
		if status, body := in.get("/openapi/v1/account", bearer...); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		in.cores[0].kill()
		if out := in.operate("connection", "disable", "other", "-o", "json"); !strings.Contains(out, `"pending": true`) && !strings.Contains(out, `"pending":true`) {
			t.Errorf("not pending: %s", out)
		}
		in.coreAgain()
		if status, _ := in.getUntil(http.StatusUnauthorized, "/openapi/v1/account", bearer...); status != http.StatusUnauthorized {
			t.Errorf("its token still answers %d", status)
		}
	})
}

// coreAgain starts core on the addresses of the one that was killed.
func (in *install) coreAgain() {
	in.t.Helper()
	in.cores[0] = in.serveAt("core", in.coreEnviron, in.cores[0].public, in.cores[0].inner)
}
