// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// mxCaller is a column of the matrix.
type mxCaller struct {
	name string
	as   htCaller // whose column of the table it has where rows tell no more
	role int      // of htRequest.roles, counted from one
	// external: a person without an account, whom the Enterprise Edition alone knows; shut:
	// the app that they name is for members alone.
	external, shut bool
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
	{name: "external, not let in", as: htGarbage, external: true, shut: true},
}

// mxLine is a route's line of the table.
func mxLine(t testing.TB, route httpapi.Route) htRequest {
	t.Helper()
	key := route.Method + " " + route.Path
	line, ok := htTable[key]
	if !ok {
		line, ok = htEnterprise[key]
	}
	if !ok {
		t.Fatalf("%s has no line in the table (htTable or htEnterprise of http_routes_test.go)", key)
	}
	if route.Caller == "bearer" && slices.Contains(route.Subjects, token.SubjectAccount) && (route.App || strings.Contains(route.Path, ":workspace")) && line.roles == [4]int{} {
		t.Fatalf("%s names a workspace or an app, and its line does not tell roles apart", key)
	}
	return line
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
	if route.Caller == "bearer" && (who.external || who.role > 0) {
		kind := token.SubjectAccount
		if who.external {
			kind = token.SubjectExternal
		}
		switch {
		case !slices.Contains(route.Subjects, kind):
			return mxWord{status: http.StatusForbidden, code: "wrong_surface"}
		case who.external && route.App && who.shut:
			return mxWord{status: http.StatusNotFound, code: "app_not_found"}
		case who.external && r.roles != [4]int{}:
			return mxWord{status: r.roles[2]}
		case who.external:
			return mxWord{status: want[htLive]}
		}
	}
	word := mxWord{status: want[who.as]}
	if r.roles != [4]int{} && who.role > 0 {
		word.status = r.roles[who.role-1]
		switch {
		case word.status == http.StatusForbidden:
			word.code = "insufficient_workspace_role"
		case who.role == 4 && route.App:
			word.code = "app_not_found"
		case who.role == 4:
			word.code = "workspace_not_found"
		}
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
	apps      map[string]string // by mode and access
	accounts  map[int]string    // by role
	live      map[int]string    // tokens that no request has ended yet
	dead      map[string]string // tokens that nothing revives, by caller
}

func mxNew(t testing.TB, options ...apitest.Option) *mxWorld {
	t.Helper()
	s := apitest.Start(t, append([]apitest.Option{unlimited(), apitest.Wrap(func(st *app.Stores) {
		st.Runtimes = map[apps.Runtime]run.Runtime{apps.RuntimeDify: mxRuntime{}, apps.RuntimeEcho: mxRuntime{}}
	})}, options...)...)
	w := &mxWorld{htSender: htNewSender(t, s), apps: map[string]string{}, accounts: map[int]string{1: ownerID(t, s)}, live: map[int]string{},
		workspace: sqlText(t, s, `SELECT id FROM workspaces`)}
	for role, name := range map[int]string{2: "admin", 3: "normal", 4: "", 5: "normal"} {
		email := "role" + htItoa(role) + "@example.com"
		id := addAccount(t, s, email)
		if name != "" {
			w.join(t, id, name)
		}
		w.accounts[role] = id
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

// fill names the workspace, an app and a member of it, for rows that tell roles apart; any
// other parameter names nothing that there is. People without an account name an app that
// is for them, or one that is not.
func (w *mxWorld) fill(t testing.TB, who mxCaller, pattern string, r htRequest) (string, htRequest) {
	t.Helper()
	names := []string{":workspace", w.workspace}
	if strings.Contains(pattern, ":app") {
		access := apps.InternalAll
		if who.external && !who.shut {
			access = apps.Public
		}
		names = append(names, ":app", w.appOf(t, r.mode, access))
	}
	if strings.Contains(pattern, ":member") {
		member := sqlText(t, w.s, `SELECT id FROM accounts WHERE email = 'role5@example.com'`)
		w.join(t, member, "normal") // should a request have taken it away
		names = append(names, ":member", member)
	}
	if r.roles == [4]int{} && !who.external {
		return htPath(pattern), r
	}
	fill := strings.NewReplacer(names...)
	r.query = fill.Replace(r.query)
	return htPath(fill.Replace(pattern)), r
}

func (w *mxWorld) appOf(t testing.TB, mode apps.Mode, access apps.Access) string {
	t.Helper()
	key := string(mode) + " " + string(access)
	if w.apps[key] == "" {
		w.apps[key] = w.s.NewApp(t, apps.App{WorkspaceID: w.workspace, Mode: mode, Access: access, APIEnabled: true}).ID
	}
	return w.apps[key]
}

// bearer gives a live token.
func (w *mxWorld) bearer(t testing.TB, role int) string {
	t.Helper()
	if w.live[role] == "" {
		w.live[role] = rnBearer(t, w.s, w.accounts[role], sqlText(t, w.s, `SELECT email FROM accounts WHERE id = $1`, w.accounts[role]))
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
		defer delete(w.live, 1)
	}
	path, r := w.fill(t, who, pattern, r)
	return w.sendTo(t, who.as, method, path, r)
}

// mxTaken gives the methods of every path.
func mxTaken(routes []httpapi.Route) map[string][]string {
	taken := map[string][]string{}
	for _, r := range routes {
		taken[r.Path] = append(taken[r.Path], r.Method)
		if r.Method == http.MethodGet && !r.Streams {
			taken[r.Path] = append(taken[r.Path], http.MethodHead)
		}
	}
	for _, methods := range taken {
		slices.Sort(methods)
	}
	return taken
}

// mxRoutes are the routes of both editions, those that the Enterprise Edition alone has last.
func mxRoutes() []httpapi.Route { return slices.Concat(httpapi.Routes(), httpapi.EnterpriseRoutes()) }

func TestEveryRouteForEveryCaller(t *testing.T) {
	slow(t)
	community, enterprise := mxNew(t), mxNew(t, apitest.Enterprise(t))
	both := mxTaken(httpapi.Routes())
	cells := 0
	for _, route := range mxRoutes() {
		key := route.Method + " " + route.Path
		t.Run("PL-5 M-3 M-8 M-9 M-24 TOK-10 "+key, func(t *testing.T) {
			line := mxLine(t, route)
			for _, who := range mxCallers {
				want, w := mxWant(t, route, line, who), community
				if who.external || both[route.Path] == nil {
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
				if route.Method != http.MethodGet || route.Streams {
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
	taken := mxTaken(mxRoutes())
	for path, methods := range taken {
		w := community
		if both[path] == nil {
			w = enterprise
		}
		t.Run("PL-5 M-11 HTTP-15 TOK-10 other methods of "+path, func(t *testing.T) {
			for _, method := range mxMethods {
				for _, who := range mxCallers {
					if slices.Contains(methods, method) {
						continue
					}
					cells++
					w.otherMethod(t, who, method, path, methods)
				}
			}
		})
	}
	t.Logf("%d requests", cells)
	for _, table := range []map[string]htRequest{htTable, htEnterprise} {
		for key := range table {
			if method, path, _ := strings.Cut(key, " "); !slices.Contains(taken[path], method) {
				t.Errorf("%s is in the table and no route", key)
			}
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
	a := w.sendTo(t, who.as, method, htPath(path), htRequest{}, "Access-Control-Request-Method", methods[0])
	w.doubted = false // a refused method ends no session
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
