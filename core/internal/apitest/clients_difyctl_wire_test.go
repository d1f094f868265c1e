// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// What the client reads of rows. A member that is not here it passes through.
var (
	dcSession = dcShape{
		"id": dcMatching(htUUID), "prefix": dcString, "client_id": dcString, "device_label": dcString,
		"created_at": dcMaybe(dcMatching(htStamp)), "last_used_at": dcMaybe(dcMatching(htStamp)), "expires_at": dcMaybe(dcMatching(htStamp)),
	}
	dcWorkspace = dcShape{"id": dcMatching(htUUID), "name": dcString, "role": dcString, "status": dcString, "current": dcBool}
	dcUsed      = dcShape{"id": dcString, "name": dcString, "role": dcString}
	dcMember    = dcShape{"id": dcString, "name": dcString, "email": dcString, "role": dcString, "status": dcString, "avatar": dcMaybe(dcString)}
	dcInvited   = dcShape{"result": dcString, "email": dcString, "role": dcString, "member_id": dcString, "invite_url": dcString, "tenant_id": dcString}
	dcVersion   = dcShape{"version": dcString, "edition": dcOneOf("CLOUD", "SELF_HOSTED")}
)

// dcCase is one request of the client and what it makes of the answer: an object of a
// shape, or an exit with its own word and ours.
type dcCase struct {
	name               string
	who                string // whose token; empty sends none
	method, path, body string
	shape              dcShape
	exit               int
	own, said          string
}

func dcReplay(t *testing.T, w *wsWorld, cases []dcCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := htDifyctl{t: t, s: w.Server, token: w.bearers[c.who]}
			a := d.call(c.method, c.path, c.body)
			if c.own != "" {
				dcRefused(t, c.method, a, c.exit, c.own, c.said)
				return
			}
			dcWant(t, c.method, a, c.shape)
		})
	}
}

func TestDifyctlReadsEveryMember(t *testing.T) {
	w := wsStart(t)
	second := w.workspace(t, "Second", w.ids["owner"])
	for range 3 { // rows of every kind: used and never used, of a label that is not ASCII
		tkLogin(t, w.Server, signedInAs(t, w.Server, wsEmail("owner")), "laptop 爱")
	}
	ws := "workspaces/" + w.id
	dcReplay(t, w, []dcCase{
		{name: "version", method: "GET", path: "_version", shape: dcVersion},
		{name: "auth devices list", who: "owner", method: "GET", path: "account/sessions?page=1&limit=20", shape: dcPage(dcSession)},
		{name: "auth devices revoke, its list", who: "owner", method: "GET", path: "account/sessions?page=1&limit=200", shape: dcPage(dcSession)},
		{name: "a page behind the last", who: "owner", method: "GET", path: "account/sessions?page=9&limit=200", shape: dcPage(dcSession)},
		{name: "auth devices revoke", who: "owner", method: "DELETE", path: "account/sessions/" + canon.NewID(), exit: 1, own: "server_4xx_other", said: "session_not_found"},
		{name: "get workspace", who: "owner", method: "GET", path: "workspaces", shape: dcShape{"workspaces": dcList(dcWorkspace)}},
		{name: "get workspace of somebody with one", who: "stranger", method: "GET", path: "workspaces", shape: dcShape{"workspaces": dcList(dcWorkspace)}},
		{name: "use workspace", who: "owner", method: "POST", path: "workspaces/" + second + "/switch", shape: dcUsed},
		{name: "use workspace of others", who: "owner", method: "POST", path: "workspaces/" + w.foreign + "/switch", exit: 1, own: "server_4xx_other", said: "workspace_not_found"},
		{name: "get member", who: "normal", method: "GET", path: ws + "/members?page=1&limit=20", shape: dcPage(dcMember)},
		{name: "get member, another page", who: "owner", method: "GET", path: ws + "/members?page=7&limit=200", shape: dcPage(dcMember)},
		{name: "get member of others", who: "stranger", method: "GET", path: ws + "/members?page=1&limit=20", exit: 1, own: "server_4xx_other", said: "workspace_not_found"},
		{name: "--limit 201", who: "owner", method: "GET", path: ws + "/members?page=1&limit=201", exit: 1, own: "server_4xx_other", said: "invalid_param"},
		{name: "create member", who: "owner", method: "POST", path: ws + "/members", body: `{"email":"one@example.com","role":"normal"}`, shape: dcInvited},
		{name: "create member, an admin", who: "admin", method: "POST", path: ws + "/members", body: `{"email":"two@example.com","role":"admin"}`, shape: dcInvited},
		{name: "create member, again", who: "owner", method: "POST", path: ws + "/members", body: `{"email":"admin@example.com","role":"normal"}`, exit: 1, own: "server_4xx_other", said: "already_member"},
		{name: "create member, a bad role", who: "owner", method: "POST", path: ws + "/members", body: `{"email":"three@example.com","role":"owner"}`, exit: 1, own: "server_4xx_other", said: "invalid_param"},
		{name: "create member, no admin", who: "normal", method: "POST", path: ws + "/members", body: `{"email":"three@example.com","role":"normal"}`, exit: 1, own: "server_4xx_other", said: "insufficient_workspace_role"},
		{name: "set member", who: "owner", method: "PUT", path: ws + "/members/" + w.ids["normal"] + "/role", body: `{"role":"admin"}`, shape: dcShape{}},
		{name: "set member, the same", who: "owner", method: "PUT", path: ws + "/members/" + w.ids["normal"] + "/role", body: `{"role":"admin"}`, exit: 1, own: "server_4xx_other", said: "role_unchanged"},
		{name: "set member, oneself", who: "admin", method: "PUT", path: ws + "/members/" + w.ids["admin"] + "/role", body: `{"role":"normal"}`, exit: 1, own: "server_4xx_other", said: "cannot_act_on_self"},
		{name: "delete member", who: "owner", method: "DELETE", path: ws + "/members/" + w.ids["editor"], shape: dcShape{}},
		{name: "delete member, as a retry", who: "owner", method: "DELETE", path: ws + "/members/" + w.ids["editor"], exit: 1, own: "server_4xx_other", said: "member_not_found"},
		{name: "delete member, the owner", who: "admin", method: "DELETE", path: ws + "/members/" + w.ids["owner"], exit: 1, own: "server_4xx_other", said: "cannot_act_on_owner"},
		{name: "get workspace without a token", method: "GET", path: "workspaces", exit: 4, own: "auth_expired", said: "unauthorized"},
		{name: "a route that is none", who: "owner", method: "GET", path: "nowhere", exit: 1, own: "server_4xx_other", said: "not_found"},
		{name: "a method that is none", who: "owner", method: "PATCH", path: "workspaces", exit: 1, own: "server_4xx_other", said: "method_not_allowed"},
	})
	t.Run("a token that is ended", func(t *testing.T) {
		d := htDifyctl{t: t, s: w.Server, token: w.bearers["stranger"]}
		dcWant(t, http.MethodDelete, d.call(http.MethodDelete, "account/sessions/self", ""), dcShape{})
		dcRefused(t, http.MethodGet, d.call(http.MethodGet, "workspaces", ""), 4, "auth_expired", "invalid_token")
	})
	t.Run("a limit, which a GET waits for", func(t *testing.T) {
		s := wsStart(t, unlimited("bearer.token=2/1m"))
		d := htDifyctl{t: t, s: s.Server, token: s.bearers["normal"]}
		var last apitest.Answer
		for range 4 {
			last = d.call(http.MethodGet, "workspaces", "")
		}
		dcRefused(t, http.MethodGet, last, 7, "rate_limited", "too_many_requests")
		if after := last.Header.Get("Retry-After"); !dcInteger.MatchString(after) {
			t.Fatalf("Retry-After %q", after)
		}
	})
	t.Run("a store that is away", func(t *testing.T) {
		stores := htNewStores()
		s := wsStart(t, apitest.Wrap(stores.wrap))
		stores.set("tokens", htFails)
		d := htDifyctl{t: t, s: s.Server, token: s.bearers["normal"]}
		dcRefused(t, http.MethodGet, d.call(http.MethodGet, "account/sessions?page=1&limit=20", ""), 1, "server_5xx", "service_unavailable")
	})
}
