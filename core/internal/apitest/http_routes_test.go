// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// htCaller is who sends a request.
type htCaller int

const (
	htNobody htCaller = iota
	htBare            // a console cookie without a CSRF token
	htCookie          // a console cookie with its CSRF token and this site's origin
	htLive            // a live bearer
	htRevoked
	htGarbage
	htAppKey
	htCallers
)

// htRequest is one request that a fitting caller would be served, and what comes of it:
// served is the status that the fitting caller draws, from which the class of the route
// gives all others; want spells them out, in the order of the constants above. On a route
// that names a workspace roles is what its owner, an admin, a normal member and a stranger
// draw, and the request names the workspace of the set-up. On a route that names an app
// it is what they draw for an app of that workspace that every member may run, and mode is
// the app's; none is a chat.
type htRequest struct {
	query  string // :workspace in it is the workspace's id, where roles are told apart
	json   string
	form   url.Values
	parts  string // what a file holds that is sent
	served int
	want   [htCallers]int
	roles  [4]int
	mode   apps.Mode
}

func htAll(status int) (want [htCallers]int) {
	for i := range want {
		want[i] = status
	}
	return want
}

// Only a live bearer is served, only a console cookie is served.
func htBearer(live int) [htCallers]int    { return [...]int{401, 401, 401, live, 401, 401, 401} }
func htCookies(served int) [htCallers]int { return [...]int{401, served, served, 401, 401, 401, 401} }
func htWrites(served int) [htCallers]int  { return [...]int{401, 403, served, 401, 401, 401, 401} }
func htForms(served int) [htCallers]int   { return [...]int{403, 403, served, 403, 403, 403, 403} }
func htSignedForm(served int) [htCallers]int {
	return [...]int{303, 403, served, 303, 303, 303, 303}
}
func htSignedPage(served int) [htCallers]int {
	return [...]int{303, served, served, 303, 303, 303, 303}
}

// htTable is what every route answers every caller. A route without a line fails.
var htTable = map[string]htRequest{
	"GET /openapi/v1/_health":               {want: htAll(200)},
	"GET /openapi/v1/_version":              {want: htAll(200)},
	"GET /openapi/v1/_ready":                {want: htAll(200)},
	"GET /openapi/v1/openapi.json":          {want: htAll(200)},
	"POST /openapi/v1/oauth/device/code":    {json: htStart, want: htAll(200)},
	"POST /openapi/v1/oauth/device/token":   {json: `{"client_id":"difyctl","device_code":"dc_x"}`, want: htAll(400)},
	"GET /openapi/v1/oauth/device/lookup":   {query: "user_code=BCDF-GHJK", want: htAll(200)},
	"POST /openapi/v1/oauth/introspect":     {form: url.Values{"token": {"x"}}, want: htAll(401)},
	"POST /openapi/v1/oauth/revoke":         {form: url.Values{"token": {"x"}}, want: htAll(200)},
	"POST /openapi/v1/oauth/device/approve": {json: `{"user_code":"BCDF-GHJK"}`, want: htWrites(404)},
	"POST /openapi/v1/oauth/device/deny":    {json: `{"user_code":"BCDF-GHJK"}`, want: htWrites(404)},

	"GET /openapi/v1/oauth/device/approval-context":          {query: "user_code=BCDF-GHJK", want: htCookies(404)},
	"GET /.well-known/oauth-authorization-server":            {want: htAll(200)},
	"GET /.well-known/oauth-authorization-server/openapi/v1": {want: htAll(200)},
	"GET /.well-known/oauth-protected-resource":              {want: htAll(200)},
	"GET /.well-known/oauth-protected-resource/openapi/v1":   {want: htAll(200)},

	"GET /openapi/v1/account":                  {want: htBearer(200)},
	"GET /openapi/v1/account/sessions":         {want: htBearer(200)},
	"DELETE /openapi/v1/account/sessions":      {want: htBearer(200)},
	"DELETE /openapi/v1/account/sessions/self": {want: htBearer(200)},
	"DELETE /openapi/v1/account/sessions/:id":  {want: htBearer(404)},

	"GET /openapi/v1/workspaces":                                 {want: htBearer(200)},
	"GET /openapi/v1/workspaces/:workspace":                      {want: htBearer(404), roles: [4]int{200, 200, 200, 404}},
	"POST /openapi/v1/workspaces/:workspace/switch":              {want: htBearer(404), roles: [4]int{200, 200, 200, 404}},
	"GET /openapi/v1/workspaces/:workspace/members":              {want: htBearer(404), roles: [4]int{200, 200, 200, 404}},
	"POST /openapi/v1/workspaces/:workspace/members":             {json: `{"email":"new@example.com","role":"normal"}`, want: htBearer(404), roles: [4]int{201, 201, 403, 404}},
	"DELETE /openapi/v1/workspaces/:workspace/members/:member":   {want: htBearer(404), roles: [4]int{200, 200, 403, 404}},
	"PUT /openapi/v1/workspaces/:workspace/members/:member/role": {json: `{"role":"admin"}`, want: htBearer(404), roles: [4]int{200, 200, 403, 404}},
	"PATCH /openapi/v1/workspaces/:workspace/members/:member":    {json: `{"role":"admin"}`, want: htBearer(404), roles: [4]int{200, 200, 403, 404}},

	"GET /openapi/v1/apps":                           {query: "workspace_id=:workspace", want: htBearer(404), roles: [4]int{200, 200, 200, 404}},
	"GET /openapi/v1/apps/:app/describe":             {query: "fields=info", want: htBearer(404), roles: [4]int{200, 200, 200, 404}},
	"POST /openapi/v1/apps/:app/run":                 {json: rnHello, want: htBearer(404), roles: [4]int{200, 200, 200, 404}},
	"POST /openapi/v1/apps/:app/chat-messages":       {json: rnHello, want: htBearer(404), roles: [4]int{200, 200, 200, 404}},
	"POST /openapi/v1/apps/:app/completion-messages": {json: `{"inputs":{}}`, want: htBearer(404), roles: [4]int{200, 200, 200, 404}, mode: apps.Completion},
	"POST /openapi/v1/apps/:app/workflows/run":       {json: `{"inputs":{}}`, want: htBearer(404), roles: [4]int{200, 200, 200, 404}, mode: apps.Workflow},

	"POST /openapi/v1/apps/:app/tasks/:task/stop":                         {want: htBearer(404), roles: [4]int{200, 200, 200, 404}},
	"GET /openapi/v1/apps/:app/tasks/:run/events":                         {mode: apps.Workflow, want: htBearer(404), roles: [4]int{404, 404, 404, 404}},
	"POST /openapi/v1/apps/:app/files/upload":                             {parts: "x", want: htBearer(404), roles: [4]int{201, 201, 201, 404}},
	"GET /openapi/v1/apps/:app/form/human_input/:token":                   {want: htBearer(404), roles: [4]int{404, 404, 404, 404}},
	"POST /openapi/v1/apps/:app/form/human_input/:token":                  {json: `{"inputs":{},"action":"x"}`, want: htBearer(404), roles: [4]int{404, 404, 404, 404}},
	"DELETE /openapi/v1/apps/:app/conversations/:conversation":            {want: htBearer(404), roles: [4]int{404, 404, 404, 404}},
	"POST /openapi/v1/workspaces/:workspace/apps/imports":                 {json: `{"mode":"yaml-content","yaml_content":"x"}`, want: htBearer(404), roles: [4]int{501, 501, 403, 404}},
	"POST /openapi/v1/workspaces/:workspace/apps/imports/:import/confirm": {want: htBearer(404), roles: [4]int{404, 404, 403, 404}},
	"GET /openapi/v1/apps/:app/export":                                    {want: htBearer(404), roles: [4]int{501, 501, 501, 404}},
	"GET /openapi/v1/apps/:app/check-dependencies":                        {want: htBearer(404), roles: [4]int{501, 501, 501, 404}},

	"POST /console/api/workspaces/switch": {json: `{"tenant_id":"018f0000-0000-7000-8000-000000000001"}`, want: htWrites(404)},

	"GET /console/api/setup":             {want: htAll(200)},
	"POST /console/api/setup":            {json: `{"setup_code":"x","email":"a@b.c","name":"A","password":"long enough","workspace_name":"W"}`, want: htAll(409)},
	"POST /console/api/init":             {want: htAll(409)},
	"POST /console/api/register":         {want: htAll(409)},
	"POST /console/api/login":            {json: `{"email":"` + apitest.OwnerEmail + `","password":"Y29ycmVjdCBob3JzZSBiYXR0ZXJ5"}`, want: htAll(200)},
	"POST /console/api/logout":           {want: [...]int{200, 403, 200, 200, 200, 200, 200}},
	"GET /console/api/csrf-token":        {want: htCookies(200)},
	"GET /console/api/account/profile":   {want: htCookies(200)},
	"POST /console/api/account/password": {json: `{"password":"` + apitest.OwnerPassword + `","new_password":"` + apitest.OwnerPassword + `"}`, want: htWrites(200)},
	"GET /console/api/sessions":          {want: htCookies(200)},
	"DELETE /console/api/sessions/:id":   {want: htWrites(404)},
	"GET /console/api/workspaces":        {want: htCookies(200)},
	"GET /console/api/system-features":   {want: htAll(200)},

	"GET /console/api/apps":            {want: htCookies(200)},
	"POST /console/api/apps":           {json: `{"name":"An app","mode":"chat","runtime":"echo"}`, want: htWrites(201)},
	"GET /console/api/apps/:id":        {want: htCookies(404)},
	"PATCH /console/api/apps/:id":      {json: `{"api_enabled":false}`, want: htWrites(404)},
	"DELETE /console/api/apps/:id":     {want: htWrites(404)},
	"PUT /console/api/apps/:id/key":    {json: `{"key":"app-x"}`, want: htWrites(404)},
	"PUT /console/api/apps/:id/access": {json: `{"allowed":[]}`, want: htWrites(404)},

	"GET /":                      {want: htAll(303)},
	"GET /setup":                 {want: htAll(303)},
	"POST /setup":                {form: url.Values{}, want: htForms(400)},
	"GET /signin":                {want: [...]int{200, 303, 303, 200, 200, 200, 200}},
	"POST /signin":               {form: url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}}, want: htForms(303)},
	"POST /signout":              {form: url.Values{}, want: htSignedForm(303)},
	"GET /device":                {want: htAll(200)},
	"POST /device":               {form: url.Values{"user_code": {"BCDF-GHJK"}}, want: htForms(400)},
	"POST /device/authorize":     {form: url.Values{"user_code": {"BCDF-GHJK"}, "decision": {"allow"}}, want: htSignedForm(400)},
	"GET /account/sessions":      {want: htSignedPage(200)},
	"GET /account/sessions/end":  {query: "kind=others", want: htSignedPage(200)},
	"POST /account/sessions/end": {form: url.Values{"kind": {"others"}}, want: htSignedForm(303)},
	"GET /account/security":      {want: htSignedPage(200)},
	"POST /account/security": {form: url.Values{"password": {apitest.OwnerPassword}, "new_password": {apitest.OwnerPassword}, "password_again": {apitest.OwnerPassword}},
		want: htSignedForm(303)},
	"GET /account/security/end":       {want: htSignedPage(200)},
	"POST /account/security/end":      {form: url.Values{}, want: htSignedForm(303)},
	"GET /activate":                   {query: "token=x", want: htAll(404)},
	"POST /activate":                  {form: url.Values{"token": {"x"}}, want: htForms(404)},
	"GET /workspace/members":          {want: htSignedPage(200)},
	"POST /workspace/members":         {form: url.Values{"email": {"new@example.com"}, "role": {"normal"}}, want: htSignedForm(404)},
	"GET /workspace/members/edit":     {query: "id=x", want: htSignedPage(404)},
	"POST /workspace/members/edit":    {form: url.Values{"role": {"normal"}}, want: htSignedForm(404)},
	"GET /workspace/members/remove":   {query: "id=x", want: htSignedPage(404)},
	"POST /workspace/members/remove":  {form: url.Values{}, want: htSignedForm(404)},
	"POST /workspace/switch":          {form: url.Values{}, want: htSignedForm(404)},
	"GET /workspace/apps":             {want: htSignedPage(200)},
	"GET /workspace/apps/new":         {want: htSignedPage(200)},
	"POST /workspace/apps/new":        {form: url.Values{"name": {"An app"}}, want: htSignedForm(404)},
	"GET /workspace/apps/:id":         {want: htSignedPage(404)},
	"POST /workspace/apps/:id":        {form: url.Values{"name": {"An app"}}, want: htSignedForm(404)},
	"GET /workspace/apps/:id/access":  {want: htSignedPage(404)},
	"POST /workspace/apps/:id/access": {form: url.Values{}, want: htSignedForm(404)},
	"GET /workspace/apps/:id/remove":  {want: htSignedPage(404)},
	"POST /workspace/apps/:id/remove": {form: url.Values{}, want: htSignedForm(404)},
	"GET /static/:name":               {want: htAll(200)},
}

// htEnterprise is htTable for the bearer routes of the Enterprise Edition.
var htEnterprise = map[string]htRequest{
	"GET /openapi/v1/permitted-external-apps":           {want: htBearer(200)},
	"GET /openapi/v1/permitted-external-apps/:app":      {query: "fields=info", want: htBearer(200)},
	"POST /openapi/v1/permitted-external-apps/:app/run": {json: rnHello, want: htBearer(200)},
}

var htParameter = regexp.MustCompile(`:[a-z_]+`)

// htPath fills a pattern's parameters with what nobody knows.
func htPath(pattern string) string {
	return htParameter.ReplaceAllStringFunc(pattern, func(name string) string {
		if name == ":name" {
			return "app.css"
		}
		return canon.NewID()
	})
}

// htSender sends each route's request as any caller.
type htSender struct {
	s        *apitest.Server
	approver *apitest.Browser // of an account that none of the requests signs out
	account  string           // the approver's
	browser  *apitest.Browser // signed in, until a request has ended that
	doubted  bool             // whether the last one may have
	token    string           // what a caller with a bearer brings; empty draws one
	armed    func()           // runs right before the request; nil does nothing
}

func htNewSender(t testing.TB, s *apitest.Server) *htSender {
	t.Helper()
	id := addAccount(t, s, "approver@example.com")
	return &htSender{s: s, account: id, approver: signedInAs(t, s, "approver@example.com")}
}

func (h *htSender) send(t testing.TB, as htCaller, method, pattern string, r htRequest) apitest.Answer {
	t.Helper()
	h.token = ""
	return h.sendTo(t, as, method, htPath(pattern), r)
}

func (h *htSender) sendTo(t testing.TB, as htCaller, method, path string, r htRequest, more ...string) apitest.Answer {
	t.Helper()
	if r.query != "" {
		path += "?" + r.query
	}
	headers, form, send := append([]string{"Accept", "text/html, application/json"}, more...), url.Values{}, h.s.Call
	for name, values := range r.form {
		form[name] = values
	}
	switch {
	case h.token != "":
		headers = append(headers, "Authorization", "Bearer "+h.token)
	case as == htBare || as == htCookie:
		if h.browser == nil || h.doubted && h.browser.Call(http.MethodGet, "/console/api/csrf-token", "").Status != http.StatusOK {
			h.browser = h.s.SignedIn(t) // as seldom as may be: a password costs more than all else here
		}
		b := h.browser
		h.doubted = method != http.MethodGet && method != http.MethodHead
		send = func(_ testing.TB, method, path, body string, headers ...string) apitest.Answer {
			return b.Call(method, path, body, headers...)
		}
		if as == htCookie {
			token := b.CSRF()
			form.Set("csrf_token", token)
			headers = append(headers, "Origin", h.s.URL)
			if r.form == nil {
				headers = append(headers, "X-CSRF-Token", token)
			}
		}
	case as == htLive || as == htRevoked:
		token := rnBearer(t, h.s, h.account, "approver@example.com")
		if as == htRevoked {
			wantAnswer(t, h.s.Bearer(t, token, http.MethodDelete, "/openapi/v1/account/sessions/self"), http.StatusOK, "")
		}
		headers = append(headers, "Authorization", "Bearer "+token)
	case as == htGarbage:
		headers = append(headers, "Authorization", "Bearer garbage")
	case as == htAppKey:
		headers = append(headers, "Authorization", "Bearer app-"+strings.Repeat("a", 24))
	}
	if h.armed != nil {
		h.armed()
	}
	switch {
	case r.parts != "":
		return send(t, method, path, tsForm("x.txt", "text/plain", r.parts), append(headers, "Content-Type", tsMultipart)...)
	case r.json != "":
		return send(t, method, path, r.json, append(headers, "Content-Type", "application/json")...)
	case r.form != nil:
		return send(t, method, path, form.Encode(), append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
	}
	return send(t, method, path, "", headers...)
}

// htWantMedia: pages answer HTML, everything else JSON that nobody saves as a file.
func htWantMedia(t testing.TB, route httpapi.Route, a apitest.Answer) {
	t.Helper()
	if a.Header.Get("Content-Disposition") != "" || a.Header.Get("X-Request-Id") == "" {
		t.Fatalf("%v", a.Header)
	}
	media := a.Header.Get("Content-Type")
	isPage := strings.Contains(route.Caller, "page") || strings.Contains(route.Caller, "form")
	switch {
	case route.Caller == "static":
	case isPage && a.Status == http.StatusSeeOther:
	case isPage:
		if media != "text/html; charset=utf-8" {
			t.Fatalf("content type %q", media)
		}
	case a.Status >= 300:
		wantFailureShape(t, a)
	case route.Streams && media == "text/event-stream":
	case media != "application/json":
		t.Fatalf("content type %q", media)
	}
}

// htWantChallenge: a 401 asks for what the route takes and for nothing else.
func htWantChallenge(t testing.TB, route httpapi.Route, a apitest.Answer) {
	t.Helper()
	challenge := a.Header.Get("WWW-Authenticate")
	switch {
	case a.Status != http.StatusUnauthorized:
		if challenge != "" {
			t.Fatalf("status %d with a challenge %q", a.Status, challenge)
		}
	case route.Caller == "bearer":
		if !strings.HasPrefix(challenge, `Bearer realm="api"`) {
			t.Fatalf("challenge %q", challenge)
		}
	case route.Caller == "client":
		if challenge != `Basic realm="introspection"` {
			t.Fatalf("challenge %q", challenge)
		}
	case challenge != `Cookie realm="console"`:
		t.Fatalf("challenge %q", challenge)
	}
}

func TestEveryOtherMethod(t *testing.T) {
	s := apitest.Start(t, unlimited())
	taken := map[string][]string{}
	for _, r := range httpapi.Routes() {
		taken[r.Path] = append(taken[r.Path], r.Method)
		if r.Method == http.MethodGet && !r.Streams {
			taken[r.Path] = append(taken[r.Path], http.MethodHead)
		}
	}
	all := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"}
	for path, methods := range taken {
		t.Run("M-11 HTTP-15 PL-5 "+path, func(t *testing.T) {
			slices.Sort(methods)
			concrete := htPath(path)
			for _, method := range all {
				if slices.Contains(methods, method) {
					continue
				}
				a := htAsk(t, s, method+" "+concrete+" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
				if a.Status != http.StatusMethodNotAllowed {
					t.Errorf("%s: status %d: %.200s", method, a.Status, a.Body)
					continue
				}
				allow := strings.Split(strings.ReplaceAll(a.Header.Get("Allow"), " ", ""), ",")
				slices.Sort(allow)
				if !slices.Equal(allow, methods) {
					t.Errorf("%s: Allow %q instead of %v", method, a.Header.Get("Allow"), methods)
				}
				if method != http.MethodHead {
					wantAnswer(t, a, http.StatusMethodNotAllowed, "method_not_allowed")
					wantFailureShape(t, a)
				}
				wantFrameless(t, a)
				for name := range a.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s: %s without a list of origins", method, name)
					}
				}
			}
			if !slices.Contains(methods, http.MethodHead) {
				return
			}
			get := htAsk(t, s, "GET "+concrete+" HTTP/1.1\r\nHost: x\r\n\r\n")
			c := htDial(t, s.URL)
			c.send("HEAD " + concrete + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			head := c.read(http.MethodHead)
			if head.Status != get.Status || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
				t.Errorf("HEAD %d %v, GET %d %v", head.Status, head.Header, get.Status, get.Header)
			}
			c.wantClosed() // no body came
		})
	}
}
