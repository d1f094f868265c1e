// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

const hangUp = syscall.SIGHUP

// reconciled is what a bridge logs when it has read its connections.
const reconciled = "connections file"

// waiting is a client that shows a code.
type waiting struct {
	in     *install
	config oauth2.Config
	auth   *oauth2.DeviceAuthResponse
}

// client begins a device authorization as golang.org/x/oauth2 does.
func (in *install) client(label string) *waiting {
	in.t.Helper()
	w := &waiting{in: in, config: oauth2.Config{ClientID: "difyctl", Endpoint: oauth2.Endpoint{
		DeviceAuthURL: in.core.url + "/openapi/v1/oauth/device/code", TokenURL: in.core.url + "/openapi/v1/oauth/device/token", AuthStyle: oauth2.AuthStyleInParams,
	}}}
	var err error
	if w.auth, err = w.config.DeviceAuth(in.t.Context(), oauth2.SetAuthURLParam("device_label", label)); err != nil {
		in.t.Fatal(err)
	}
	return w
}

// token waits for the answer of the winning poll.
func (w *waiting) token() *oauth2.Token {
	w.in.t.Helper()
	ctx, cancel := context.WithTimeout(w.in.t.Context(), time.Minute)
	defer cancel()
	w.auth.Interval = 1 // the server's clock of a first poll begins now
	tok, err := w.config.DeviceAccessToken(ctx, w.auth)
	if err != nil {
		w.in.t.Fatalf("token: %v\n%s", err, w.in.describe())
	}
	return tok
}

// pending ends the test unless nobody has decided.
func (w *waiting) pending() {
	w.in.t.Helper()
	status, body := w.in.get("/openapi/v1/oauth/device/lookup?user_code=" + w.auth.UserCode)
	if status != http.StatusOK || !strings.Contains(body, `"valid":true`) {
		w.in.t.Fatalf("the code waits no more: %d %s", status, body)
	}
}

// chooser types the code and arrives at the choice of ways to sign in.
func (w *waiting) chooser(b *browser) *page {
	w.in.t.Helper()
	return b.open(w.in.core.url+"/device").submit("/device", "user_code", w.auth.UserCode).must(http.StatusOK, "sso-initiate")
}

// arrive goes through the provider and ends at the question of core.
func (w *waiting) arrive(b *browser) *page {
	w.in.t.Helper()
	return w.chooser(b).click("sso-initiate")
}

// get asks core as a client does; headers come in pairs.
func (in *install) get(path string, headers ...string) (int, string) {
	in.t.Helper()
	return in.call(http.MethodGet, path, headers...)
}

// getUntil asks again for up to half a minute, for what is brought about elsewhere; not
// so often that a token's limit answers in its place.
func (in *install) getUntil(want int, path string, headers ...string) (status int, body string) {
	in.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(600 * time.Millisecond) {
		if status, body = in.get(path, headers...); status == want || time.Now().After(deadline) {
			return status, body
		}
	}
}

func (in *install) call(method, path string, headers ...string) (int, string) {
	in.t.Helper()
	r, err := http.NewRequestWithContext(in.t.Context(), method, in.core.url+path, nil)
	if err != nil {
		in.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// one is an installation with one provider and one connection, "corp".
func one(t testing.TB, p plan, oidc []string, more ...string) (*install, *provider) {
	t.Helper()
	in := newInstall(t, p)
	idp := newProvider(t, []string{in.callback("corp")})
	in.configure(idp.connection(in, "corp", oidc, append([]string{"domains: [corp.test]"}, more...)...))
	return in, idp
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	in, idp := one(t, plan{}, nil)

	t.Run("SSO-31 a person of the provider signs a client in, and the client uses and ends its token", func(t *testing.T) {
		w, b := in.client("alice's laptop"), newBrowser(t)
		question := w.arrive(b).must(http.StatusOK, "Alice Liddell")
		question.must(http.StatusOK, "alice&#39;s laptop")
		w.pending()
		question.submit("approve-external").must(http.StatusOK, "")
		tok := w.token()
		if !strings.HasPrefix(tok.AccessToken, "dfoe_") {
			t.Fatal("not an external subject's token")
		}
		bearer := []string{"Authorization", "Bearer " + tok.AccessToken}
		status, body := in.get("/openapi/v1/account", bearer...)
		var who struct {
			SubjectType   string `json:"subject_type"`
			SubjectEmail  string `json:"subject_email"`
			SubjectIssuer string `json:"subject_issuer"`
			Account       any    `json:"account"`
			Workspaces    []any  `json:"workspaces"`
		}
		if err := json.Unmarshal([]byte(body), &who); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s: %v", status, body, err)
		}
		if who.SubjectType != "external_sso" || who.SubjectEmail != "alice@corp.test" || who.Account != nil || who.Workspaces == nil || len(who.Workspaces) != 0 {
			t.Errorf("identity: %s", body)
		}
		if status, body = in.get("/openapi/v1/account/sessions", bearer...); status != http.StatusOK || !strings.Contains(body, "alice's laptop") {
			t.Errorf("sessions: %d %s", status, body)
		}
		if status, body = in.call(http.MethodDelete, "/openapi/v1/account/sessions/self", bearer...); status != http.StatusOK {
			t.Errorf("logout: %d %s", status, body)
		}
		if status, _ = in.get("/openapi/v1/account", bearer...); status != http.StatusUnauthorized {
			t.Errorf("after logout: %d", status)
		}
	})
	t.Run("SSO-30 returning from the provider approves nothing", func(t *testing.T) {
		w, b := in.client("looks around"), newBrowser(t)
		w.arrive(b).must(http.StatusOK, "Alice Liddell")
		b.open(in.core.url+"/openapi/v1/oauth/device/approval").must(http.StatusOK, "Alice Liddell")
		w.pending()
	})
	t.Run("DEV-13 SSO-16 the last address in another browser is refused there and works here", func(t *testing.T) {
		w, mine, other := in.client("crossed"), newBrowser(t), newBrowser(t)
		last := w.upTo(mine, "sso-complete")
		other.open(last).must(http.StatusOK, "begun in another browser")
		mine.open(last).must(http.StatusOK, "Alice Liddell")
		w.pending()
	})
	t.Run("SSO-31 API-28 difyauth signs in, uses its token, runs what is open to its holder, and ends it", func(t *testing.T) { difyauth(t, in) })
	t.Run("SSO-31 difyctl signs in, uses its token and ends it", func(t *testing.T) { difyctl{t: t, in: in}.replay() })
	t.Run("OIDC-15 SSO-50 handle and code of two logins, in both browsers, both ways", func(t *testing.T) { crossed(t, in) })
	t.Run("OIDC-35 no parameter leads anywhere else", func(t *testing.T) { led(t, in, idp) })
}

// upTo goes the same way and stops before an address that contains a text.
func (w *waiting) upTo(b *browser, contains string) string {
	w.in.t.Helper()
	p := w.chooser(b)
	at := b.hop(p, http.MethodGet, p.link("sso-initiate"), nil)
	for range 20 {
		where := at.header.Get("Location")
		if where == "" {
			w.in.t.Fatalf("%s leads nowhere: %d %s", at.url.Redacted(), at.status, at.body)
		}
		next, err := at.url.Parse(where)
		if err != nil {
			w.in.t.Fatal(err)
		}
		if strings.Contains(next.String(), contains) {
			return next.String()
		}
		at = b.hop(at, http.MethodGet, next.String(), nil)
	}
	w.in.t.Fatalf("never came to %q", contains)
	return ""
}
