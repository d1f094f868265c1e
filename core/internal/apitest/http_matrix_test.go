// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// mxCaller is a column of the matrix.
type mxCaller struct {
	name string
	as   htCaller // whose column of the table it has where rows tell no more
	role int      // of htRequest.roles, counted from one
	// external: a person without an account, whom the Enterprise Edition alone knows.
	external bool
}

var mxCallers = []mxCaller{
	{name: "nobody", as: htNobody},
	{name: "cookie, no CSRF token", as: htBare},
	{name: "cookie", as: htCookie},
	{name: "owner", as: htLive, role: 1},
	{name: "admin", as: htLive, role: 2},
	{name: "normal member", as: htLive, role: 3},
	{name: "no member", as: htLive, role: 4},
	{name: "banned", as: htRevoked},
	{name: "revoked", as: htRevoked},
	{name: "expired", as: htRevoked},
	{name: "app-", as: htAppKey},
	{name: "dfp_", as: htGarbage},
	{name: "dfoe_", as: htGarbage},
	{name: "garbage", as: htGarbage},
	{name: "external", as: htGarbage, external: true},
}

var mxMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// mxWord is what one caller draws: a status and, where a guard gives it, the code.
type mxWord struct {
	status int
	code   string
}

// mxClass gives what a class of route answers each caller when it answers served to the
// caller that it is there for. A page, and a route that takes a cookie or none, judges for
// itself: its line of the table says what comes of that.
func mxClass(class string, served int) (want [htCallers]int, fixed bool) {
	switch class {
	case "bearer":
		return htBearer(served), true
	case "cookie":
		return htCookies(served), true
	case "cookie write":
		return htWrites(served), true
	case "form":
		return htForms(served), true
	case "signed-in form":
		return htSignedForm(served), true
	case "signed-in page":
		return htSignedPage(served), true
	case "page", "cookie or none":
		return htAll(served), false
	}
	return htAll(served), true
}

// mxWant computes a cell. A line of the table may say "served" alone; one that says what
// each caller draws has to say what its class does.
func mxWant(t testing.TB, route httpapi.Route, r htRequest, who mxCaller) mxWord {
	t.Helper()
	served := r.served
	if served == 0 {
		served = r.want[htServed(route.Caller)]
	}
	want, fixed := mxClass(route.Caller, served)
	if r.want != [htCallers]int{} {
		if fixed && r.want != want {
			t.Fatalf("the line says %v, and routes of class %q answer %v", r.want, route.Caller, want)
		}
		want = r.want
	}
	if who.external && route.Caller == "bearer" {
		if !slices.Contains(route.Subjects, token.SubjectExternal) {
			return mxWord{status: http.StatusForbidden, code: "wrong_surface"}
		}
		return mxWord{status: want[htLive]}
	}
	word := mxWord{status: want[who.as]}
	if r.roles != [4]int{} && who.role > 0 {
		word.status = r.roles[who.role-1]
		word.code = map[int]string{http.StatusForbidden: "insufficient_workspace_role", http.StatusNotFound: "workspace_not_found"}[word.status]
		return word
	}
	word.code = mxCode(route.Caller, who, word.status)
	return word
}

// mxCode gives the code with which a guard of a class refuses.
func mxCode(class string, who mxCaller, status int) string {
	switch {
	case class == "client" && status == http.StatusUnauthorized:
		return "invalid_client"
	case class == "bearer" && status == http.StatusUnauthorized && who.as >= htLive:
		return "invalid_token"
	case status == http.StatusUnauthorized:
		return "unauthorized"
	case class == "cookie write" && who.as == htBare, class == "cookie or none" && who.as == htBare:
		return "origin_not_allowed"
	}
	return ""
}

// mxWorld is a server with one of each caller.
type mxWorld struct {
	*htSender
	workspace string
	browsers  map[int]*apitest.Browser // by role, while they are signed in
	live      map[int]string           // tokens that no request has ended yet
	dead      map[string]string        // tokens that nothing revives, by caller
}

func mxNew(t testing.TB, options ...apitest.Option) *mxWorld {
	t.Helper()
	s := apitest.Start(t, append(options, unlimited())...)
	w := &mxWorld{htSender: htNewSender(t, s), browsers: map[int]*apitest.Browser{}, live: map[int]string{},
		workspace: sqlText(t, s, `SELECT id FROM workspaces`)}
	for role, name := range map[int]string{2: "admin", 3: "normal", 4: "", 5: "normal"} {
		email := "role" + htItoa(role) + "@example.com"
		id := addAccount(t, s, email)
		if name != "" {
			w.join(t, id, name)
		}
		if role < 5 {
			w.browsers[role] = signedInAs(t, s, email)
		}
	}
	addAccount(t, s, "banned@example.com")
	banned, _ := s.SignInDevice(t, signedInAs(t, s, "banned@example.com"), "box")
	sqlExec(t, s, `UPDATE accounts SET status = 'banned' WHERE email = 'banned@example.com'`)
	revoked, _ := s.SignInDevice(t, w.approver, "revoked")
	wantAnswer(t, s.Bearer(t, revoked, http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
	expired, id := s.SignInDevice(t, w.approver, "expired")
	sqlExec(t, s, `UPDATE oauth_access_tokens SET expires_at = $1 WHERE id = $2`, s.Clock.Now().Add(-time.Second), id)
	some := strings.Repeat("a", 43)
	w.dead = map[string]string{"banned": banned, "revoked": revoked, "expired": expired, "app-": "app-" + some[:24], "dfp_": "dfp_" + some, "dfoe_": "dfoe_" + some, "garbage": "garbage"}
	return w
}

func (w *mxWorld) join(t testing.TB, account, role string) {
	t.Helper()
	at := w.s.Clock.Now()
	sqlExec(t, w.s, `INSERT INTO memberships (id, workspace_id, account_id, role, current, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT (workspace_id, account_id) DO UPDATE SET role = excluded.role`, canon.NewID(), w.workspace, account, role, false, at)
}

// path names the workspace and a member of it, for rows that tell roles apart; any other
// parameter names nothing that there is.
func (w *mxWorld) path(t testing.TB, pattern string, r htRequest) string {
	t.Helper()
	if r.roles == [4]int{} {
		return htPath(pattern)
	}
	member := sqlText(t, w.s, `SELECT id FROM accounts WHERE email = 'role5@example.com'`)
	w.join(t, member, "normal") // should a request have taken it away
	return htPath(strings.NewReplacer(":workspace", w.workspace, ":member", member).Replace(pattern))
}

// bearer gives a live token.
func (w *mxWorld) bearer(t testing.TB, role int) string {
	t.Helper()
	if w.browsers[role] == nil {
		w.browsers[role] = w.s.SignedIn(t)
	}
	if w.live[role] == "" {
		w.live[role], _ = w.s.SignInDevice(t, w.browsers[role], "box")
	}
	return w.live[role]
}

// ask sends a route's request as a caller. What may end a credential is its last use.
func (w *mxWorld) ask(t testing.TB, who mxCaller, method, pattern string, r htRequest) apitest.Answer {
	t.Helper()
	w.token = w.dead[who.name]
	writes := method != http.MethodGet && method != http.MethodHead
	if who.role > 0 {
		if w.token = w.bearer(t, who.role); writes {
			delete(w.live, who.role)
		}
	}
	if who.external {
		w.token = exGuest(t, w.s, "ann", "ann@corp.example", "corp")
	}
	if who.as == htCookie && writes { // which may have ended all that the owner had
		defer func() { delete(w.live, 1); delete(w.browsers, 1) }()
	}
	return w.sendTo(t, who.as, method, w.path(t, pattern, r), r)
}

// mxTaken gives the methods of every path.
func mxTaken() map[string][]string {
	taken := map[string][]string{}
	for _, r := range httpapi.Routes() {
		taken[r.Path] = append(taken[r.Path], r.Method)
		if r.Method == http.MethodGet {
			taken[r.Path] = append(taken[r.Path], http.MethodHead)
		}
	}
	for _, methods := range taken {
		slices.Sort(methods)
	}
	return taken
}

func TestEveryRouteForEveryCaller(t *testing.T) {
	slow(t)
	community, enterprise := mxNew(t), mxNew(t, apitest.Enterprise(t))
	cells := 0
	for _, route := range httpapi.Routes() {
		key := route.Method + " " + route.Path
		t.Run("PL-5 M-3 M-8 M-9 M-24 TOK-10 "+key, func(t *testing.T) {
			line, ok := htTable[key]
			if !ok {
				t.Fatal("the route has no line in the table")
			}
			for _, who := range mxCallers {
				want, w := mxWant(t, route, line, who), community
				if who.external {
					w = enterprise
				}
				a := w.ask(t, who, route.Method, route.Path, line)
				if cells++; a.Status != want.status || want.code != "" && reasonOf(a) != want.code {
					t.Errorf("%s: %d %s instead of %d %s: %.300s", who.name, a.Status, reasonOf(a), want.status, want.code, a.Body)
					continue
				}
				wantFrameless(t, a)
				htWantMedia(t, route, a)
				htWantChallenge(t, route, a)
				if route.Method != http.MethodGet {
					continue
				}
				cells++
				if head := w.ask(t, who, http.MethodHead, route.Path, line); head.Status != want.status || head.Body != "" ||
					head.Header.Get("Content-Type") != a.Header.Get("Content-Type") || head.Header.Get("WWW-Authenticate") != a.Header.Get("WWW-Authenticate") {
					t.Errorf("%s: HEAD %d %v, GET %d %v", who.name, head.Status, head.Header, a.Status, a.Header)
				}
			}
		})
	}
	for path, methods := range mxTaken() {
		t.Run("PL-5 M-11 HTTP-15 other methods of "+path, func(t *testing.T) {
			for _, method := range mxMethods {
				for _, who := range mxCallers {
					if slices.Contains(methods, method) {
						continue
					}
					cells++
					community.otherMethod(t, who, method, path, methods)
				}
			}
		})
	}
	t.Logf("%d requests", cells)
	for key := range htTable {
		if method, path, _ := strings.Cut(key, " "); !slices.Contains(mxTaken()[path], method) {
			t.Errorf("%s is in the table and no route", key)
		}
	}
}

// otherMethod wants a 405 for whoever asks. As a preflight it is one too, and shares
// nothing, for no origin is listed.
func (w *mxWorld) otherMethod(t *testing.T, who mxCaller, method, path string, methods []string) {
	t.Helper()
	if w.token = w.dead[who.name]; who.role > 0 {
		w.token = w.bearer(t, who.role)
	}
	keep := w.browser // a refused method ends no session
	a := w.sendTo(t, who.as, method, htPath(path), htRequest{}, "Access-Control-Request-Method", methods[0])
	if w.browser = keep; w.browser == nil {
		w.browser = w.last
	}
	allow := strings.Split(strings.ReplaceAll(a.Header.Get("Allow"), " ", ""), ",")
	if slices.Sort(allow); a.Status != http.StatusMethodNotAllowed || !slices.Equal(allow, methods) {
		t.Errorf("%s as %s: %d, Allow %v instead of %v", method, who.name, a.Status, allow, methods)
		return
	}
	// A browser at the address of a page reads a page.
	if method != http.MethodHead && a.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		wantAnswer(t, a, http.StatusMethodNotAllowed, "method_not_allowed")
		wantFailureShape(t, a)
	}
	wantFrameless(t, a)
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s as %s: %s without a list of origins", method, who.name, name)
		}
	}
}

const mxHeading = `# Who is answered what

Every route of the public listener with every caller, as ` + "`TestEveryRouteForEveryCaller`" + ` asks them (` + "`UPDATE=1 go test -run MatrixDocument ./core/internal/apitest`" + ` writes
this file). A cell is the status and, where a guard of the route refuses, its code. The request of a row is one that the fitting caller is served, or that fails for
a reason of its own: a code or an id that nobody knows, an installation that is set up already. From "owner" on callers bring a bearer: four live ones, then tokens of a
banned account, revoked and expired ones, the kinds that this edition does not serve, and garbage; "external" is a live token of a person without
an account, on the Enterprise Edition. Where a route takes a bearer, a cookie counts for nothing, and the reverse.

A GET row answers HEAD alike, without a body. Every method that a path has no row for draws 405 for every caller, with the path's methods in Allow; a preflight does too while
no origin is listed.

`

// The document for readers is computed from the same rules as the test, and cannot lag behind.
func TestMatrixDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(mxHeading)
	b.WriteString("| route | class |")
	for _, who := range mxCallers {
		b.WriteString(" " + who.name + " |")
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(mxCallers)) + "\n")
	for _, route := range httpapi.Routes() {
		key := route.Method + " " + route.Path
		b.WriteString("| `" + key + "` | " + route.Caller + " |")
		for _, who := range mxCallers {
			word := mxWant(t, route, htTable[key], who)
			b.WriteString(strings.TrimRight(" "+htItoa(word.status)+" "+word.code, " ") + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n| path | Allow |\n| --- | --- |\n")
	seen := map[string]bool{}
	for _, route := range httpapi.Routes() {
		if !seen[route.Path] {
			b.WriteString("| `" + route.Path + "` | " + strings.Join(mxTaken()[route.Path], ", ") + " |\n")
		}
		seen[route.Path] = true
	}
	path := filepath.Join("..", "..", "..", "docs", "reference", "matrix.md")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("docs/reference/matrix.md is out of date (%v): UPDATE=1 go test -run MatrixDocument ./core/internal/apitest", err)
	}
}
