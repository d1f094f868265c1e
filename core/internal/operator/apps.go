// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"encoding/json"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/echo"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// Refusals of what is asked about apps.
var (
	// ErrNoApp: nothing has this id or name.
	ErrNoApp = fault.New(fault.NotFound, "app_not_found", "No app has this id or name, and nothing was done.").
			Hinted("\"core app list\" has them all.")
	// ErrManyApps: a name that several apps have.
	ErrManyApps = fault.New(fault.Conflict, "ambiguous", "Several apps have this name, and nothing was done.").
			Hinted("Name the app by its id, or its workspace with --workspace.")
	// ErrAppExists: an app that was to be new is there.
	ErrAppExists = fault.New(fault.Conflict, "already_exists", "The workspace has an app of this name already, and nothing was done.").
			Hinted("\"core app set\" changes it.")
)

// Apps is what an operator asks of the registry of apps, whose Registry it is.
type Apps interface {
	Reconcile(ctx context.Context, by apps.By, declared []apps.Declaration, dryRun bool) ([]apps.Planned, error)
	Find(ctx context.Context, by apps.By, appID string) (apps.Entry, error)
	List(ctx context.Context, by apps.By, workspaceID string, page, limit int) ([]apps.Summary, int, error)
	Remove(ctx context.Context, by apps.By, appID string) error
}

// Runtimes asks the runtimes of apps; package run's Service is one.
type Runtimes interface {
	Check(ctx context.Context, a apps.App) (run.Checked, error)
}

// AppQuery asks for a page, from 1, of apps, of all workspaces or of one by its id or name.
type AppQuery struct {
	Workspace string `json:"workspace,omitempty"`
	Page      int    `json:"page"`
	Limit     int    `json:"limit"`
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (q AppQuery) Check() error {
	var problems wire.Problems
	judgePage(&problems, q.Page, q.Limit)
	return problems.Fault(ErrInvalid)
}

// AppRef names an app by its id, or by its exact name where one alone has it, in all
// workspaces or in the one that is named by its id or name.
type AppRef struct {
	App       string `json:"app"`
	Workspace string `json:"workspace,omitempty"`
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (r AppRef) Check() error {
	var problems wire.Problems
	if _, ok := canon.Text(r.App, apps.MaxName); !ok {
		problems.Add(refused, "must be an app's id or name", "app")
	}
	return problems.Fault(ErrInvalid)
}

// AppsWanted declares apps. All become what is declared, or none does.
type AppsWanted struct {
	Apps []AppWanted `json:"apps"`
	// New: each of them must not be there yet.
	New    bool `json:"new,omitempty"`
	DryRun bool `json:"dry_run,omitempty"`
}

// AppWanted is one declaration. A key is beside it: no file of declarations has it.
type AppWanted struct {
	App apps.Declaration `json:"app"`
	Key *Passed          `json:"runtime_key,omitempty"`
}

// AppsPlanned says what became of declared apps, or would.
type AppsPlanned struct {
	DryRun bool           `json:"dry_run"`
	Apps   []apps.Planned `json:"apps"`
}

// AppPage is a page of apps.
type AppPage struct {
	Page    int        `json:"page"`
	Limit   int        `json:"limit"`
	Total   int        `json:"total"`
	HasMore bool       `json:"has_more"`
	Data    []AppEntry `json:"data"`
}

// AppEntry is an app as commands show it.
type AppEntry struct {
	ID          string                    `json:"id"`
	Name        string                    `json:"name"`
	WorkspaceID string                    `json:"workspace_id"`
	Workspace   string                    `json:"workspace"`
	Mode        apps.Mode                 `json:"mode"`
	Description string                    `json:"description"`
	Tags        []string                  `json:"tags"`
	Author      string                    `json:"author"`
	Runtime     apps.Runtime              `json:"runtime"`
	URL         string                    `json:"runtime_url"`
	Key         AppKey                    `json:"runtime_key"`
	Config      json.RawMessage           `json:"runtime_config"`
	Features    apps.DeclarationsFeatures `json:"runtime_features"`
	APIEnabled  bool                      `json:"api_enabled"`
	Access      apps.Access               `json:"access_mode"`
	// Allowed is nil in a list.
	Allowed   []AppAllowed `json:"allowed,omitempty"`
	MaxActive int          `json:"max_active_requests"`
	Status    apps.Status  `json:"status"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
}

// AppKey says of an app's key that it is there, and which. A list has no fingerprints.
type AppKey struct {
	Set         bool   `json:"set"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

// AppAllowed is an account on an app's list of access.
type AppAllowed struct {
	AccountID string `json:"account_id"`
	Email     string `json:"email"`
	Name      string `json:"name"`
}

// AppRemoved is an app that is gone.
type AppRemoved struct {
	ID        string `json:"app_id"`
	Name      string `json:"name"`
	Workspace string `json:"workspace"`
}

func entryOf(s apps.Summary) AppEntry {
	e := AppEntry{
		ID: s.ID, Name: s.Name, WorkspaceID: s.WorkspaceID, Workspace: s.WorkspaceName, Mode: s.Mode, Description: s.Description, Tags: s.Tags, Author: s.Author,
		Runtime: s.Runtime, URL: s.RuntimeURL, Key: AppKey{Set: s.SealedKey != ""}, Config: json.RawMessage("null"),
		Features: apps.DeclarationsFeatures(s.Features), APIEnabled: s.APIEnabled, Access: s.Access, MaxActive: s.MaxActive, Status: s.Status, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
	}
	if e.Tags == nil {
		e.Tags = []string{}
	}
	if json.Valid([]byte(s.RuntimeConfig)) {
		e.Config = json.RawMessage(s.RuntimeConfig)
	}
	return e
}

func (a acts) registry() apps.By { return apps.Operator(a.by) }

func (a acts) ListApps(ctx context.Context, q AppQuery) (AppPage, error) {
	if err := q.Check(); err != nil {
		return AppPage{}, err
	}
	list, total, err := a.listed(ctx, q)
	if err != nil {
		return AppPage{}, err
	}
	page := AppPage{Page: q.Page, Limit: q.Limit, Total: total, HasMore: q.Page*q.Limit < total, Data: []AppEntry{}}
	for _, s := range list {
		page.Data = append(page.Data, entryOf(s))
	}
	return page, nil
}

func (a acts) listed(ctx context.Context, q AppQuery) (list []apps.Summary, total int, err error) {
	if q.Workspace == "" || canon.IsID(q.Workspace) {
		return a.Apps.List(ctx, a.registry(), q.Workspace, q.Page, q.Limit)
	}
	list, err = a.every(ctx, func(s apps.Summary) bool { return s.WorkspaceName == q.Workspace })
	from := min((q.Page-1)*q.Limit, len(list))
	return list[from:min(from+q.Limit, len(list))], len(list), err
}

// every gives the apps that fit, of all workspaces, page by page: an operator's act may
// take longer than a request. One that slips to the next page meanwhile is given once.
func (a acts) every(ctx context.Context, fits func(s apps.Summary) bool) (list []apps.Summary, err error) {
	found := map[string]bool{}
	for page, seen := 1, 0; ; page++ {
		some, total, err := a.Apps.List(ctx, a.registry(), "", page, access.MaxPage)
		if err != nil {
			return nil, err
		}
		for _, s := range some {
			if fits(s) && !found[s.ID] {
				found[s.ID] = true
				list = append(list, s)
			}
		}
		if seen += len(some); len(some) == 0 || seen >= total {
			return list, nil
		}
	}
}

// find gives the one app that a reference names.
func (a acts) find(ctx context.Context, r AppRef) (apps.Entry, error) {
	if err := r.Check(); err != nil {
		return apps.Entry{}, err
	}
	id := r.App
	if !canon.IsID(id) {
		var err error
		if id, err = a.named(ctx, r); err != nil {
			return apps.Entry{}, err
		}
	}
	e, err := a.Apps.Find(ctx, a.registry(), id)
	if fault.Of(err).Code() == apps.ErrNotFound.Code() {
		return apps.Entry{}, ErrNoApp
	}
	return e, err
}

func (a acts) named(ctx context.Context, r AppRef) (id string, err error) {
	name, _ := canon.Text(r.App, apps.MaxName)
	list, err := a.every(ctx, func(s apps.Summary) bool {
		return s.Name == name && (r.Workspace == "" || r.Workspace == s.WorkspaceID || r.Workspace == s.WorkspaceName)
	})
	switch {
	case err != nil:
		return "", err
	case len(list) == 0:
		return "", ErrNoApp
	case len(list) > 1:
		return "", ErrManyApps
	}
	return list[0].ID, nil
}

func (a acts) ShowApp(ctx context.Context, r AppRef) (AppEntry, error) {
	found, err := a.find(ctx, r)
	if err != nil {
		return AppEntry{}, err
	}
	e := entryOf(found.Summary)
	e.Key = AppKey(found.Key)
	e.Allowed = []AppAllowed{}
	for _, who := range found.Allowed {
		e.Allowed = append(e.Allowed, AppAllowed(who))
	}
	return e, nil
}

// parse gives the declarations with their keys, and judges what the echo runtime is told:
// that runtime is here, so nobody has to run an app to learn that it does not hold.
func (w AppsWanted) parse() ([]apps.Declaration, error) {
	var problems wire.Problems
	declared := make([]apps.Declaration, len(w.Apps))
	for i, one := range w.Apps {
		d := one.App
		if one.Key != nil {
			d.Key = &one.Key.Text
		}
		declared[i] = d
		if d.Runtime == nil || *d.Runtime != apps.RuntimeEcho || d.RuntimeConfig == nil {
			continue
		}
		text, err := json.Marshal(d.RuntimeConfig)
		if err == nil {
			err = echo.Check(string(text))
		}
		if err != nil {
			problems.Add(refused, "does not hold: "+err.Error(), "apps", i, "runtime_config")
		}
	}
	return declared, problems.Fault(ErrInvalid)
}

// Check judges what can be judged without asking anybody. It returns ErrInvalid.
func (w AppsWanted) Check() error {
	_, err := w.parse()
	return err
}

func (a acts) DeclareApps(ctx context.Context, w AppsWanted) (AppsPlanned, error) {
	declared, err := w.parse()
	if err != nil {
		return AppsPlanned{}, err
	}
	if w.New {
		planned, err := a.Apps.Reconcile(ctx, a.registry(), declared, true)
		if err != nil {
			return AppsPlanned{}, err
		}
		for _, p := range planned {
			if p.Action != apps.PlanCreate {
				return AppsPlanned{}, ErrAppExists
			}
		}
	}
	planned, err := a.Apps.Reconcile(ctx, a.registry(), declared, w.DryRun)
	if planned == nil {
		planned = []apps.Planned{}
	}
	return AppsPlanned{DryRun: w.DryRun, Apps: planned}, err
}

func (a acts) RemoveApp(ctx context.Context, r AppRef) (AppRemoved, error) {
	found, err := a.find(ctx, r)
	if err != nil {
		return AppRemoved{}, err
	}
	return AppRemoved{ID: found.ID, Name: found.Name, Workspace: found.WorkspaceName}, a.Apps.Remove(ctx, a.registry(), found.ID)
}
