// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestNoSecretIsLeftBehind(t *testing.T) {
	slow(t)
	r := &tkRun{t: t, secrets: &apitest.Scanner{}, grants: &tkGrants{}, counted: &tkFrozen{}}
	r.s = apitest.Start(t, apitest.Fresh(), apitest.Set("LOG_LEVEL", "debug"), apitest.Wrap(func(st *app.Stores) { r.grants.wrap(st); r.counted.wrap(st) }))
	keys := r.keys()

	cookies := r.setUp()
	wantAnswer(t, r.call(http.MethodGet, "/account/sessions", "", "Cookie", cookies), http.StatusOK, "")
	cookies = r.signIns()
	first := r.device(cookies, "allow")
	rotated := r.device(cookies, "allow")
	r.device(cookies, "deny")
	r.secrets.Add("former bearer token", first.Text(t, "token"))
	bearer := rotated.Text(t, "token")
	for _, presented := range []string{bearer, first.Text(t, "token")} {
		r.call(http.MethodGet, accountPath, "", "Authorization", "Bearer "+presented)
		r.call(http.MethodGet, sessionsPath, "", "Authorization", "Bearer "+presented)
	}
	r.refusals(cookies, bearer)
	wantAnswer(t, r.form("/account/sessions/end?kind=others", "/account/sessions/end", cookies, url.Values{"kind": {"others"}}), http.StatusSeeOther, "")
	wantAnswer(t, r.call(http.MethodDelete, sessionsPath+"/self", "", "Authorization", "Bearer "+bearer), http.StatusUnauthorized, "invalid_token")
	live := r.device(cookies, "allow").Text(t, "token")
	wantAnswer(t, r.call(http.MethodDelete, sessionsPath+"/self", "", "Authorization", "Bearer "+live), http.StatusOK, "")
	left := r.device(cookies, "allow").Text(t, "token") // is there still when the stores are read
	stays := r.cookies(r.json(loginPath, tkLoginBody(apitest.OwnerEmail, tkEncoded(apitest.OwnerPassword), true)))
	r.waiting(stays)
	wantAnswer(t, r.form("/account/sessions", "/signout", cookies, url.Values{}), http.StatusSeeOther, "")
	wantAnswer(t, r.call(http.MethodPost, "/console/api/logout", "", "Cookie", cookies), http.StatusOK, "")
	awaitEvents(t, r.s, "account.sign_in_failed", 6)
	awaitEvents(t, r.s, "oauth.token_delivered", 4)
	wantAnswer(t, r.call(http.MethodGet, accountPath, "", "Authorization", "Bearer "+left), http.StatusOK, "")
	wantAnswer(t, r.call(http.MethodGet, profilePath, "", "Cookie", stays), http.StatusOK, "")

	if got := len(r.secrets.Names()); got < 30 {
		t.Fatalf("only %d kinds of secret came up: %q", got, r.secrets.Names())
	}
	seen := &apitest.Scanner{}
	seen.Add("label", tkLabel)
	// clean fails where the content holds a secret, and where it is not what was meant.
	clean := func(t *testing.T, place string, content []byte, scanner *apitest.Scanner, known bool) {
		t.Helper()
		if known && len(seen.Find(content)) == 0 {
			t.Errorf("%s does not even hold the label: it is not what was meant", place)
		}
		for _, found := range scanner.Find(content) {
			t.Errorf("%s holds a secret: %s", place, found)
		}
	}
	t.Run("DF-37 TOK-02 LOG-01 the files of the data directory", func(t *testing.T) {
		if r.s.Pair != nil {
			t.Skip("a fleet has none")
		}
		names := 0
		err := filepath.WalkDir(r.s.Dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() { // a socket keeps nothing
				return err
			}
			content, err := os.ReadFile(path)
			name := filepath.Base(path)
			scanner := r.secrets
			if keys[name] != "" {
				scanner = scanner.Without(keys[name])
			}
			clean(t, name, content, scanner, false)
			names++
			return err
		})
		if err != nil || names < 3 {
			t.Fatalf("%d files, %v", names, err)
		}
		db, err := os.ReadFile(filepath.Join(r.s.Dir, app.DatabaseFile))
		wal, _ := os.ReadFile(filepath.Join(r.s.Dir, app.DatabaseFile+"-wal"))
		if err != nil {
			t.Fatal(err)
		}
		clean(t, "database", append(db, wal...), r.secrets, true)
	})
	t.Run("DF-37 TOK-02 LOG-01 every row of Postgres", func(t *testing.T) {
		if r.s.Pair == nil {
			t.Skip("there is none")
		}
		dump := sqlDump(t, r.s)
		clean(t, "Postgres", dump, r.secrets, true)
		if digest := secret.DigestOf(left); !strings.Contains(string(dump), digest.Hex()) {
			t.Error("the dump does not hold the digest of a live token")
		}
	})
	t.Run("DF-37 TOK-02 LOG-01 every key and value of Redis", func(t *testing.T) {
		if r.s.Pair == nil {
			t.Skip("there is none")
		}
		dump := redisDump(t, r.s.Pair)
		clean(t, "Redis", dump, r.secrets, true)
		for _, kind := range []string{"dg:g:", "dg:u:", "auth:", "rl:bearer.token:", "rl:console.login.addr:", "rl:device.code.addr:"} {
			if !strings.Contains(string(dump), r.s.Pair.Prefix+kind) {
				t.Errorf("the dump holds no %s", kind)
			}
		}
	})
	t.Run("DF-37 TOK-02 INV-7 what the short-lived stores were given", func(t *testing.T) {
		r.grants.mu.Lock()
		clean(t, "store of grants", r.grants.dump, r.secrets, true)
		r.grants.mu.Unlock()
		r.counted.mu.Lock()
		clean(t, "scopes of counters", []byte(strings.Join(r.counted.scopes, "\n")), r.secrets, false)
		if len(r.counted.scopes) < 50 {
			t.Errorf("only %d scopes", len(r.counted.scopes))
		}
		r.counted.mu.Unlock()
	})
	t.Run("DF-38 TOK-13 LOG-01 the log", func(t *testing.T) {
		clean(t, "log", []byte(r.s.Log.String()), r.secrets, true)
	})
	t.Run("DF-38 TOK-13 LOG-01 the metrics and the health of the second listener", func(t *testing.T) {
		for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
			res, err := http.Get(r.s.Inner + path)
			if err != nil {
				t.Fatal(err)
			}
			content := tkReadAll(t, res)
			clean(t, path, content, r.secrets, false)
			if path == "/metrics" && (!strings.Contains(string(content), "dify_sso_http_request") || len(seen.Find(content)) != 0) {
				t.Error("the metrics are not there, or hold a label")
			}
		}
	})
	t.Run("DF-38 TOK-13 LOG-01 the audit rows", func(t *testing.T) {
		var all []byte
		for _, column := range []string{"id", "event", "actor_type", "actor_id", "subject_key", "workspace_id", "token_id", "request_id", "ip", "user_agent", "fields"} {
			for _, value := range sqlTexts(t, r.s, `SELECT coalesce(`+column+`, '') FROM audit_events`) {
				all = append(append(all, value...), '\n')
			}
		}
		clean(t, "audit", all, r.secrets, true)
	})
	t.Run("TOK-13 LOG-01 the bodies of failures, and every header but Set-Cookie", func(t *testing.T) {
		failures := map[int]int{}
		// A page carries its own form: the token, what was typed, the code in question; and
		// its own path, in the link to the other language.
		page := r.secrets.Without("CSRF token", "set-up code", "canary set-up code", "user code", "canary password typed as an e-mail", "canary path")
		for i, a := range r.answers {
			header := a.Header.Clone()
			header.Del("Set-Cookie")
			clean(t, fmt.Sprintf("headers of answer %d", i), []byte(fmt.Sprint(header)), r.secrets.Without("user code"), false)
			if a.Status < http.StatusBadRequest {
				continue
			}
			failures[a.Status]++
			scanner := r.secrets
			if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
				scanner = page
			}
			clean(t, fmt.Sprintf("answer %d (status %d)", i, a.Status), []byte(a.Body), scanner, false)
		}
		for _, status := range []int{400, 401, 403, 404, 409, 413, 415, 422, 429} {
			if failures[status] == 0 {
				t.Errorf("no answer of status %d was looked at", status)
			}
		}
	})
	t.Run("TOK-02 what is stored opens nothing", func(t *testing.T) {
		for name, value := range map[string]string{"token": left, "session": strings.TrimPrefix(strings.Split(stays, ";")[0], "console_session=")} {
			digest := secret.DigestOf(value)
			for _, text := range []string{digest.Hex(), base64.RawURLEncoding.EncodeToString(digest[:]), string(digest[:])} {
				if strings.ContainsAny(text, "\r\n\x00") {
					continue
				}
				for _, presented := range []string{text, "dfoa_" + text} {
					if status := r.s.Call(t, http.MethodGet, accountPath, "", "Authorization", "Bearer "+url.PathEscape(presented)).Status; status != http.StatusUnauthorized {
						t.Errorf("the digest of a %s as a bearer: %d", name, status)
					}
				}
				if status := r.s.Call(t, http.MethodGet, profilePath, "", "Cookie", "console_session="+url.PathEscape(text)).Status; status != http.StatusUnauthorized {
					t.Errorf("the digest of a %s as a cookie: %d", name, status)
				}
			}
		}
	})
}
