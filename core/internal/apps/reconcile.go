// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// Reconcile makes apps what is declared, all of it or nothing, and says what that has
// changed; dryRun changes nothing and says what it would. Nothing is removed. Repeated, it
// changes nothing. It returns ErrInvalid with what does not hold, each under "apps" and the
// index of its declaration; workspace.ErrNotFound or workspace.ErrRole to a member.
func (r *Registry) Reconcile(ctx context.Context, by By, declared []Declaration, dryRun bool) ([]Planned, error) {
	var found wire.Problems
	if len(declared) > MaxDeclarations {
		problems{&found, []any{"apps"}}.add("must be at most 500: give them in several files")
		return nil, found.Fault(ErrInvalid)
	}
	var planned []Planned
	err := r.act(ctx, by, func(ctx context.Context, a *act) error {
		c := reconciling{act: a, found: &found, rooms: map[string]*room{}}
		if err := c.prepare(ctx, declared); err != nil {
			return err
		}
		planned = c.planned
		if dryRun {
			return nil
		}
		for i, now := range c.places {
			if _, err := a.carryOut(ctx, now, c.plans[i]); err != nil {
				return err
			}
			planned[i].AppID = now.ID
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return planned, nil
}

// reconciling is one run of Reconcile in its transaction.
type reconciling struct {
	*act
	found   *wire.Problems
	rooms   map[string]*room
	places  []place
	plans   []plan
	planned []Planned
}

// room is a workspace that was taken.
type room struct {
	workspace.Workspace
	manages bool
	members []Allowed
	// ids and names are those of the apps that were declared.
	ids, names map[string]bool
}

// prepare plans what becomes of each declaration, or gives all that does not hold.
func (c *reconciling) prepare(ctx context.Context, declared []Declaration) error {
	where := make([]string, len(declared))
	for i, d := range declared {
		var err error
		if where[i], err = c.workspaceOf(ctx, d, c.at(i)); err != nil {
			return err
		}
	}
	if err := c.take(ctx, where); err != nil {
		return err
	}
	for i, d := range declared {
		if where[i] == "" {
			continue // said before
		}
		r := c.rooms[where[i]]
		if r == nil {
			c.at(i).add("no such workspace", "workspace")
			continue
		}
		now, ok, err := c.app(ctx, d, r, c.at(i))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		to, err := c.plan(ctx, now, d.change(now.fresh, r.members, c.at(i)), c.at(i))
		if err != nil {
			return err
		}
		if name := to.next.Name; r.names[name] {
			c.at(i).add("is declared twice in this workspace", memberName)
		} else if name != "" {
			r.names[name] = true
		}
		c.places, c.plans, c.planned = append(c.places, now), append(c.plans, to), append(c.planned, told(now, to, r.members))
	}
	return c.found.Fault(ErrInvalid)
}

func (c *reconciling) at(i int) problems { return problems{c.found, []any{"apps", i}} }

// workspaceOf finds the workspace of a declaration, or notes why there is none.
func (c *reconciling) workspaceOf(ctx context.Context, d Declaration, p problems) (id string, err error) {
	switch {
	case d.Workspace == "" && d.ID != "":
	case canon.IsID(d.Workspace):
		id = d.Workspace
	default:
		ids, err := c.tx.WorkspacesNamed(ctx, d.Workspace)
		if err != nil {
			return "", err
		}
		if len(ids) != 1 {
			said := map[bool]string{true: "no such workspace", false: "several workspaces have this name: give the id"}[len(ids) == 0]
			if d.Workspace == "" {
				said = "must be the workspace's id or name, unless there is one workspace alone or the app's id is given"
			}
			p.add(said, "workspace")
			return "", nil
		}
		id = ids[0]
	}
	if d.ID == "" {
		return id, nil
	}
	if !canon.IsID(d.ID) {
		p.add("no such app", "id")
		return "", nil
	}
	app, _, err := c.tx.Entry(ctx, d.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		p.add("no such app", "id")
		return "", nil
	case err != nil:
		return "", err
	case id != "" && id != app.WorkspaceID:
		p.add("is not the workspace of the app that has this id", "workspace")
		return "", nil
	}
	return app.WorkspaceID, nil
}

// take takes the workspaces in the order of their ids, and asks for the rights in each.
func (c *reconciling) take(ctx context.Context, where []string) error {
	ids := map[string]bool{}
	for _, id := range where {
		ids[id] = id != ""
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if !ids[id] {
			continue
		}
		w, err := c.tx.LockWorkspace(ctx, id)
		if errors.Is(err, workspace.ErrNotFound) && c.by.operates() {
			continue
		}
		if err != nil {
			return err
		}
		r := &room{Workspace: w, ids: map[string]bool{}, names: map[string]bool{}}
		if r.manages, err = c.rights(ctx, w, workspace.ErrNotFound); err != nil {
			return err
		}
		if r.members, err = c.tx.Members(ctx, id); err != nil {
			return err
		}
		c.rooms[id] = r
	}
	return nil
}

// app finds the app of a declaration, or the place for a new one; ok is false where it has
// noted why there is neither.
func (c *reconciling) app(ctx context.Context, d Declaration, r *room, p problems) (now place, ok bool, err error) {
	id := d.ID
	if id == "" {
		name, valid := canon.Text(d.Name, MaxName)
		if !valid {
			p.line(d.Name, MaxName, memberName)
			return place{}, false, nil
		}
		ids, err := c.tx.Named(ctx, r.ID, name)
		switch {
		case err != nil:
			return place{}, false, err
		case len(ids) > 1:
			p.add(fmt.Sprintf("%d apps of the workspace are called %q: give the id of one, of %s", len(ids), name, strings.Join(ids, ", ")), memberName)
			return place{}, false, nil
		case len(ids) == 0 && r.Status != workspace.StatusNormal:
			p.add("is archived: no app is made in it", "workspace")
			return place{}, false, nil
		case len(ids) == 0:
			return c.blank(r.Workspace, r.manages), true, nil
		}
		id = ids[0]
	}
	if r.ids[id] {
		p.add("is of an app that is declared before", map[bool]string{true: "id", false: memberName}[d.ID != ""])
		return place{}, false, nil
	}
	r.ids[id] = true
	now, err = c.find(ctx, id, r.manages)
	if errors.Is(err, ErrNotFound) {
		p.add("no such app", "id") // removed since the workspace was looked for
		return place{}, false, nil
	}
	return now, err == nil, err
}
