// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// htDifyctl speaks like the released difyctl 0.1.0-rc.1: its headers in its order, no
// content type without a body.
type htDifyctl struct {
	t     testing.TB
	s     *apitest.Server
	token string
}

// request writes one as the client does.
func (d htDifyctl) request(method, path, body, kind, accept string) string {
	head := method + " /openapi/v1/" + path + " HTTP/1.1\r\n"
	if d.token != "" {
		head += "authorization: Bearer " + d.token + "\r\n"
	}
	if body != "" {
		head += "content-type: " + kind + "\r\n"
	}
	head += "user-agent: difyctl/0.1.0-rc.1 (linux; x64; rc)\r\nConnection: keep-alive\r\nAccept: " + accept + "\r\nHost: " + strings.TrimPrefix(d.s.URL, "http://") +
		"\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
	if method != http.MethodGet {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return head + "\r\n" + body
}

// call sends one request byte for byte and holds the answer against what the client
// does with it: one member of the wrong type and it crashes or drops the whole body.
func (d htDifyctl) call(method, path, body string) apitest.Answer {
	d.t.Helper()
	a := htAsk(d.t, d.s, d.request(method, path, body, "application/json", "*/*"))
	if v := dcRead(method, a); v.crash != "" {
		d.t.Fatalf("%s %s crashes it: %s", method, path, v.crash)
	}
	if a.Status/100 == 3 {
		d.t.Fatalf("%s %s is led to %q", method, path, a.Header.Get("Location"))
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" || a.Header.Get("Content-Disposition") != "" || a.Header.Get("Content-Encoding") != "" {
		d.t.Fatalf("%s %s cannot be parsed: %v", method, path, a.Header)
	}
	if a.Status/100 == 2 {
		if strings.Contains(a.Body, `"error"`) {
			d.t.Fatalf("%s %s succeeds with an error: %s", method, path, a.Body)
		}
		for _, list := range []string{"data", "workspaces"} {
			if strings.Contains(a.Body, `"`+list+`":null`) {
				d.t.Fatalf("%s %s has a null list: %s", method, path, a.Body)
			}
		}
		return a
	}
	wantFailureShape(d.t, a)
	return a
}

func (d htDifyctl) into(a apitest.Answer, v any) {
	d.t.Helper()
	if a.Status != http.StatusOK {
		d.t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	if err := json.Unmarshal([]byte(a.Body), v); err != nil {
		d.t.Fatalf("%s: %v", a.Body, err)
	}
}

var (
	htUUID  = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	htStamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
)

// htSessionRow is what the client reads of a session. A null label crashes it.
type htSessionRow struct {
	ID, Prefix *string
	ClientID   *string `json:"client_id"`
	Label      *string `json:"device_label"`
	Created    *string `json:"created_at"`
	LastUsed   *string `json:"last_used_at"`
	Expires    *string `json:"expires_at"`
}

type htSessionPage struct {
	Page, Limit, Total *int
	HasMore            *bool `json:"has_more"`
	Data               []htSessionRow
}

func (d htDifyctl) page(query string) htSessionPage {
	d.t.Helper()
	var p htSessionPage
	a := d.call(http.MethodGet, "account/sessions?"+query, "")
	d.into(a, &p)
	if p.Page == nil || p.Limit == nil || p.Total == nil || p.HasMore == nil || p.Data == nil {
		d.t.Fatalf("a page lacks a member: %s", a.Body)
	}
	for _, row := range p.Data {
		if row.ID == nil || row.Prefix == nil || row.ClientID == nil || row.Label == nil || row.Created == nil || row.Expires == nil ||
			!htUUID.MatchString(*row.ID) || !htStamp.MatchString(*row.Created) || !htStamp.MatchString(*row.Expires) || row.LastUsed != nil && !htStamp.MatchString(*row.LastUsed) {
			d.t.Fatalf("a row does not fit: %s", a.Body)
		}
	}
	return p
}

// login replays auth login: ask, approve in a browser, poll. It gives the success body.
func (d htDifyctl) login(b *apitest.Browser) map[string]any {
	d.t.Helper()
	var code struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		URI      string `json:"verification_uri"`
		Interval *int   `json:"interval"`
	}
	asked := d.call(http.MethodPost, "oauth/device/code", `{"client_id":"difyctl","device_label":"difyctl on host"}`)
	if exit, interval, wrong := dcCode(asked); exit != 0 || interval != 5 || wrong != "" {
		d.t.Fatalf("%d %d %s", exit, interval, wrong)
	}
	d.into(asked, &code)
	if code.Device == "" || code.User == "" || code.URI != d.s.URL+"/device" || code.Interval == nil || *code.Interval != 5 {
		d.t.Fatalf("%+v", code)
	}
	poll := fmt.Sprintf(`{"client_id":"difyctl","device_code":%q}`, code.Device)
	// The first poll comes at once, the next an interval after the answer.
	for range 2 {
		wantAnswer(d.t, d.call(http.MethodPost, "oauth/device/token", poll), http.StatusBadRequest, "authorization_pending")
		d.s.Clock.Advance(5 * time.Second)
	}
	allow(d.t, b, apitest.Codes{User: code.User})
	won := d.call(http.MethodPost, "oauth/device/token", poll)
	if got := dcPoll(won); got.next != "in" || got.wrong != "" {
		d.t.Fatalf("%+v", got)
	}
	return won.JSON(d.t)
}

func TestDifyctlLogsInAndOut(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)
	d := htDifyctl{t: t, s: s}

	t.Run("its version check", func(t *testing.T) {
		var v struct{ Version, Edition *string }
		d.into(d.call(http.MethodGet, "_version", ""), &v)
		if v.Version == nil || !regexp.MustCompile(`^1\.14\.2\+[0-9A-Za-z.-]+$`).MatchString(*v.Version) || v.Edition == nil || *v.Edition != "SELF_HOSTED" {
			t.Fatalf("%+v", v)
		}
	})
	t.Run("its login, in every member that it reads", func(t *testing.T) {
		success := d.login(b)
		for _, name := range []string{"token", "access_token", "token_id", "token_type", "expires_at", "default_workspace_id", "subject_type"} {
			if text, ok := success[name].(string); !ok || text == "" {
				t.Errorf("%s is %v", name, success[name])
			}
		}
		account, _ := success["account"].(map[string]any)
		for _, name := range []string{"id", "email", "name"} {
			if _, ok := account[name].(string); !ok {
				t.Errorf("account.%s is %v", name, account[name])
			}
		}
		workspaces, _ := success["workspaces"].([]any)
		matched := false
		for _, item := range workspaces {
			w, _ := item.(map[string]any)
			for _, name := range []string{"id", "name", "role"} {
				if _, ok := w[name].(string); !ok {
					t.Errorf("workspace %s is %v", name, w[name])
				}
			}
			matched = matched || w["id"] == success["default_workspace_id"]
		}
		id, _ := success["token_id"].(string)
		workspace, _ := success["default_workspace_id"].(string)
		token, _ := success["token"].(string)
		ends, _ := success["expires_at"].(string)
		if !matched || !htUUID.MatchString(workspace) || !htUUID.MatchString(id) || !strings.HasPrefix(token, "dfoa_") || !htStamp.MatchString(ends) {
			t.Fatalf("%v", success)
		}
		d.token = token
	})
	t.Run("its list of devices and what it ends on the way", func(t *testing.T) {
		first := htDifyctl{t: t, s: s, token: d.token}
		for range 3 {
			other := htDifyctl{t: t, s: s}
			success := s.Poll(t, func() apitest.Codes { c := s.Code(t, "another "+time.Now().String()); allow(t, b, c); return c }())
			other.token = success.Text(t, "token")
			other.page("page=1&limit=20")
		}
		p := first.page("page=1&limit=20")
		if *p.Page != 1 || *p.Limit != 20 || *p.Total != 4 || *p.HasMore || len(p.Data) != 4 {
			t.Fatalf("%+v", p)
		}
		// devices revoke --all: pages of 200, then one DELETE after another, sparing its own.
		var mine string
		for _, row := range first.page("page=1&limit=200").Data {
			if *row.Label == "difyctl on host" {
				mine = *row.ID
				continue
			}
			for range 2 { // an attempt that was retried meets a row that is gone
				var out struct{ Status string }
				first.into(first.call(http.MethodDelete, "account/sessions/"+*row.ID, ""), &out)
				if out.Status != "revoked" {
					t.Fatalf("%+v", out)
				}
			}
		}
		if p := first.page("page=1&limit=20"); *p.Total != 1 || *p.Data[0].ID != mine {
			t.Fatalf("%+v", p)
		}
		if p := first.page("page=2&limit=200"); p.Data == nil || len(p.Data) != 0 {
			t.Fatalf("%+v", p)
		}
	})
	t.Run("its logout, without content type and with a length of 0", func(t *testing.T) {
		first := htDifyctl{t: t, s: s, token: d.token}
		if a := first.call(http.MethodDelete, "account/sessions/self", ""); a.Status != http.StatusOK || a.Body != `{"status":"revoked"}` {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		wantAnswer(t, first.call(http.MethodGet, "account/sessions?page=1&limit=20", ""), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("nothing is asked of a body that is none", func(t *testing.T) {
		success := d.login(b)
		other := htDifyctl{t: t, s: s, token: success["token"].(string)}
		for _, r := range [][2]string{{"DELETE", "account/sessions"}, {"DELETE", "account/sessions/self"}} {
			if a := other.call(r[0], r[1], ""); a.Status != http.StatusOK {
				t.Fatalf("%v: %d %s", r, a.Status, a.Body)
			}
		}
	})
}

func TestDifyctlPolling(t *testing.T) {
	stores := htNewStores()
	s := apitest.Start(t, unlimited(), apitest.Wrap(stores.wrap))
	b := s.SignedIn(t)
	d := htDifyctl{t: t, s: s}
	poll := func(c apitest.Codes) apitest.Answer {
		return d.call(http.MethodPost, "oauth/device/token", fmt.Sprintf(`{"client_id":"difyctl","device_code":%q}`, c.Device))
	}
	verdict := func(t *testing.T, a apitest.Answer, word string) {
		t.Helper()
		if a.Status != http.StatusBadRequest || a.Body != `{"error":"`+word+`"}` {
			t.Fatalf("%d %s instead of %s", a.Status, a.Body, word)
		}
		want := map[string]string{"authorization_pending": "poll", "slow_down": "slower"}[word]
		if want == "" {
			want = "out"
		}
		if got := dcPoll(a); got.next != want || want == "out" && got.exit != 4 {
			t.Fatalf("%s: %+v", word, got)
		}
	}
	t.Run("an unknown code is no 404 and goes on being expired", func(t *testing.T) {
		for range 3 {
			verdict(t, poll(unknownCode), "expired_token")
		}
		c := s.Code(t, "x")
		s.Clock.Advance(15 * time.Minute)
		for range 3 {
			verdict(t, poll(c), "expired_token")
		}
	})
	t.Run("slow_down, then its doubled interval is kept", func(t *testing.T) {
		c := s.Code(t, "x")
		verdict(t, poll(c), "authorization_pending")
		interval := 5 * time.Second
		for range 6 {
			s.Clock.Advance(time.Second)
			verdict(t, poll(c), "slow_down")
			interval = min(2*interval, time.Minute)
			s.Clock.Advance(interval)
			verdict(t, poll(c), "authorization_pending")
		}
	})
	t.Run("a refusal", func(t *testing.T) {
		c := s.Code(t, "x")
		wantAnswer(t, b.Decide("deny", c.User), http.StatusOK, "")
		verdict(t, poll(c), "access_denied")
	})
	t.Run("a poll that ends in 5xx is repeated after 1, 2, 4 and 8 seconds and draws no slow_down", func(t *testing.T) {
		c := s.Code(t, "x")
		verdict(t, poll(c), "authorization_pending")
		s.Clock.Advance(5 * time.Second)
		allow(t, b, c)
		stores.set("tokens", htFails)
		for _, pause := range []time.Duration{1, 2, 4, 8} {
			if a := poll(c); a.Status != http.StatusServiceUnavailable || a.JSON(t)["error"] != "temporarily_unavailable" || dcPoll(a).next != "again" {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			s.Clock.Advance(pause * time.Second)
		}
		stores.set("tokens", htWorks)
		if a := poll(c); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("the limit of its address answers what it goes on after", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.poll.addr=1/1h"))
		d := htDifyctl{t: t, s: s}
		for i := range 3 {
			a := d.call(http.MethodPost, "oauth/device/token", fmt.Sprintf(`{"client_id":"difyctl","device_code":%q}`, s.Code(t, "x").Device))
			verdict(t, a, map[bool]string{true: "authorization_pending", false: "slow_down"}[i == 0])
		}
	})
}
