// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// Create adds an app to a workspace. It returns workspace.ErrNotFound for a workspace that
// does not exist or is archived, and to a stranger; workspace.ErrRole to a member whose
// role does not let them make apps, or reach a runtime; ErrInvalid.
func (r *Registry) Create(ctx context.Context, by By, workspaceID string, d Draft) (Entry, error) {
	if !canon.IsID(workspaceID) {
		return Entry{}, workspace.ErrNotFound
	}
	var made Entry
	err := r.act(ctx, by, func(ctx context.Context, a *act) (err error) {
		w, err := a.tx.LockWorkspace(ctx, workspaceID)
		if err != nil {
			return err
		}
		manages, err := a.rights(ctx, w, workspace.ErrNotFound)
		if err != nil {
			return err
		}
		if w.Status != workspace.StatusNormal {
			return workspace.ErrNotFound
		}
		p := problems{Problems: &wire.Problems{}}
		blank := a.blank(w, manages || d.Imported)
		plan, err := a.plan(ctx, blank, d.change(), p)
		if err == nil {
			err = p.Fault(ErrInvalid)
		}
		if err != nil {
			return err
		}
		if d.Once {
			if before, found, err := a.repeated(ctx, plan.next); err != nil || found {
				made = before
				return err
			}
		}
		made, err = a.carryOut(ctx, blank, plan)
		return err
	})
	return made, err
}

// repeatedWithin is how long a form that is sent twice makes one app.
const repeatedWithin = 10 * time.Second

// repeated finds the app that the same form has made a moment ago. Acts on a workspace are
// in a row, and so are the two of a double click; the one that waited may have read the clock
// before the one that made the app.
func (a *act) repeated(ctx context.Context, next App) (Entry, bool, error) {
	ids, err := a.tx.Named(ctx, next.WorkspaceID, next.Name)
	if err != nil {
		return Entry{}, false, err
	}
	for _, id := range ids {
		had, err := a.find(ctx, id, false)
		if err != nil {
			return Entry{}, false, err
		}
		apart := a.now.Sub(had.CreatedAt).Abs()
		if had.CreatedBy == next.CreatedBy && apart < repeatedWithin && had.Access == next.Access && len(differences(had.App, next)) == 0 {
			return a.entry(had.Summary, had.allowed), true, nil
		}
	}
	return Entry{}, false, nil
}

// Update changes an app and names the members that have changed. It returns ErrNotFound,
// workspace.ErrRole or ErrInvalid.
func (r *Registry) Update(ctx context.Context, by By, appID string, c Change) (Entry, []string, error) {
	var after Entry
	var changed []string
	err := r.among(ctx, by, appID, func(ctx context.Context, a *act, now place) error {
		p := problems{Problems: &wire.Problems{}}
		plan, err := a.plan(ctx, now, c, p)
		if err == nil {
			err = p.Fault(ErrInvalid)
		}
		if err != nil {
			return err
		}
		after, err = a.carryOut(ctx, now, plan)
		changed = plan.changed()
		return err
	})
	if err != nil {
		return Entry{}, nil, err
	}
	return after, changed, nil
}

// SetKey gives an app another key at its runtime; an empty one takes it away. It returns
// what Update does.
func (r *Registry) SetKey(ctx context.Context, by By, appID string, key secret.Text) (Key, error) {
	e, _, err := r.Update(ctx, by, appID, Change{Key: &key})
	return e.Key, err
}

// SetAllowed replaces the list of access by accounts, all of them members of the app's
// workspace. It returns what Update does.
func (r *Registry) SetAllowed(ctx context.Context, by By, appID string, accounts []string) (Entry, error) {
	e, _, err := r.Update(ctx, by, appID, Change{Allowed: &accounts})
	return e, err
}

// Remove deletes an app and its list of access. What was run stays on record. It returns
// ErrNotFound or workspace.ErrRole.
func (r *Registry) Remove(ctx context.Context, by By, appID string) error {
	return r.among(ctx, by, appID, func(ctx context.Context, a *act, now place) error {
		if err := a.tx.Remove(ctx, appID); err != nil {
			return err
		}
		a.record(ctx, now.App, deleted{AppID: appID, Name: now.Name})
		return nil
	})
}

// act is one transaction of somebody over the registry, and what it puts on record.
type act struct {
	*Registry
	tx     Tx
	by     By
	now    time.Time
	events []audit.Event
}

// place is an app that an act has taken, as it is.
type place struct {
	Summary
	allowed []Allowed
	// manages: who acts may change how the runtime is reached.
	manages bool
	// fresh: there is no such app yet.
	fresh bool
}

// blank is the place of an app that is about to be made.
func (a *act) blank(w workspace.Workspace, manages bool) place {
	return place{manages: manages, fresh: true, Summary: Summary{WorkspaceName: w.Name, App: App{
		ID: canon.NewID(), WorkspaceID: w.ID, Tags: []string{}, CreatedBy: a.by.AccountID, CreatedAt: a.now, UpdatedAt: a.now,
	}}}
}

// actLimit bounds an act that waits for the lock of another, or for a database that does
// not answer.
const actLimit = 10 * time.Second

// act runs fn in one transaction and puts its events on record with it.
func (r *Registry) act(ctx context.Context, by By, fn func(ctx context.Context, a *act) error) error {
	ctx, cancel := context.WithTimeout(ctx, actLimit)
	defer cancel()
	now := r.Now().UTC().Truncate(time.Microsecond)
	var events []audit.Event
	err := r.Store.InTx(ctx, func(ctx context.Context, tx Tx) error {
		a := &act{Registry: r, tx: tx, by: by, now: now}
		if err := fn(ctx, a); err != nil {
			return err
		}
		events = a.events
		if len(events) == 0 {
			return nil
		}
		return tx.Append(ctx, events...)
	})
	if err != nil {
		return fault.Store(err)
	}
	r.Recorder.Committed(events...)
	return nil
}

// among runs an act on an app that exists, behind its workspace's lock.
func (r *Registry) among(ctx context.Context, by By, appID string, fn func(ctx context.Context, a *act, now place) error) error {
	if !canon.IsID(appID) {
		return ErrNotFound
	}
	return r.act(ctx, by, func(ctx context.Context, a *act) error {
		w, err := a.tx.LockWorkspaceOf(ctx, appID)
		if err != nil {
			return err
		}
		manages, err := a.rights(ctx, w, ErrNotFound)
		if err != nil {
			return err
		}
		now, err := a.find(ctx, appID, manages)
		if err != nil {
			return err
		}
		return fn(ctx, a, now)
	})
}

func (a *act) find(ctx context.Context, appID string, manages bool) (p place, err error) {
	p.manages = manages
	p.Summary, p.allowed, err = a.tx.Entry(ctx, appID)
	return p, err
}

// rights asks whether the apps of a workspace that was taken are for this person to
// change.
func (a *act) rights(ctx context.Context, w workspace.Workspace, unknown error) (manages bool, err error) {
	if a.by.operates() {
		return true, nil
	}
	role, err := a.tx.Role(ctx, w.ID, a.by.AccountID)
	if err != nil {
		return false, err
	}
	return keeps(w, role, unknown)
}

// keeps reports whether a role changes how an app's runtime is reached. It returns unknown
// to a stranger and where the workspace is archived, and workspace.ErrRole for a role that
// keeps no apps.
func keeps(w workspace.Workspace, role workspace.Role, unknown error) (manages bool, err error) {
	switch {
	case role == "", w.Status != workspace.StatusNormal:
		return false, unknown
	case !Keeps(role):
		return false, workspace.ErrRole
	}
	return role.Manages(), nil
}

// Keeps reports whether a role keeps the apps of its workspace. How their runtimes are
// reached is for those to change who manage the workspace.
func Keeps(role workspace.Role) bool { return role.Manages() || role == workspace.Editor }

func (a *act) record(ctx context.Context, app App, d audit.Details) {
	a.events = append(a.events, about(ctx, a.now, a.by, app, d))
}
