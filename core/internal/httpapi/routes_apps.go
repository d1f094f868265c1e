// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/token"
)

const (
	appsPath      = base + "/apps"
	permittedPath = base + "/permitted-external-apps"
)

var externalOnly = []token.SubjectType{token.SubjectExternal}

// rightSurface tells somebody who is refused by their kind where they are served.
func rightSurface(kind token.SubjectType) string {
	if kind == token.SubjectExternal {
		return "People without an account find their apps at " + permittedPath + "."
	}
	return "Accounts find their apps at " + appsPath + "."
}

// appRows are what clients read of apps. Those for people without an account exist in the
// Enterprise Edition alone.
func (a *api) appRows() []row {
	rows := []row{
		{method: http.MethodGet, path: appsPath, caller: bearer, workspaceQuery: true, handle: a.apps,
			rule: authz.Rule{Subjects: accountsOnly, Scope: token.ScopeAppsRead, Workspace: true},
			about: operation{summary: "The apps of a workspace that the caller may run, the last changed first", query: appsQuery{},
				answers: map[int]any{http.StatusOK: pageJSON[appJSON]{}}, samples: map[int]any{http.StatusOK: appsSample}}},
		{method: http.MethodGet, path: appsPath + "/:" + appParam + "/describe", caller: bearer, handle: a.describeApp,
			rule:  authz.Rule{Subjects: anySubject, Scope: token.ScopeAppsRead, Or: token.ScopeAppsRun, App: true, Described: true},
			about: describes("What an app is, and what it takes")},
	}
	if !a.Enterprise {
		return rows
	}
	permitted := authz.Rule{Subjects: externalOnly, Scope: token.ScopeAppsReadPermitted}
	one := permitted
	one.App = true
	return append(rows,
		row{method: http.MethodGet, path: permittedPath, caller: bearer, rule: permitted, handle: a.permittedApps,
			about: operation{summary: "The apps that people without an account may run, the last changed first", query: permittedQuery{},
				answers: map[int]any{http.StatusOK: pageJSON[appJSON]{}}, samples: map[int]any{http.StatusOK: permittedSample}}},
		row{method: http.MethodGet, path: permittedPath + "/:" + appParam, caller: bearer, rule: one, handle: a.describeApp,
			about: describes("What such an app is, and what it takes")},
	)
}

func describes(summary string) operation {
	return operation{summary: summary, query: describeQuery{}, answers: map[int]any{http.StatusOK: describeResponse{}}, samples: map[int]any{http.StatusOK: describeSample},
		fails: describeFails}
}

// The examples of the API's document.
var (
	appSample = appJSON{
		ID: "0197d0c8-3f00-7000-8000-000000000001", Name: "Support", Description: "Answers questions about orders.", Mode: "chat", Tags: []tagJSON{{Name: "customers"}},
		UpdatedAt: "2026-01-02T15:04:05Z", CreatedByName: new("Ada Lovelace"), WorkspaceID: "0197d0c8-3f00-7000-8000-000000000002", WorkspaceName: "Shop",
	}
	appsSample      = pageJSON[appJSON]{Page: 1, Limit: appsLimit, Total: 1, Data: []appJSON{appSample}}
	permittedSample = func() pageJSON[appJSON] {
		app := appSample
		app.Tags, app.CreatedByName = []tagJSON{}, nil
		return pageJSON[appJSON]{Page: 1, Limit: appsLimit, Total: 1, Data: []appJSON{app}}
	}()
	describeSample = describeResponse{
		Info: &appInfoJSON{
			ID: appSample.ID, Name: appSample.Name, Description: appSample.Description, Mode: "chat", Author: "Ada Lovelace", Tags: appSample.Tags, UpdatedAt: appSample.UpdatedAt,
			ServiceAPIEnabled: true,
		},
		Parameters: &appParameters{raw: []byte(`{"opening_statement":"How can I help?","suggested_questions":["Where is my order?"],"suggested_questions_after_answer":{"enabled":false},` +
			`"speech_to_text":{"enabled":false},"text_to_speech":{"enabled":false},"retriever_resource":{"enabled":false},"annotation_reply":{"enabled":false},` +
			`"more_like_this":{"enabled":false},"user_input_form":[{"text-input":{"variable":"order","label":"Order number","required":true,"max_length":20}}],` +
			`"sensitive_word_avoidance":{"enabled":false,"type":"","configs":[]},"file_upload":{"image":{"enabled":false,"number_limits":3,"detail":"high",` +
			`"transfer_methods":["remote_url","local_file"]}},"system_parameters":{"file_size_limit":15}}`)},
		InputSchema: &inputSchema{raw: []byte(`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"inputs":{"type":"object",` +
			`"properties":{"order":{"title":"Order number","type":"string","maxLength":20}},"required":["order"],"additionalProperties":false},` +
			`"query":{"type":"string","minLength":1}},"required":["query","inputs"]}`)},
	}
)
