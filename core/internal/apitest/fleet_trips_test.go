// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// flTrips is what one request may cost: trips to the short-lived store by their
// commands, and statements of SQL by their verbs and tables, in order.
type flTrips struct{ store, sql []string }

// The trips to Redis: entering, which counts the request and asks for its bearer; what
// SQL said, remembered; another limit; a tombstone.
const (
	flEnter    = "evalsha"
	flRemember = "set"
	flLimit    = "evalsha"
	flBury     = "set"
)

// flBearers is what each bearer route costs when its bearer is remembered. A route that
// asks more often than it has to is found here.
var flBearers = map[string]flTrips{
	"GET " + faVerify:                  {store: []string{flEnter}},
	"GET " + faEnvoy + "/x":            {store: []string{flEnter}},
	"GET " + accountPath:               {store: []string{flEnter, flLimit}, sql: []string{"SELECT memberships"}}, // account.read counts by subject
	"GET " + sessionsPath:              {store: []string{flEnter}, sql: []string{"SELECT oauth_access_tokens", "SELECT oauth_access_tokens"}},
	"DELETE " + sessionsPath:           {store: []string{flEnter, flBury}, sql: []string{"BEGIN", "INSERT subject_epochs", "INSERT subject_epochs", "UPDATE oauth_access_tokens", "SELECT oauth_access_tokens", "INSERT audit_events", "COMMIT"}},
	"DELETE " + sessionsPath + "/self": {store: []string{flEnter, flBury}, sql: flEnd},
	"DELETE " + sessionsPath + "/:id":  {store: []string{flEnter, flBury}, sql: flEnd},
	// An app is asked for once, with its workspace and what the caller is to both; a list counts
	// and reads.
	"GET " + apPath:                    {store: []string{flEnter}, sql: []string{"SELECT memberships", "SELECT apps", "SELECT apps"}},
	"GET " + apPath + "/:app/describe": {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	// A task and a workflow run are looked up among the caller's own.
	"POST " + apPath + "/:app/tasks/:task/stop":                   {store: []string{flEnter}, sql: []string{"SELECT apps", "SELECT app_runs"}},
	"GET " + apPath + "/:app/tasks/:run/events":                   {store: []string{flEnter}, sql: []string{"SELECT apps", "SELECT app_runs"}},
	"POST " + apPath + "/:app/files/upload":                       {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	"GET " + apPath + "/:app/form/human_input/:token":             {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	"POST " + apPath + "/:app/form/human_input/:token":            {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	"DELETE " + apPath + "/:app/conversations/:conversation":      {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	"GET " + apPath + "/:app/export":                              {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	"GET " + apPath + "/:app/check-dependencies":                  {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	"POST " + wsPath + "/:workspace/apps/imports":                 {store: []string{flEnter}, sql: []string{"SELECT memberships"}},
	"POST " + wsPath + "/:workspace/apps/imports/:import/confirm": {store: []string{flEnter}, sql: []string{"SELECT memberships"}},
	// What is written once a task is named belongs to the run.
	"POST " + apPath + "/:app/run":                 {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	"POST " + apPath + "/:app/chat-messages":       {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	"POST " + apPath + "/:app/completion-messages": {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	"POST " + apPath + "/:app/workflows/run":       {store: []string{flEnter}, sql: []string{"SELECT apps"}},
	// A workspace is asked for once, and again by what acts in it, behind its lock.
	"GET " + wsPath:                                      {store: []string{flEnter}, sql: []string{"SELECT memberships"}},
	"GET " + wsPath + "/:workspace":                      {store: []string{flEnter}, sql: []string{"SELECT memberships"}},
	"POST " + wsPath + "/:workspace/switch":              {store: []string{flEnter}, sql: []string{"SELECT memberships", "BEGIN", "UPDATE accounts", "SELECT memberships", "COMMIT"}},
	"GET " + wsPath + "/:workspace/members":              {store: []string{flEnter}, sql: []string{"SELECT memberships", "SELECT memberships", "SELECT memberships"}},
	"POST " + wsPath + "/:workspace/members":             {store: []string{flEnter, flLimit}, sql: slices.Concat(flManage, []string{"INSERT accounts", "SELECT memberships", "SELECT oauth_access_tokens", "INSERT memberships", "INSERT invitations"}, flManaged)},
	"DELETE " + wsPath + "/:workspace/members/:member":   {store: []string{flEnter}, sql: slices.Concat(flManage, []string{"SELECT memberships", "UPDATE accounts", "DELETE memberships", "DELETE invitations", "DELETE app_access", "DELETE accounts"}, flManaged)},
	"PUT " + wsPath + "/:workspace/members/:member/role": {store: []string{flEnter}, sql: slices.Concat(flManage, flRole, flManaged)},
	"PATCH " + wsPath + "/:workspace/members/:member":    {store: []string{flEnter}, sql: slices.Concat(flManage, flRole, flManaged)},
}

// Whatever changes members takes the workspace and asks for the role of who does it.
var (
	flManage  = []string{"SELECT memberships", "BEGIN", "UPDATE workspaces", "SELECT memberships"}
	flRole    = []string{"SELECT memberships", "UPDATE memberships", "UPDATE invitations"}
	flManaged = []string{"INSERT audit_events", "COMMIT"}
)

// flBodies are the bodies that some routes need.
var flBodies = map[string]string{
	"POST " + wsPath + "/:workspace/members":             `{"email":"new@example.com","role":"normal"}`,
	"PUT " + wsPath + "/:workspace/members/:member/role": `{"role":"admin"}`,
	"PATCH " + wsPath + "/:workspace/members/:member":    `{"role":"admin"}`,
}

var flEnd = []string{"SELECT oauth_access_tokens", "BEGIN", "UPDATE oauth_access_tokens", "INSERT audit_events", "COMMIT"}

// flCounted is a server of which every trip is seen.
type flCounted struct {
	*apitest.Server
	*dvFaults
	wire *flWire // nil on the embedded stores
}

func flCount(t *testing.T, options ...apitest.Option) *flCounted {
	t.Helper()
	s := &flCounted{dvFaults: &dvFaults{}}
	options = append(options, faProxied, apitest.Wrap(func(st *app.Stores) {
		s.wrap(st)
		st.Runtimes = map[apps.Runtime]run.Runtime{apps.RuntimeDify: mxRuntime{}, apps.RuntimeEcho: mxRuntime{}}
	}))
	if apitest.OnFleet() {
		address, prefix := testserver.Redis(t)
		r := apitest.RedisAt(t, address, prefix)
		s.wire = flWired(t, address)
		r.URL = s.wire.URL
		options = append(options, apitest.On(apitest.NewPairOn(t, r)))
	}
	s.Server = apitest.Start(t, options...)
	return s
}

// cost gives what one request costs.
func (s *flCounted) cost(do func()) (c flTrips) {
	var sql []string
	once := func() { sql = s.steps(do) }
	if s.wire == nil {
		once()
	} else {
		c.store = s.wire.during(once)
	}
	for _, step := range sql {
		if statement, ok := strings.CutPrefix(step, "sql "); ok && statement != "COMMIT done" {
			c.sql = append(c.sql, statement)
		}
	}
	return c
}

// costs fails unless a request costs that.
func (s *flCounted) costs(t *testing.T, want flTrips, do func()) {
	t.Helper()
	if s.wire == nil {
		want.store = nil
	}
	if got := s.cost(do); !slices.Equal(got.store, want.store) || !slices.Equal(got.sql, want.sql) {
		t.Errorf("it asks the short-lived store %q and SQL %q\ninstead of %q and %q", got.store, got.sql, want.store, want.sql)
	}
}

func TestStoreTripsOfABearer(t *testing.T) {
	s := flCount(t, unlimited("bearer.token=1000", "account.read=1000", "invite.account=1000"))
	b := s.SignedIn(t)
	w := wsWorld{Server: s.Server, id: sqlText(t, s.Server, `SELECT id FROM workspaces`)}
	ask := func(t *testing.T, method, path, bearer string, status int) apitest.Answer {
		t.Helper()
		var a apitest.Answer
		if strings.HasPrefix(path, "/inner") {
			a = faAsk(t, s.Inner, method, path, bearer)
		} else {
			a = s.Bearer(t, bearer, method, path)
		}
		wantAnswer(t, a, status, "")
		return a
	}

	t.Run("TK-25 each bearer route, the bearer remembered", func(t *testing.T) {
		open := maps.Clone(flBearers)
		for _, r := range httpapi.Routes() {
			if name := r.Method + " " + r.Path; r.Caller == "bearer" {
				if _, ok := open[name]; !ok {
					t.Errorf("%s: nobody has said what it may cost", name)
				}
			}
		}
		for name, want := range open {
			method, path, _ := strings.Cut(name, " ")
			t.Run(name, func(t *testing.T) {
				bearer, id := tkLogin(t, s.Server, b, "laptop")
				_, _ = tkLogin(t, s.Server, b, "another")
				ask(t, http.MethodGet, faVerify, bearer, http.StatusOK)
				path, body, status := strings.ReplaceAll(path, ":id", id), flBodies[name], http.StatusOK
				if method == http.MethodPost && body != "" {
					status = http.StatusCreated
				}
				line, media := htTable[name], "application/json"
				if strings.Contains(path, "/apps") { // asked as the matrix asks it
					desk := s.NewApp(t, apps.App{WorkspaceID: w.id, Mode: line.mode, APIEnabled: true})
					path = strings.Replace(path, ":app", desk.ID, 1) + "?" + strings.ReplaceAll(line.query, ":workspace", w.id)
					body, status = line.json, line.roles[0]
					if line.parts != "" {
						body, media = tsForm("x.txt", "text/plain", line.parts), tsMultipart
					}
				}
				if strings.Contains(path, ":workspace") {
					member := addAccount(t, s.Server, canon.NewID()+"@example.com")
					w.join(t, w.id, member, "normal")
					path = strings.NewReplacer(":workspace", w.id, ":member", member).Replace(path)
				}
				path = htPath(path)
				s.costs(t, want, func() {
					if body == "" {
						ask(t, method, path, bearer, status)
						return
					}
					wantAnswer(t, s.Call(t, method, path, body, "Authorization", "Bearer "+bearer, "Content-Type", media), status, "")
				})
			})
		}
	})
	t.Run("TK-25 an app, asked for with a bearer that nobody remembers: one statement for each of them", func(t *testing.T) {
		fresh, _ := tkLogin(t, s.Server, b, "fresh")
		desk := s.NewApp(t, apps.App{WorkspaceID: w.id, APIEnabled: true})
		path := apDescribe(desk.ID, "fields=info")
		s.costs(t, flTrips{store: []string{flEnter, flRemember}, sql: []string{"SELECT oauth_access_tokens", "SELECT apps"}}, func() { ask(t, http.MethodGet, path, fresh, http.StatusOK) })
		s.costs(t, flTrips{store: []string{flEnter}, sql: []string{"SELECT apps"}}, func() { ask(t, http.MethodGet, path, fresh, http.StatusOK) })
		s.costs(t, flTrips{store: []string{flEnter}}, func() { ask(t, http.MethodGet, apDescribe("x", ""), fresh, http.StatusNotFound) })
		s.costs(t, flTrips{store: []string{flEnter}, sql: []string{"SELECT apps"}}, func() { ask(t, http.MethodGet, apDescribe(desk.ID, ""), fresh, http.StatusOK) })
	})
	live, _ := tkLogin(t, s.Server, b, "live")
	verify := func(t *testing.T, bearer string, status int) func() {
		return func() { ask(t, http.MethodGet, faVerify, bearer, status) }
	}
	lookUp := []string{"SELECT oauth_access_tokens"}
	t.Run("TK-25 a bearer that nobody remembers: asked, looked up, remembered", func(t *testing.T) {
		s.costs(t, flTrips{store: []string{flEnter, flRemember}, sql: lookUp}, verify(t, live, http.StatusOK))
		s.costs(t, flTrips{store: []string{flEnter}}, verify(t, live, http.StatusOK))
		s.Clock.Advance(token.LiveFor)
		s.costs(t, flTrips{store: []string{flEnter, flRemember}, sql: lookUp}, verify(t, live, http.StatusOK))
	})
	t.Run("TK-25 one that SQL does not know: the same", func(t *testing.T) {
		s.costs(t, flTrips{store: []string{flEnter, flRemember}, sql: lookUp}, verify(t, unknownToken, http.StatusUnauthorized))
		s.costs(t, flTrips{store: []string{flEnter}}, verify(t, unknownToken, http.StatusUnauthorized))
	})
	t.Run("TK-25 one that was ended: SQL is not asked", func(t *testing.T) {
		ended, _ := tkLogin(t, s.Server, b, "ended")
		ask(t, http.MethodDelete, sessionsPath+"/self", ended, http.StatusOK)
		s.costs(t, flTrips{store: []string{flEnter}}, verify(t, ended, http.StatusUnauthorized))
	})
	t.Run("TK-25 one that is none: nobody is asked", func(t *testing.T) {
		s.costs(t, flTrips{}, verify(t, "dfoa_x", http.StatusUnauthorized))
	})
}

func TestStoreTripsUnderALimit(t *testing.T) {
	s := flCount(t, unlimited("bearer.token=3"))
	live, _ := tkLogin(t, s.Server, s.SignedIn(t), "laptop")
	verify := func(status int) apitest.Answer {
		a := faAsk(t, s.Inner, http.MethodGet, faVerify, live)
		wantAnswer(t, a, status, "")
		return a
	}
	t.Run("TK-25 LIM-9 a hit counts, and costs no more for it", func(t *testing.T) {
		verify(http.StatusOK)
		for left := 1; left >= 0; left-- {
			s.costs(t, flTrips{store: []string{flEnter}}, func() {
				if got := verify(http.StatusOK).Header.Get("RateLimit-Remaining"); got != strconv.Itoa(left) {
					t.Errorf("%s left instead of %d", got, left)
				}
			})
		}
	})
	t.Run("TK-25 a refusal costs no more either", func(t *testing.T) {
		s.costs(t, flTrips{store: []string{flEnter}}, func() { verify(http.StatusTooManyRequests) })
	})
	t.Run("TK-25 a limit that is off: the bearer alone is asked for", func(t *testing.T) {
		s := flCount(t, unlimited())
		live, _ := tkLogin(t, s.Server, s.SignedIn(t), "laptop")
		ask := func() { wantAnswer(t, faAsk(t, s.Inner, http.MethodGet, faVerify, live), http.StatusOK, "") }
		ask()
		s.costs(t, flTrips{store: []string{"get"}}, ask)
	})
}
