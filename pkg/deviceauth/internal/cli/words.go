// SPDX-License-Identifier: Apache-2.0

package cli

// words are for what a server refuses about workspaces, members, apps and runs: what to
// do next, by its code. Another code is shown with the server's own sentence.
var words = map[string]string{
	"workspace_not_found":              "no workspace of yours has that id: difyauth workspaces list shows them",
	"member_not_found":                 "no member of the workspace has that id: difyauth members list shows them",
	"insufficient_workspace_role":      "your role in the workspace does not allow that: ask its owner or an admin",
	"cannot_act_on_self":               "you cannot do that to yourself: ask another admin of the workspace",
	"cannot_act_on_owner":              "the owner of a workspace keeps their role and stays",
	"role_unchanged":                   "that is the member's role already",
	"already_member":                   "that person is a member of the workspace already: difyauth members set-role changes their role",
	"member_limit_exceeded":            "the workspace has as many members as it may have: remove one first, or ask who runs the server",
	"email_is_external_subject":        "that person signs in through a company's identity provider here: ask who runs the server to invite them",
	"wrong_surface":                    "a sign-in through a company's identity provider belongs to no workspace: apps list, apps describe, run and resume are what it can do",
	"app_not_found":                    "no app that you may run has that id: difyauth apps list --all-workspaces shows them",
	"app_access_denied":                "that app is for some members of its workspace: ask its owner or an admin to add you",
	"service_api_disabled":             "that app is switched off for programs: ask the owner or an admin of its workspace to switch it on",
	"mode_not_runnable":                "apps of that mode are only listed: difyauth apps list --mode shows those that run",
	"query_required_for_chat":          "that app wants a query: difyauth run <app> \"what you ask\"",
	"query_not_supported_for_workflow": "that app is a workflow, which takes inputs (-i key=value) and no query: difyauth apps describe shows them",
	"conversation_not_found":           "no conversation of yours with that app has that id: leave --conversation out to begin one",
	"workflow_run_not_found":           "no run or workflow of that app and of yours has that id",
	"form_not_found":                   "no form waits under that name: it was answered already, or is of another app",
	"human_input_form_submitted":       "that form was answered already",
	"human_input_form_expired":         "that form can be answered no more, its time is over: run the app again",
	"runtime_key_rejected":             "what the app runs on refuses the app's key: ask the owner or an admin of its workspace to set it anew",
	"runtime_unavailable":              "what the app runs on does not answer, or not as it should: try again in a minute; if it stays so, tell the owner or an admin of its workspace",
	"runtime_timeout":                  "what the app runs on has not answered in time: try again in a minute; if it stays so, tell the owner or an admin of its workspace",
	"not_supported_by_runtime":         "what the app runs on does not offer that",
	"file_too_large":                   "the file is larger than the server takes",
}
