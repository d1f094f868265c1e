// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

const caPath = "/console/api/apps"

// caWorld is a server with a member of each role, each in a browser of their own.
type caWorld struct {
	*wsWorld
	browsers map[string]*apitest.Browser
}

func caStart(t testing.TB, options ...apitest.Option) *caWorld {
	t.Helper()
	w := &caWorld{wsStart(t, options...), map[string]*apitest.Browser{}}
	for name := range w.ids {
		w.browsers[name] = signedInAs(t, w.Server, wsEmail(name))
	}
	return w
}

// asks sends a scripted request of one of the people, with the session's CSRF token.
func (w *caWorld) asks(who, method, path, body string) apitest.Answer {
	headers := []string{"Origin", w.URL}
	if method != http.MethodGet {
		headers = append(headers, "X-CSRF-Token", w.browsers[who].CSRF())
	}
	if body != "" {
		headers = append(headers, "Content-Type", "application/json")
	}
	return w.browsers[who].Call(method, path, body, headers...)
}

// posts sends a form that no page has shown to this person.
func (w *caWorld) posts(who, path string, fields url.Values) apitest.Answer {
	fields.Set("csrf_token", w.browsers[who].CSRF())
	return w.browsers[who].Call(http.MethodPost, path, fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Origin", w.URL)
}

// adds adds an app by script and gives its id.
func (w *caWorld) adds(t testing.TB, who, body string) string {
	t.Helper()
	a := w.asks(who, http.MethodPost, caPath, body)
	wantAnswer(t, a, http.StatusCreated, "")
	return a.Text(t, "id")
}

// kept describes everything that acts on apps write.
func (w *caWorld) kept(t testing.TB) string {
	t.Helper()
	var lines []string
	for _, query := range []string{
		`SELECT 'app ' || id || ' ' || name || ' ' || description || ' ' || mode || ' ' || tags || ' ' || author || ' ' || runtime || ' ' || runtime_url || ' ' || COALESCE(runtime_key_sealed, '-')
			|| ' ' || runtime_features || ' ' || access_mode || ' ' || status || CASE WHEN api_enabled THEN ' on' ELSE ' off' END FROM apps ORDER BY id`,
		`SELECT 'allowed ' || app_id || ' ' || account_id FROM app_access ORDER BY app_id, account_id`,
		`SELECT 'event ' || id || ' ' || event FROM audit_events WHERE substr(event, 1, 4) = 'app.' ORDER BY id`,
	} {
		lines = append(lines, sqlTexts(t, w.Server, query)...)
	}
	return strings.Join(lines, "\n")
}

// caDetails lists what a refusal names, as type and path.
func caDetails(t testing.TB, a apitest.Answer) (out []string) {
	t.Helper()
	list, _ := a.JSON(t)["details"].([]any)
	for _, one := range list {
		d := one.(map[string]any)
		out = append(out, fmt.Sprint(d["type"], " ", d["loc"]))
	}
	return out
}
