// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// compareReference keeps a generated file of docs/reference equal to what the code says:
// UPDATE=1, or make reference, writes it anew.
func compareReference(t *testing.T, name string, want []byte) {
	t.Helper()
	path := "../../../docs/reference/" + name
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("docs/reference/%s is out of date; make reference writes it anew", name)
	}
}

func TestReferenceOfTheAPI(t *testing.T) {
	doc, err := Document(&url.URL{Scheme: "http", Host: "127.0.0.1:5001"}, "", false)
	if err != nil {
		t.Fatal(err)
	}
	var readable bytes.Buffer
	if err := stdjson.Indent(&readable, doc, "", " "); err != nil {
		t.Fatal(err)
	}
	readable.WriteByte('\n')
	compareReference(t, "openapi.json", readable.Bytes())
}

const generated = "Generated from the code; a test compares the two, and `make reference` writes it anew.\n"

// credentials says in words what a class of caller presents.
var credentials = map[caller]string{
	open: "none", bearer: "bearer", cookieRead: "console session", cookieWrite: "console session and CSRF token",
	cookieLoose: "console session and CSRF token, or no session", signIn: "none; the origin, where sent, fits", setUp: "none; the origin, where sent, fits",
	page: "none", pageSigned: "console session", pageWrite: "CSRF token of the page", pageSignedWrite: "console session and CSRF token of the page", static: "none",
	client: "HTTP Basic of an introspection client", navigation: "none", grantWrite: "approval grant and its CSRF token",
}

var shapeNames = map[server.Shape]string{server.Canonical: "canonical", server.OAuth: "OAuth", server.Decision: "canonical with error", server.Page: "page"}

func cell(list []string) string {
	if len(list) == 0 {
		return "–"
	}
	return strings.Join(list, ", ")
}

func size(bytes int) string {
	if bytes == 0 {
		return "–"
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

func TestReferenceOfRoutes(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Routes of core\n\n" + generated + `
What a column means is in [middleware.md](../specs/v1.0/server/middleware.md); the bodies of requests and answers are in [openapi.json](openapi.json). GET answers HEAD
too, but for a navigation that begins or ends a company sign-in. Limits are those that are asked before the handler, by name; some handlers ask others. What no row takes
is 404, or 405 with ` + "`Allow`" + `. ` + "`permitted-external-apps`" + ` exists with ` + "`ENTERPRISE_ENABLED`" + ` alone, the rows from
` + "`sso-initiate`" + ` on with ` + "`SSO_DEVICE_ENABLED`" + ` too.

## Public listener (` + "`LISTEN`" + `)

| Method | Path | Caller | Subjects, scope | Limits | Body | Media | Failures |
| --- | --- | --- | --- | --- | --- | --- | --- |
`)
	a := &api{Deps: Deps{Enterprise: true, SSO: &sso.Service{}}}
	for _, r := range a.table() {
		credential, ok := credentials[r.caller]
		if !ok {
			t.Errorf("nobody says what the class %q presents", r.caller)
		}
		var limits, subjects []string
		for _, l := range r.asked() {
			limits = append(limits, "`"+string(l)+"`")
		}
		for _, s := range r.rule.Subjects {
			subjects = append(subjects, string(s))
		}
		if r.rule.Scope != "" {
			subjects = append(subjects, "`"+string(r.rule.Scope)+"`")
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s | %s | %s |\n", r.method, template(r.path), credential, cell(subjects), cell(limits), size(r.body),
			cell(short(r.media)), shapeNames[r.shape])
	}
	b.WriteString(`
## Second listener (` + "`INNER_LISTEN`" + `)

A key travels in ` + "`" + innerKeyHeader + "`" + `, the token of sso-bridge in ` + "`Authorization`" + `, where no key is sent. Without what opens it a route does not exist.

| Method | Path | Key | Body | Media |
| --- | --- | --- | --- | --- |
`)
	b.WriteString(innerRoutes(t))
	compareReference(t, "routes.md", b.Bytes())
}

func short(media []string) (out []string) {
	for _, m := range media {
		out = append(out, strings.TrimPrefix(strings.TrimPrefix(m, "application/"), "x-www-"))
	}
	return out
}

// innerRoutes asks the router of the second listener, once with each key, for the key is
// what makes a route exist.
func innerRoutes(t *testing.T) string {
	t.Helper()
	key := secret.New(strings.Repeat("k", 32))
	settings := []struct {
		name string
		of   Inner
	}{{"", Inner{}}, {"`OPERATOR_API_KEY`", Inner{OperatorKey: key}}, {"the token of sso-bridge (`ENTERPRISE_ENABLED`)", Inner{Bridge: &envelope.Inner{}}}, {"`FORWARD_AUTH_KEY`", Inner{ForwardAuthKey: key}},
		{"none, but `PPROF_ENABLED`", Inner{Profiles: true}}}
	needs, methods, rows := map[string][]string{}, map[string][]string{}, map[string]innerRow{}
	var paths []string
	for _, s := range settings {
		app := newFrame(t, io.Discard)
		MountInner(app, s.of)
		for _, r := range app.GetRoutes(true) {
			if have, seen := needs[r.Path]; seen && len(have) == 0 {
				continue // it exists without this key too
			} else if s.name != "" && !slices.Contains(have, s.name) {
				needs[r.Path] = append(have, s.name)
			} else if !seen {
				needs[r.Path] = nil
			}
			if !slices.Contains(paths, r.Path) {
				paths = append(paths, r.Path)
			}
			if !slices.Contains(methods[r.Path], r.Method) {
				methods[r.Path] = append(methods[r.Path], r.Method)
			}
		}
		for _, r := range s.of.keyed() {
			if s.of.exists(r) {
				rows[r.path] = r
			}
		}
	}
	if len(paths) < 6 {
		t.Fatalf("only %v", paths)
	}
	var b strings.Builder
	for _, path := range paths {
		list := methods[path]
		slices.Sort(list)
		method := strings.Join(slices.DeleteFunc(list, func(m string) bool { return m == http.MethodHead }), ", ")
		if strings.Count(method, ",") > 5 {
			method = "any"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", method, template(path), cell(needs[path]), size(rows[path].body), cell(short(rows[path].media)))
	}
	return b.String()
}

func filled(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func TestReferenceOfErrors(t *testing.T) {
	type entry struct {
		status  int
		code    string
		verdict bool
	}
	texts := map[entry][]string{}
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		f := failures[name]
		if neverAnswered[name] {
			continue
		}
		e := entry{server.Status(f.Kind()), f.Code(), f.IsVerdict()}
		if !f.IsVerdict() && !slices.Contains(texts[e], f.Text()) {
			texts[e] = append(texts[e], f.Text())
		}
		if f.IsVerdict() {
			texts[e] = nil
		}
	}
	for name := range neverAnswered {
		if failures[name] == nil {
			t.Errorf("%s is no failure any more", name)
		}
	}
	where := answeredWhere()
	order := func(x, y entry) int {
		if x.status != y.status {
			return x.status - y.status
		}
		return strings.Compare(x.code, y.code)
	}
	line := func(b *bytes.Buffer, e entry, message string) {
		when := whens[e.code]
		if when == "" {
			t.Errorf("%s: nobody says when it is answered (whens in reference_errors_test.go)", e.code)
		}
		fmt.Fprintf(b, "| %d | `%s` | %s | %s%s |\n", e.status, e.code, when, message, cell(filled(where[fmt.Sprint(e.status, e.code)])))
	}
	var b bytes.Buffer
	b.WriteString("# Error codes of core\n\n" + generated + `
` + "`code`" + ` is stable, ` + "`message`" + ` is for people and may change. The body of every failure is ` + "`{\"code\",\"message\",\"status\",\"hint\"?,\"details\"?}`" + `; on
` + "`oauth/device/code`, `oauth/device/token`, `oauth/introspect` and `oauth/revoke`" + ` it has an ` + "`error`" + ` in the words of OAuth too, and where a decision about a
device is made one that equals ` + "`code`" + `. ` + "429 and 503 carry `Retry-After` where a repeat makes sense." + `

| Status | Code | When | Message | Answered by |
| --- | --- | --- | --- | --- |
`)
	for _, e := range slices.SortedFunc(maps.Keys(texts), order) {
		if !e.verdict {
			line(&b, e, strings.Join(texts[e], "<br>")+" | ")
		}
	}
	b.WriteString(`
## Verdicts of OAuth

The body is ` + "`{\"error\": \"…\"}`" + ` and nothing else (RFC 6749 section 5.2, RFC 8628 section 3.5).

| Status | ` + "`error`" + ` | When | Answered by |
| --- | --- | --- | --- |
`)
	for _, e := range slices.SortedFunc(maps.Keys(texts), order) {
		if e.verdict {
			line(&b, e, "")
		}
	}
	compareReference(t, "errors.md", b.Bytes())
}

// answeredWhere gives the described routes by status and code.
func answeredWhere() map[string]string {
	lists := map[string][]string{}
	total := 0
	for _, r := range (&api{}).table() {
		if !InDocument(r.path) {
			continue
		}
		total++
		name := "`" + r.method + " " + strings.TrimPrefix(template(r.path), base+"/") + "`"
		seen := map[string]bool{}
		for _, f := range append(classFailures(r), r.about.fails...) {
			if k := fmt.Sprint(server.Status(f.Kind()), f.Code()); !seen[k] {
				seen[k] = true
				lists[k] = append(lists[k], name)
			}
		}
	}
	out := map[string]string{}
	for k, list := range lists {
		switch {
		case len(list) == total:
			out[k] = "every route"
		case len(list) > 6:
			out[k] = fmt.Sprintf("%d routes", len(list))
		default:
			out[k] = strings.Join(list, "<br>")
		}
	}
	return out
}

// neverAnswered are failures between packages: a caller of theirs turns them into
// something else, or a command alone shows them.
var neverAnswered = map[string]bool{
	"access.ErrStatus": true, "access.ErrLastAdministrator": true, "account.ErrNotFound": true, "console.ErrUnknown": true, "token.ErrUnknown": true,
	"devicegrant.ErrUserCodeTaken": true, "token.ErrHashTaken": true, "operator.ErrInvalid": true, "operator.ErrNoAccount": true, "backup.ErrNotEmbedded": true, "operator.ErrNoApp": true, "operator.ErrManyApps": true, "operator.ErrAppExists": true,
	// What the bridge answers core; browsers are told by a page.
	"sso.ErrNotConfigured": true, "sso.ErrConnectionUnknown": true, "sso.ErrUnroutable": true, "sso.ErrChoiceRequired": true, "sso.ErrAttemptNotFound": true, "sso.ErrSilent": true,
}
