// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var shownCode = regexp.MustCompile(`(?s)Your code:\s+([A-Z0-9]{4}-[A-Z0-9]{4})\s+Type it at (\S+)`)

// difyauth signs in as a person at a terminal does, asks who that is, and signs out.
func difyauth(t *testing.T, in *install) {
	home := t.TempDir()
	environ := []string{"DIFYAUTH_CONFIG_DIR=" + filepath.Join(home, "config"), "DIFYAUTH_STORE=file"}
	run := start(t, environ, program(t, "difyauth"), "login", "--host", in.core.url, "--no-browser", "--label", "alice's terminal")
	var shown []string
	for deadline := time.Now().Add(20 * time.Second); shown == nil; time.Sleep(20 * time.Millisecond) {
		if shown = shownCode.FindStringSubmatch(run.said.String()); shown == nil && time.Now().After(deadline) {
			t.Fatalf("difyauth shows no code:\n%s", run.said)
		}
	}
	b := newBrowser(t)
	b.open(shown[2]).submit("/device", "user_code", shown[1]).must(http.StatusOK, "sso-initiate").
		click("sso-initiate").must(http.StatusOK, "alice&#39;s terminal").submit("approve-external").must(http.StatusOK, "Device connected")
	select {
	case <-run.ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("difyauth does not end:\n%s", run.said)
	}
	if code := run.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(run.said.String(), "alice@corp.test") {
		t.Fatalf("difyauth ended with %d:\n%s", code, run.said)
	}
	ask := func(args ...string) string { return command(t, environ, "", program(t, "difyauth"), args...) }
	var who struct {
		Email  string `json:"subject_email"`
		Type   string `json:"subject_type"`
		Issuer string `json:"subject_issuer"`
	}
	if said := ask("whoami", "-o", "json"); json.Unmarshal([]byte(said), &who) != nil || who.Email != "alice@corp.test" || who.Type != "external_sso" || who.Issuer == "" {
		t.Errorf("whoami: %s", said)
	}
	if said := ask("devices", "list"); !strings.Contains(said, "alice's terminal") {
		t.Errorf("devices: %s", said)
	}
	in.apps(t, environ)
	token := strings.TrimSpace(ask("token"))
	ask("logout")
	if status, _ := in.get("/openapi/v1/account", "Authorization", "Bearer "+token); status != http.StatusUnauthorized {
		t.Errorf("after logout its token answers %d", status)
	}
}

// apps adds an app for everybody and one for members to core, by its own command, and has
// the person who has signed in by the company find and run the one and not the other.
func (in *install) apps(t *testing.T, environ []string) {
	add := func(name, access string) string {
		var made struct {
			ID string `json:"app_id"`
		}
		said := command(t, in.coreEnviron, "", program(t, "core"), "app", "add", name, "--mode", "chat", "--runtime", "echo", "--access", access, "-o", "json")
		if json.Unmarshal([]byte(said), &made) != nil || made.ID == "" {
			t.Fatalf("app add: %s", said)
		}
		return made.ID
	}
	open, closed := add("Open to all", "public"), add("Members alone", "internal_all")
	bin := program(t, "difyauth")
	if said := command(t, environ, "", bin, "apps", "list", "-o", "json"); !strings.Contains(said, open) || strings.Contains(said, closed) {
		t.Errorf("apps list: %s", said)
	}
	if said := command(t, environ, "", bin, "apps", "describe", open); !strings.Contains(said, "Open to all") {
		t.Errorf("apps describe: %s", said)
	}
	if said := command(t, environ, "", bin, "run", "Open to all", "hello from the company"); said != "echo:hello from the company\n" {
		t.Errorf("run: %q", said)
	}
	refused := start(t, environ, bin, "run", closed, "hello")
	<-refused.ended
	if code := refused.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(refused.said.String(), "no app that you may run has that id") {
		t.Errorf("an app for members ends with %d: %s", code, refused.said)
	}
}

// difyctl speaks as the released client 0.1.0-rc.1: its headers in its order, no content
// type without a body (client-wire in docs/specs).
type difyctl struct {
	t     *testing.T
	in    *install
	token string
}

// call sends one request byte for byte and ends the test when the answer is one on which
// that client crashes or drops the body.
func (d difyctl) call(method, path, body string, into any) int {
	d.t.Helper()
	host := strings.TrimPrefix(d.in.core.url, "http://")
	head := method + " /openapi/v1/" + path + " HTTP/1.1\r\n"
	if d.token != "" {
		head += "authorization: Bearer " + d.token + "\r\n"
	}
	if body != "" {
		head += "content-type: application/json\r\n"
	}
	head += "user-agent: difyctl/0.1.0-rc.1 (linux; x64; rc)\r\nConnection: keep-alive\r\nAccept: */*\r\nHost: " + host + "\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
	if method != http.MethodGet {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	conn, err := net.Dial("tcp", host)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, head+"\r\n"+body); err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if resp.StatusCode/100 == 3 || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Content-Disposition") != "" || resp.Header.Get("Content-Encoding") != "" {
		d.t.Fatalf("%s %s: it cannot read %d %v", method, path, resp.StatusCode, resp.Header)
	}
	for _, list := range []string{`"data":null`, `"workspaces":null`, `"token_id":null`} {
		if strings.Contains(string(text), list) {
			d.t.Fatalf("%s %s crashes it: %s", method, path, text)
		}
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			d.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return resp.StatusCode
}

// replay is its login, its list of devices, its account and its logout.
func (d difyctl) replay() {
	t := d.t
	var code struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		Interval int    `json:"interval"`
	}
	if status := d.call(http.MethodPost, "oauth/device/code", `{"client_id":"difyctl","device_label":"difyctl on host"}`, &code); status != http.StatusOK || code.Device == "" {
		t.Fatalf("device/code: %d %+v", status, code)
	}
	var polled struct {
		Error, Token string
		TokenID      *string `json:"token_id"`
		Account      any     `json:"account"`
		Email        string  `json:"subject_email"`
		Issuer       string  `json:"subject_issuer"`
		Workspaces   []any   `json:"workspaces"`
		Default      *string `json:"default_workspace_id"`
	}
	poll := fmt.Sprintf(`{"client_id":"difyctl","device_code":%q}`, code.Device)
	// The first poll comes at once, the next an interval after its answer.
	if d.call(http.MethodPost, "oauth/device/token", poll, &polled); polled.Error != "authorization_pending" {
		t.Fatalf("first poll: %+v", polled)
	}
	next := time.Now().Add(time.Duration(code.Interval) * time.Second)
	newBrowser(t).open(d.in.core.url+"/device").submit("/device", "user_code", code.User).click("sso-initiate").
		must(http.StatusOK, "difyctl on host").submit("approve-external").must(http.StatusOK, "Device connected")
	time.Sleep(time.Until(next)) // the released client's own pace
	polled.Error = ""
	if status := d.call(http.MethodPost, "oauth/device/token", poll, &polled); status != http.StatusOK || polled.Error != "" || !strings.HasPrefix(polled.Token, "dfoe_") ||
		polled.TokenID == nil || polled.Account != nil || polled.Email != "alice@corp.test" || polled.Issuer == "" || polled.Workspaces == nil || len(polled.Workspaces) > 0 || polled.Default != nil {
		t.Fatalf("%d %+v", status, polled)
	}
	d.token = polled.Token
	var account struct {
		Email string `json:"subject_email"`
	}
	if status := d.call(http.MethodGet, "account", "", &account); status != http.StatusOK || account.Email != "alice@corp.test" {
		t.Errorf("account: %d %+v", status, account)
	}
	var page struct {
		Page, Limit, Total *int
		HasMore            *bool `json:"has_more"`
		Data               []struct {
			ID, Prefix *string
			ClientID   *string `json:"client_id"`
			Label      *string `json:"device_label"`
		}
	}
	for _, query := range []string{"page=1&limit=20", "page=1&limit=200"} {
		status := d.call(http.MethodGet, "account/sessions?"+query, "", &page)
		if status != http.StatusOK || page.Page == nil || page.Limit == nil || page.Total == nil || page.HasMore == nil || len(page.Data) == 0 {
			t.Fatalf("sessions: %d %+v", status, page)
		}
	}
	var mine bool
	for _, row := range page.Data {
		if row.ID == nil || row.Prefix == nil || row.ClientID == nil || row.Label == nil {
			t.Fatalf("a row crashes it: %+v", row)
		}
		mine = mine || *row.ID == *polled.TokenID && *row.Label == "difyctl on host"
	}
	if !mine {
		t.Errorf("its own row is not in %+v", page.Data)
	}
	var shown struct{ Workspaces []any }
	if status := d.call(http.MethodGet, "workspaces", "", &shown); status != http.StatusOK && status != http.StatusForbidden {
		t.Errorf("workspaces: %d", status)
	}
	if status := d.call(http.MethodDelete, "account/sessions/self", "", nil); status != http.StatusOK {
		t.Errorf("logout: %d", status)
	}
	if status := d.call(http.MethodGet, "account", "", nil); status != http.StatusUnauthorized {
		t.Errorf("after logout: %d", status)
	}
}
