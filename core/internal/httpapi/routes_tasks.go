// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

const (
	formCap   = 1 << 20
	importCap = 10 << 20
	// uploadCap is the largest kind of file by the defaults, and room for what is around it;
	// the settings say what is taken.
	uploadCap = 100<<20 + small
)

// builders are the roles that make apps.
var builders = []workspace.Role{workspace.Owner, workspace.Admin, workspace.Editor}

// taskRows are what goes with runs: tasks, files, forms, conversations, imports.
func (a *api) taskRows() []row {
	const one = base + "/apps/:" + appParam
	const humanInput = one + "/form/human_input/:token"
	const imports = base + "/workspaces/:" + workspaceParam + "/apps/imports"
	runs := authz.Rule{Subjects: anySubject, Scope: token.ScopeAppsRun, App: true}
	reads := authz.Rule{Subjects: accountsOnly, Scope: token.ScopeAppsRead, App: true}
	builds := authz.Rule{Subjects: accountsOnly, Scope: token.ScopeWorkspaceWrite, Workspace: true, Roles: builders}
	done := map[int]any{http.StatusOK: resultResponse{}}
	return []row{
		{method: http.MethodPost, path: one + "/tasks/:task/stop", caller: bearer, rule: runs, handle: a.stopTask,
			about: operation{summary: "Stop a task of one's own; whatever the task is, the answer is the same", answers: done, samples: map[int]any{http.StatusOK: success}}},
		{method: http.MethodGet, path: one + "/tasks/:run/events", caller: bearer, rule: runs, handle: a.taskEvents,
			about: operation{summary: "Follow a workflow run of one's own again, by the run's id", query: eventsQuery{},
				answers: map[int]any{http.StatusOK: events{}}, samples: map[int]any{http.StatusOK: eventsSample},
				fails: runtimeFails(run.ErrNoReconnect, run.ErrNoWorkflowRun)}},
		{method: http.MethodPost, path: one + "/files/upload", caller: bearer, rule: runs, media: []string{parts}, body: uploadCap, unread: true, handle: a.uploadFile,
			about: operation{summary: "Upload a file for a run's input", body: uploadForm{},
				answers: map[int]any{http.StatusCreated: fileAnswer{}}, samples: map[int]any{http.StatusCreated: fileSample},
				fails: runtimeFails(run.ErrNoFile, run.ErrManyFiles, run.ErrNoFileName, run.ErrFileBlocked, run.ErrFileTooLarge, run.ErrFileType)}},
		{method: http.MethodGet, path: humanInput, caller: bearer, rule: runs, handle: a.humanInput,
			about: operation{summary: "A form that a run waits for", answers: map[int]any{http.StatusOK: formAnswer{}}, samples: map[int]any{http.StatusOK: formSample},
				fails: runtimeFails(formFails...)}},
		{method: http.MethodPost, path: humanInput, caller: bearer, rule: runs, media: []string{json}, body: formCap, handle: a.submitHumanInput,
			about: operation{summary: "Answer a form, so that its run goes on", body: submitRequest{}, sample: submitSample,
				answers: map[int]any{http.StatusOK: submitted{}}, samples: map[int]any{http.StatusOK: submitted{}},
				fails: runtimeFails(append(formFails, run.ErrFormData)...)}},
		{method: http.MethodDelete, path: one + "/conversations/:conversation", caller: bearer, rule: runs, handle: a.deleteConversation,
			about: operation{summary: "Delete a conversation of one's own", answers: done, samples: map[int]any{http.StatusOK: success}, fails: runtimeFails(run.ErrNoConversation)}},
		{method: http.MethodPost, path: imports, caller: bearer, rule: builds, media: []string{json}, body: importCap, handle: a.importApp,
			about: operation{summary: "Make or change an app from its description", body: importRequest{}, sample: importSample, strict: true,
				answers: map[int]any{http.StatusOK: importAnswer{}}, samples: map[int]any{http.StatusOK: importedSample},
				fails: runtimeFails(apps.ErrNotFound, apps.ErrAccessDenied, apps.ErrAPIDisabled, run.ErrUnsupported)}},
		{method: http.MethodPost, path: imports + "/:import/confirm", caller: bearer, rule: builds, handle: a.confirmImport,
			about: operation{summary: "Go on with an import that waits for it",
				answers: map[int]any{http.StatusOK: importAnswer{}}, samples: map[int]any{http.StatusOK: importedSample},
				fails: runtimeFails(run.ErrNoImport, apps.ErrNotFound, apps.ErrAccessDenied, apps.ErrAPIDisabled, run.ErrUnsupported)}},
		{method: http.MethodGet, path: one + "/export", caller: bearer, rule: reads, handle: a.exportApp,
			about: operation{summary: "An app's description", query: exportQuery{},
				answers: map[int]any{http.StatusOK: exportAnswer{}}, samples: map[int]any{http.StatusOK: exportSample},
				fails: runtimeFails(workspace.ErrRole, run.ErrNoWorkflowRun, run.ErrUnsupported)}},
		{method: http.MethodGet, path: one + "/check-dependencies", caller: bearer, rule: reads, handle: a.checkDependencies,
			about: operation{summary: "What an imported app needs and its runtime lacks",
				answers: map[int]any{http.StatusOK: dependenciesAnswer{}}, samples: map[int]any{http.StatusOK: dependenciesSample},
				fails: runtimeFails(run.ErrUnsupported)}},
	}
}

var formFails = []*fault.Error{run.ErrFormNotFound, run.ErrFormSubmitted, run.ErrFormExpired, run.ErrUnsupported}

// runtimeFails adds what a runtime may come to that is asked for anything but a run.
func runtimeFails(own ...*fault.Error) []*fault.Error {
	return append([]*fault.Error{run.ErrUnavailable, run.ErrKeyRejected, run.ErrTimeout, run.ErrQuota, run.ErrRefused, run.ErrAppUnavailable}, own...)
}
