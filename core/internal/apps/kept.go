// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
)

// RegistryStore keeps apps for a Registry.
type RegistryStore interface {
	Store
	// InTx runs fn in one transaction. It returns token.ErrCommitUnknown when the commit
	// itself failed; any other error means that nothing was written.
	InTx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Member gives a workspace and the account's role in it, empty for who is no member, or
	// workspace.ErrNotFound.
	Member(ctx context.Context, workspaceID, accountID string) (workspace.Workspace, workspace.Role, error)
	// Entry gives an app and its list of access, by e-mail, or ErrNotFound.
	Entry(ctx context.Context, appID string) (Summary, []Allowed, error)
	// Kept lists the apps of a workspace, all of them, in the order of Store's lists; an
	// empty workspaceID takes every workspace.
	Kept(ctx context.Context, workspaceID string, offset, limit int) ([]Summary, int, error)
	// Insert adds an app as it is.
	Insert(ctx context.Context, a App) error
}

// Tx is what a transaction over the registry can do. It takes the workspace first, as acts
// on members do, and everything of that workspace's apps behind it; of several workspaces
// in the order of their ids.
type Tx interface {
	// LockWorkspace takes the workspace's row, whatever its status: acts on its apps and on
	// its members are in a row. It returns workspace.ErrNotFound.
	LockWorkspace(ctx context.Context, id string) (workspace.Workspace, error)
	// LockWorkspaceOf takes the row of an app's workspace, or returns ErrNotFound.
	LockWorkspaceOf(ctx context.Context, appID string) (workspace.Workspace, error)
	// Role gives an account's role in a workspace, empty for who is no member.
	Role(ctx context.Context, workspaceID, accountID string) (workspace.Role, error)
	// Members gives all members of a workspace.
	Members(ctx context.Context, workspaceID string) ([]Allowed, error)
	// Entry gives an app and its list of access, by e-mail, or ErrNotFound.
	Entry(ctx context.Context, appID string) (Summary, []Allowed, error)
	// Named gives the ids of a workspace's apps of exactly this name.
	Named(ctx context.Context, workspaceID, name string) ([]string, error)
	// WorkspacesNamed gives the ids of workspaces of exactly this name that are not
	// archived, of any name for an empty one: two where there are more.
	WorkspacesNamed(ctx context.Context, name string) ([]string, error)
	// Insert adds an app.
	Insert(ctx context.Context, a App) error
	// Save writes what of an app can change, with its UpdatedAt.
	Save(ctx context.Context, a App) error
	// Remove deletes an app and its list of access.
	Remove(ctx context.Context, appID string) error
	// Allow puts accounts on an app's list of access, Disallow takes them off it.
	Allow(ctx context.Context, appID, grantedBy string, now time.Time, accounts []string) error
	Disallow(ctx context.Context, appID string, accounts []string) error
	// Append writes audit events.
	Append(ctx context.Context, events ...audit.Event) error
}
