// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"context"
	"slices"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// reach asks once for the app, its workspace and what the caller is to both, anew for each
// request, and then judges (docs/specs/v1.0/server/middleware.md, Authorization).
func (b *BearerAuthenticator) reach(ctx context.Context, c *Caller, rule *Rule, p *Presented) error {
	ctx, cancel := context.WithTimeout(ctx, placeLimit)
	defer cancel()
	place, err := b.Apps.Place(ctx, c.Subject.AccountID, p.App)
	if err != nil {
		return fault.Store(err)
	}
	c.App = place
	return mayReach(rule, c.Kind.SubjectType, place)
}

// MayReach judges an account's app that no path names, as Authenticate judges one of a path.
func MayReach(rule Rule, p *apps.Place) error { return mayReach(&rule, token.SubjectAccount, p) }

// mayReach judges what was read. Who is no member, and who has no account, learns of no
// app that is not for them more than of one that does not exist.
func mayReach(rule *Rule, kind token.SubjectType, p *apps.Place) error {
	member := kind == token.SubjectAccount
	if member && p.Role == "" || p.Workspace.Status != workspace.StatusNormal || p.App.Status != apps.StatusNormal {
		return apps.ErrNotFound
	}
	if !member {
		if !p.App.Access.External() || !p.App.APIEnabled {
			return apps.ErrNotFound
		}
		return nil
	}
	if len(rule.Roles) > 0 && !slices.Contains(rule.Roles, p.Role) {
		return workspace.ErrRole
	}
	switch {
	case p.App.Access.External(), p.App.Access == apps.InternalAll:
	case p.App.Access == apps.Internal && (p.Listed || p.Role.Manages()):
	default:
		return apps.ErrAccessDenied
	}
	if !p.App.APIEnabled && !rule.Described {
		return apps.ErrAPIDisabled
	}
	return nil
}
