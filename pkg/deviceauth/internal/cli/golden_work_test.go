// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/servertest"
)

// form is the input schema of a workflow with one field of each kind.
const form = `{"type":"object","required":["inputs"],"properties":{"inputs":{"type":"object","additionalProperties":false,"required":["customer","invoice"],"properties":{
	"customer":{"type":"string","title":"Customer","maxLength":40},"currency":{"type":"string","title":"currency","enum":["EUR","USD"]},"months":{"type":"number","title":"Months back"},
	"invoice":{"type":"object","title":"The invoice","properties":{}},"more":{"type":"array","items":{"type":"object"}}}}}}`

const question = `{"type":"object","required":["query","inputs"],"properties":{"query":{"type":"string","minLength":1},"inputs":{"type":"object","properties":{}}}}`

// withApps gives the server apps to see.
func withApps(s *stage) {
	s.server.Apps = []servertest.App{
		{ID: servertest.AppID(1), Workspace: servertest.WorkspaceID(1), Name: "Support bot", Mode: "chat", Description: "Answers what customers ask", Tags: []string{"support", "public"}, Open: true,
			Parameters: `{"opening_statement":"How can I help?","suggested_questions":["How do I reset my password?","Where is my parcel?"]}`, Schema: question},
		{ID: servertest.AppID(2), Workspace: servertest.WorkspaceID(1), Name: "Invoice check", Mode: "workflow", Description: "Line one\nline two \x1b[31mred\u202e", Tags: []string{"billing"}, Schema: form},
		{ID: servertest.AppID(3), Workspace: servertest.WorkspaceID(2), Name: "Translate", Mode: "completion"},
		{ID: servertest.AppID(4), Workspace: servertest.WorkspaceID(2), Name: "Support bot", Mode: "advanced-chat"},
	}
}

func TestTranscriptsOfWork(t *testing.T) {
	transcripts(t, map[string]func(*stage){
		"workspaces": func(s *stage) {
			s.login()
			s.expect(0, "workspaces", "list")
			s.expect(0, "workspaces", "use", "Looms")
			s.expect(0, "workspaces", "list", "-o", "json")
			s.expect(0, "workspaces", "use", strings.ToUpper(servertest.WorkspaceID(1)), "-o", "json")
			s.expect(1, "workspaces", "use", "Nowhere")
			s.expect(1, "workspaces", "use", servertest.WorkspaceID(9))
			s.server.Workspaces[1].Name = "Engines"
			s.expect(1, "workspaces", "use", "Engines")
			s.server.Workspaces[0].Current = false
			s.expect(0, "workspaces", "list")
			s.expect(1, "members", "list")
			s.server.Workspaces = nil
			s.expect(0, "workspaces", "list")
			s.expect(0, "workspaces", "list", "-o", "json")
		},
		"members": func(s *stage) {
			s.login()
			s.expect(0, "members", "list")
			s.expect(0, "members", "invite", "bob@example.com")
			s.expect(0, "members", "invite", "eve@example.com", "--role", "admin", "-o", "json")
			s.expect(1, "members", "invite", "bob@example.com")
			s.expect(2, "members", "invite", "bob@example.com", "--role", "owner")
			s.expect(0, "members", "set-role", "BOB@example.com", "admin")
			s.expect(1, "members", "set-role", "bob@example.com", "admin")
			s.expect(1, "members", "set-role", "ada@example.com", "normal")
			s.expect(0, "members", "list", "-o", "json")
			s.expect(1, "members", "remove", "nobody@example.com")
			s.expect(0, "members", "remove", "01930000-0000-7000-8000-000000000003", "-o", "json")
			s.expect(0, "members", "remove", "bob@example.com")
			s.expect(1, "members", "invite", "bob@example.com", "--workspace", "Looms")
			s.expect(1, "members", "list", "--workspace", "Nowhere")
		},
		"apps": func(s *stage) {
			s.login()
			s.expect(0, "apps", "list")
			withApps(s)
			s.expect(0, "apps", "list")
			s.expect(0, "apps", "list", "--limit", "1")
			s.expect(0, "apps", "list", "--limit", "1", "--page", "2")
			s.expect(0, "apps", "list", "--limit", "1", "--page", "3")
			s.expect(0, "apps", "list", "-A")
			s.expect(0, "apps", "list", "--all-workspaces", "--name", "support", "-o", "json")
			s.expect(0, "apps", "list", "--workspace", "Looms", "--mode", "completion")
			s.expect(0, "apps", "list", "--tag", "billing")
			for _, args := range [][]string{{"--mode", "talk"}, {"--limit", "201"}, {"--page", "0"}, {"-A", "--workspace", "Looms"}, {"-A", "--page", "2"}, {"x"}} {
				s.expect(2, append([]string{"apps", "list"}, args...)...)
			}
			s.expect(0, "apps", "describe", servertest.AppID(1))
			s.expect(0, "apps", "describe", "Invoice check")
			s.expect(0, "apps", "describe", "Translate")
			s.expect(0, "apps", "describe", "Invoice check", "-o", "json")
			s.expect(1, "apps", "describe", "Support bot")
			s.expect(0, "apps", "describe", "Support bot", "--workspace", "Engines", "-o", "json")
			s.expect(1, "apps", "describe", "support bot")
			s.expect(1, "apps", "describe", servertest.AppID(9))
			s.expect(2, "apps", "describe")
		},
		"apps-external": func(s *stage) {
			s.server.External = true
			withApps(s)
			s.login()
			s.expect(0, "apps", "list")
			s.expect(0, "apps", "list", "-A", "-o", "json")
			s.expect(0, "apps", "describe", "Support bot")
			s.expect(1, "apps", "describe", "Invoice check")
			s.expect(2, "apps", "list", "--tag", "support")
			s.expect(1, "workspaces", "list")
			s.expect(1, "members", "list")
			s.environ = []string{"DIFYAUTH_TOKEN=" + s.server.Live()[0].Token, "DIFYAUTH_HOST=" + servertest.Origin}
			s.expect(0, "apps", "list")
		},
		"work-trouble": func(s *stage) {
			for _, args := range [][]string{{"workspaces", "list"}, {"members", "list"}, {"apps", "list"}, {"apps", "describe", "x"}, {"run", "x", "hello"}, {"resume", "x", "y", "--run", "z"}} {
				s.expect(4, args...)
			}
			s.login()
			s.server.Old = true
			s.expect(1, "workspaces", "list")
			s.expect(1, "apps", "list")
			s.expect(1, "run", servertest.AppID(1), "hello")
			s.server.Old = false
			s.server.Fault = at("/workspaces", 1, servertest.TooMany("90"))
			s.expect(7, "apps", "list")
			s.server.Fault = at("/workspaces", 1, servertest.TooMany("5"))
			s.expect(7, "workspaces", "list")
			n := 0
			s.server.Fault = func(r *http.Request) *servertest.Fault {
				if n++; n == 1 {
					return servertest.TooMany("5")
				}
				return nil
			}
			s.expect(0, "workspaces", "list")
			n = 0
			s.expect(0, "workspaces", "list", "-o", "json")
			s.server.Fault = at("/workspaces", 1, &servertest.Fault{Status: 401, Body: `{"code":"invalid_token","message":"The access token is not valid","status":401}`})
			s.expect(4, "workspaces", "list")
			s.server.Fault = at("/workspaces", 1, &servertest.Fault{Status: 200, Body: "<html>"})
			s.expect(1, "workspaces", "list")
		},
		"completion-of-work": func(s *stage) {
			withApps(s)
			s.login()
			s.expect(0, "__complete", "run", "")
			s.expect(0, "__complete", "apps", "describe", "")
			s.expect(0, "__complete", "apps", "list", "--mode", "")
			s.expect(0, "__complete", "apps", "list", "--workspace", "")
			s.expect(0, "__complete", "workspaces", "use", "")
			s.expect(0, "__complete", "members", "remove", "")
			s.expect(0, "__complete", "members", "set-role", "bob@example.com", "")
			s.expect(0, "__complete", "members", "invite", "bob@example.com", "--role", "")
			s.server.Fault = at("/apps", 1, &servertest.Fault{Cut: true})
			s.expect(0, "__complete", "run", "")
		},
		"help-of-work": func(s *stage) {
			for _, args := range [][]string{{"workspaces"}, {"workspaces", "use"}, {"members"}, {"members", "invite"}, {"members", "remove"}, {"apps"}, {"apps", "list"}, {"apps", "describe"}, {"run"}, {"resume"}} {
				s.expect(0, append(args, "--help")...)
			}
			s.expect(2, "members", "set-role", "bob@example.com")
			s.expect(2, "workspaces", "use")
		},
	})
}
