// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"net/http"
	"net/url"
	"strings"
)

// visit is one route and what it answers while Redis, Postgres or both are away; 0
// leaves one out, where it would use something up.
type visit struct {
	name             string
	redis, sql, both int
	ask              func(l *lane, s *outage) answer
	how              manner
}

// manner is what is particular about a visit.
type manner string

const (
	bare manner = "bare" // its 503 is a report on the stores
	once manner = "once" // it has another answer the second time
)

// unknownToken has the shape of a token.
var unknownToken = "dfoa_" + strings.Repeat("A", 43)

// someID is nobody's.
const someID = "0190a1b2-0000-7000-8000-000000000001"

// onApp asks about the lane's app.
func onApp(method, path, contentType, body string) func(l *lane, s *outage) answer {
	return func(l *lane, s *outage) answer {
		return l.core.call(method, "/openapi/v1/apps/"+l.app+path, contentType, body, "Authorization", "Bearer "+s.token)
	}
}

// unknownCode has the shape of a device code.
var unknownCode = codes{device: "dc_" + strings.Repeat("A", 43)}

// visits are all routes. The counters of limits are in Redis: what mints, decides or
// guesses is refused without them, what reads is counted in process.
var visits = []visit{
	{"DF-27 code", 503, 200, 503, func(l *lane, _ *outage) answer { _, a := l.core.code("in vain"); return a }, ""},
	{"DF-27 poll of a pending code", 503, 400, 503, func(l *lane, s *outage) answer {
		l.later(s.pending)
		return l.core.poll(s.pending)
	}, ""},
	{"DF-27 DF-28 poll of an approved code", 503, 503, 503, func(l *lane, s *outage) answer { return l.core.poll(s.approved) }, ""},
	{"DF-27 poll of a denied code", 503, 0, 503, func(l *lane, s *outage) answer { return l.core.poll(s.denied) }, ""},
	{"DF-27 poll of an unknown code", 503, 400, 503, func(l *lane, _ *outage) answer { return l.core.poll(unknownCode) }, ""},
	{"DF-27 poll of what is no code", 400, 400, 400, func(l *lane, _ *outage) answer { return l.core.poll(codes{device: "dc_short"}) }, ""},
	{"DF-27 lookup", 503, 200, 503, func(l *lane, s *outage) answer {
		return l.get("/openapi/v1/oauth/device/lookup?user_code="+s.pending.user, "")
	}, ""},
	{"DF-27 DF-28 approve", 503, 503, 503, func(l *lane, s *outage) answer { return l.core.decide(s.who, "approve", s.pending) }, ""},
	{"DF-27 DF-28 deny", 503, 503, 503, func(l *lane, s *outage) answer { return l.core.decide(s.who, "deny", s.pending) }, ""},
	{"DF-27 DF-28 approve with the cookie of nobody", 401, 503, 503, func(l *lane, s *outage) answer {
		nobody := person{cookie: "console_session=" + strings.Repeat("A", 43), csrf: s.who.csrf}
		return l.core.decide(nobody, "approve", s.pending)
	}, ""},

	{"TK-13 account", 200, 503, 503, func(l *lane, s *outage) answer { return l.core.identity(s.token) }, ""},
	{"TK-13 sessions", 200, 503, 503, func(l *lane, s *outage) answer {
		return l.core.bearer(http.MethodGet, "/openapi/v1/account/sessions", s.token)
	}, ""},
	{"TK-13 TK-23 account with an unknown token", 401, 503, 503, func(l *lane, _ *outage) answer { return l.core.identity(unknownToken) }, ""},
	{"TK-13 account with a token that was ended", 401, 401, 503, func(l *lane, s *outage) answer { return l.core.identity(s.revoked) }, ""},
	{"TK-20 introspection", 200, 200, 503, func(l *lane, s *outage) answer { return l.core.introspect(s.token) }, ""},
	{"TK-20 introspection of an unknown token", 200, 503, 503, func(l *lane, _ *outage) answer { return l.core.introspect(unknownToken) }, ""},
	{"OUT-01 introspection by a stranger", 401, 401, 401, func(l *lane, s *outage) answer {
		return l.core.call(http.MethodPost, "/openapi/v1/oauth/introspect", "application/x-www-form-urlencoded", "token="+s.token)
	}, ""},

	{"OUT-01 OUT-02 a list of apps", 200, 503, 503, func(l *lane, s *outage) answer {
		return l.core.bearer(http.MethodGet, "/openapi/v1/apps?workspace_id="+s.workspace, s.token)
	}, ""},
	{"OUT-01 OUT-02 a description", 200, 503, 503, onApp(http.MethodGet, "/describe", "", ""), ""},
	{"API-27 OUT-01 OUT-02 a run", 503, 503, 503, onApp(http.MethodPost, "/run", "application/json", `{"inputs":{}}`), ""},
	{"API-27 OUT-01 OUT-02 a run in one piece", 503, 503, 503, onApp(http.MethodPost, "/run", "application/json", `{"inputs":{},"response_mode":"blocking"}`), ""},
	{"API-22 OUT-01 OUT-02 a stop", 200, 503, 503, onApp(http.MethodPost, "/tasks/"+someID+"/stop", "", ""), ""},
	{"API-23 OUT-01 OUT-02 events of a run", 404, 503, 503, onApp(http.MethodGet, "/tasks/"+someID+"/events", "", ""), ""},
	{"API-24 OUT-01 OUT-02 an upload", 201, 503, 503, onApp(http.MethodPost, "/files/upload", "multipart/form-data; boundary=b",
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\na\r\n--b--\r\n"), ""},
	{"API-25 OUT-01 OUT-02 a form", 404, 503, 503, onApp(http.MethodGet, "/form/human_input/x", "", ""), ""},
	{"OUT-02 apps of the console", 200, 503, 503, func(l *lane, s *outage) answer { return l.get("/console/api/apps", s.who.cookie) }, ""},
	{"OUT-02 page /workspace/apps", 200, 503, 503, func(l *lane, s *outage) answer { return l.get("/workspace/apps", s.who.cookie) }, ""},

	{"OUT-01 OUT-02 sign-in", 503, 503, 503, func(l *lane, _ *outage) answer { _, a := l.core.signIn(ownerEmail, ownerPassword); return a }, ""},
	{"OUT-01 OUT-02 sign-in with a wrong password", 503, 503, 503, func(l *lane, _ *outage) answer { _, a := l.core.signIn(ownerEmail, "wrong"); return a }, ""},
	{"OUT-02 CSRF token", 200, 503, 503, func(l *lane, s *outage) answer { return l.get("/console/api/csrf-token", s.who.cookie) }, ""},
	{"OUT-02 profile", 200, 503, 503, func(l *lane, s *outage) answer { return l.get("/console/api/account/profile", s.who.cookie) }, ""},
	{"OUT-02 browsers", 200, 503, 503, func(l *lane, s *outage) answer { return l.get("/console/api/sessions", s.who.cookie) }, ""},
	{"OUT-02 workspaces", 200, 503, 503, func(l *lane, s *outage) answer { return l.get("/console/api/workspaces", s.who.cookie) }, ""},
	{"OUT-01 OUT-02 password", 503, 503, 503, func(l *lane, s *outage) answer {
		return l.core.json(http.MethodPost, "/console/api/account/password", map[string]string{"password": ownerPassword, "new_password": "another horse battery"}, s.who.headers()...)
	}, ""},
	{"OUT-02 end of a browser", 0, 503, 503, func(l *lane, s *outage) answer {
		return l.core.call(http.MethodDelete, "/console/api/sessions/"+s.browserID, "", "", s.who.headers()...)
	}, ""},
	{"OUT-02 sign-out", 0, 503, 503, func(l *lane, s *outage) answer {
		return l.core.call(http.MethodPost, "/console/api/logout", "", "", s.who.headers()...)
	}, ""},
	{"OUT-01 OUT-02 set-up", 503, 503, 503, func(l *lane, _ *outage) answer {
		return l.core.json(http.MethodPost, "/console/api/setup", map[string]string{"setup_code": "x", "email": "b@example.com", "name": "B", "password": ownerPassword, "workspace_name": "W"})
	}, ""},
	{"OUT-02 state of the set-up", 200, 200, 200, func(l *lane, _ *outage) answer { return l.get("/console/api/setup", "") }, ""},

	{"OUT-02 page /", 303, 503, 503, func(l *lane, s *outage) answer { return l.get("/", s.who.cookie) }, ""},
	{"OUT-02 page /signin", 200, 200, 200, func(l *lane, _ *outage) answer { return l.get("/signin", "") }, ""},
	{"OUT-02 page /device", 200, 503, 503, func(l *lane, s *outage) answer { return l.get("/device", s.who.cookie) }, ""},
	{"OUT-01 OUT-02 page /device with its code", 503, 503, 503, func(l *lane, s *outage) answer {
		return l.get("/device?user_code="+s.pending.user, s.who.cookie+s.entry)
	}, ""},
	{"OUT-02 page /account/sessions", 200, 503, 503, func(l *lane, s *outage) answer { return l.get("/account/sessions", s.who.cookie) }, ""},
	{"OUT-02 page /account/sessions/end", 200, 503, 503, func(l *lane, s *outage) answer {
		return l.get("/account/sessions/end?kind=device&id="+s.id, s.who.cookie)
	}, ""},
	{"OUT-01 OUT-02 form /signin", 503, 503, 503, func(l *lane, s *outage) answer {
		return l.core.call(http.MethodPost, "/signin", "application/x-www-form-urlencoded", s.signInForm.Encode(), "Cookie", s.signInCookie, "Origin", publicURL)
	}, ""},
	{"OUT-01 OUT-02 form /device", 503, 503, 503, func(l *lane, s *outage) answer {
		return l.form("/device", s.who, url.Values{"user_code": {s.pending.user}})
	}, ""},
	{"OUT-01 OUT-02 form /device/authorize", 503, 503, 503, func(l *lane, s *outage) answer {
		return l.form("/device/authorize", s.who, url.Values{"user_code": {s.pending.user}, "decision": {"allow"}}, s.entry)
	}, ""},
	{"OUT-02 form /signout", 0, 503, 503, func(l *lane, s *outage) answer { return l.form("/signout", s.who, url.Values{}) }, ""},
	{"OUT-02 form /account/sessions/end", 0, 503, 503, func(l *lane, s *outage) answer {
		return l.form("/account/sessions/end", s.who, url.Values{"kind": {"device"}, "id": {s.id}})
	}, ""},
	{"OUT-01 file", 404, 404, 404, func(l *lane, _ *outage) answer { return l.get("/static/none.css", "") }, ""},

	{"OUT-01 alive", 200, 200, 200, func(l *lane, _ *outage) answer { return l.get("/openapi/v1/_health", "") }, ""},
	{"OUT-01 version", 200, 200, 200, func(l *lane, _ *outage) answer { return l.get("/openapi/v1/_version", "") }, ""},
	{"OUT-01 OUT-02 ready", 503, 503, 503, func(l *lane, _ *outage) answer { return l.get("/openapi/v1/_ready", "") }, ""},
	{"OUT-01 alive, to operators", 200, 200, 200, func(l *lane, _ *outage) answer { return l.get(l.core.inner+"/healthz", "") }, ""},
	{"OUT-01 OUT-02 ready, to operators", 503, 503, 503, func(l *lane, _ *outage) answer { return l.get(l.core.inner+"/readyz", "") }, bare},
	{"OUT-01 metrics", 200, 200, 200, func(l *lane, _ *outage) answer { return l.get(l.core.inner+"/metrics", "") }, ""},
	{"API-30 forward authentication", 200, 200, 503, forwarded(func(s *outage) string { return s.token }), ""},
	{"API-30 forward authentication of an unknown token", 401, 503, 503, forwarded(func(*outage) string { return unknownToken }), ""},

	{"OUT-02 RFC 7009 of what is no token", 200, 200, 200, func(l *lane, _ *outage) answer { return l.revoke("x") }, ""},
	{"TK-11 RFC 7009 of a token that was ended", 503, 503, 503, func(l *lane, s *outage) answer { return l.revoke(s.revoked) }, ""},
	{"TK-24 end of another session", 503, 503, 503, func(l *lane, s *outage) answer {
		return l.core.bearer(http.MethodDelete, "/openapi/v1/account/sessions/"+s.otherID, s.token)
	}, ""},
	{"TK-24 end of all others", 0, 503, 503, func(l *lane, s *outage) answer {
		return l.core.bearer(http.MethodDelete, "/openapi/v1/account/sessions", s.token)
	}, ""},
	{"API-31 kill of somebody unknown", 200, 503, 503, func(l *lane, _ *outage) answer {
		return l.core.revokeSubject(map[string]string{"issuer": "https://idp.example.com", "subject_id": "x"})
	}, ""},
	{"API-31 TK-24 kill", 0, 503, 503, func(l *lane, _ *outage) answer { return l.operatorKills() }, ""},
	{"TK-24 TK-11 RFC 7009", 0, 503, 503, func(l *lane, s *outage) answer { return l.revoke(s.token) }, ""},
	{"TK-24 TK-11 logout", 503, 503, 503, func(l *lane, s *outage) answer { return l.core.logout(s.token) }, once},
	{"TK-13 account with the token that was ended now", 401, 0, 503, func(l *lane, s *outage) answer { return l.core.identity(s.token) }, ""},
}

// forwarded asks as a gateway does.
func forwarded(token func(s *outage) string) func(l *lane, s *outage) answer {
	return func(l *lane, s *outage) answer {
		return l.core.call(http.MethodGet, l.core.inner+"/inner/api/auth/verify", "", "", "X-Inner-Api-Key", forwardKey, "Authorization", "Bearer "+token(s))
	}
}

// revoke is RFC 7009.
func (l *lane) revoke(token string) answer {
	return l.core.json(http.MethodPost, "/openapi/v1/oauth/revoke", map[string]string{"token": token})
}
