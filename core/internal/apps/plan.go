// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"context"
	"slices"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// plan is what an act makes of one app.
type plan struct {
	next App // with the key that it is to have
	// own are the members that change other than access and key.
	own           []string
	access, key   bool
	added, remove []string
}

// changed names the members that change.
func (p plan) changed() []string {
	names := slices.Clone(p.own)
	for _, m := range []struct {
		name string
		is   bool
	}{{memberAccess, p.access}, {memberAllowed, p.list()}, {memberKey, p.key}} {
		if m.is {
			names = append(names, m.name)
		}
	}
	return names
}

// list reports whether the list of access changes.
func (p plan) list() bool { return len(p.added)+len(p.remove) > 0 }

// plan finds what a change comes to, and notes what of it does not hold. It returns
// workspace.ErrRole for what is not an editor's, whether it holds or not.
func (a *act) plan(ctx context.Context, now place, c Change, p problems) (to plan, err error) {
	to.next = a.settle(now.App, c, now.manages, p)
	to.own = differences(now.App, to.next)
	to.access = now.Access != to.next.Access
	if c.Key != nil {
		p.judgeKey(*c.Key)
		if to.key = !a.hasKey(now.App, *c.Key); to.key {
			to.next.SealedKey = a.sealKey(now.ID, *c.Key)
		}
	} else if now.SealedKey != "" && origin(now.RuntimeURL) != origin(to.next.RuntimeURL) {
		// A key is written and never read: who points it at a host of their own would read it.
		to.key, to.next.SealedKey = true, ""
	}
	if !now.manages && (to.key || slices.ContainsFunc(to.own, func(name string) bool { return managed(name) && (!now.fresh || name != memberRuntime) })) {
		return plan{}, workspace.ErrRole
	}
	if c.Allowed != nil {
		want, err := a.judgeAllowed(ctx, now.WorkspaceID, *c.Allowed, p)
		if err != nil {
			return plan{}, err
		}
		to.added, to.remove = compared(now.allowed, want)
	}
	return to, nil
}

// managed reports the members that an owner or an admin alone changes: where an app's
// work goes, and with what. An editor who makes an app still says on which kind of
// runtime it will be.
func managed(name string) bool {
	return name == memberRuntime || name == memberURL || name == memberConfig || name == memberFeatures
}

// carryOut writes what was planned, with its events. Where nothing changes nothing is
// written.
func (a *act) carryOut(ctx context.Context, now place, to plan) (Entry, error) {
	if len(to.changed()) == 0 {
		return a.entry(now.Summary, now.allowed), nil
	}
	if a.now.After(to.next.UpdatedAt) { // a clock may go back, and this does not
		to.next.UpdatedAt = a.now
	}
	write := a.tx.Save
	if now.fresh {
		write = a.tx.Insert
	}
	if err := write(ctx, to.next); err != nil {
		return Entry{}, err
	}
	if len(to.remove) > 0 {
		if err := a.tx.Disallow(ctx, now.ID, to.remove); err != nil {
			return Entry{}, err
		}
	}
	if len(to.added) > 0 {
		if err := a.tx.Allow(ctx, now.ID, a.by.AccountID, a.now, to.added); err != nil {
			return Entry{}, err
		}
	}
	a.tell(ctx, now, to)
	summary, allowed, err := a.tx.Entry(ctx, now.ID)
	if err != nil {
		return Entry{}, err
	}
	return a.entry(summary, allowed), nil
}

// tell puts on record what was carried out.
func (a *act) tell(ctx context.Context, now place, to plan) {
	app := to.next
	switch {
	case now.fresh:
		a.record(ctx, app, created{AppID: app.ID, Name: app.Name, Mode: app.Mode, Runtime: app.Runtime, Access: app.Access})
	case len(to.own) > 0:
		a.record(ctx, app, updated{AppID: app.ID, Changed: to.own})
	}
	if to.key {
		a.record(ctx, app, keyChanged{AppID: app.ID, Set: app.SealedKey != ""})
	}
	changed := []string{}
	if to.access && !now.fresh {
		changed = append(changed, memberAccess)
	}
	if to.list() {
		changed = append(changed, memberAllowed)
	}
	if len(changed) > 0 {
		a.record(ctx, app, accessChanged{AppID: app.ID, Changed: changed, Access: app.Access, Added: to.added, Removed: to.remove})
	}
}

// sealKey seals a key for its app; an empty one is none.
func (r *Registry) sealKey(appID string, key secret.Text) string {
	if key.IsZero() {
		return ""
	}
	return r.Sealing.Seal([]byte(key.Reveal()), KeyPlace(appID))
}

// hasKey reports whether a key is an app's. What does not open is no key's.
func (r *Registry) hasKey(app App, key secret.Text) bool {
	if app.SealedKey == "" || key.IsZero() {
		return app.SealedKey == "" && key.IsZero()
	}
	was, err := r.OpenKey(app)
	return err == nil && was.Equal(key)
}

// compared gives who comes onto a list and who leaves it.
func compared(was []Allowed, want []string) (added, removed []string) {
	for _, w := range was {
		if !slices.Contains(want, w.AccountID) {
			removed = append(removed, w.AccountID)
		}
	}
	for _, id := range want {
		if !slices.ContainsFunc(was, func(w Allowed) bool { return w.AccountID == id }) {
			added = append(added, id)
		}
	}
	return added, removed
}

// judgeAllowed gives the accounts, each once, and notes those that are no members.
func (a *act) judgeAllowed(ctx context.Context, workspaceID string, accounts []string, p problems) (kept []string, err error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	if len(accounts) > MaxAllowed {
		p.add("must be at most 1000", memberAllowed)
		return nil, nil
	}
	members, err := a.tx.Members(ctx, workspaceID)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(members))
	for _, m := range members {
		known[m.AccountID] = true
	}
	for i, id := range accounts {
		switch {
		case !known[id]:
			p.add("is no member of the app's workspace", memberAllowed, i)
		case !slices.Contains(kept, id):
			kept = append(kept, id)
		}
	}
	return kept, nil
}
