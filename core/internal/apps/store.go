// SPDX-License-Identifier: Apache-2.0

package apps

import "context"

// Search narrows a list; empty members take every app.
type Search struct {
	Mode Mode
	// ID selects one app; Folded is a part of names, folded as Fold does.
	ID     string
	Folded string
	Tag    string
	// Offset and Limit cut a page out of the list.
	Offset, Limit int
}

// Store reads the registry. Lists are by the time of the last change, newest first, then
// id, and come with their whole number under the same search.
type Store interface {
	// Place gives an app as the account stands to it, by one read; an empty accountID is
	// nobody's. It returns ErrNotFound for an app that does not exist.
	Place(ctx context.Context, appID, accountID string) (*Place, error)
	// Usable lists what a member of a workspace may run: apps that are not archived, whose
	// API is enabled and whose access mode lets the account in.
	Usable(ctx context.Context, workspaceID, accountID string, s Search) ([]Summary, int, error)
	// Permitted lists what people without an account may run, in every workspace that is
	// not archived.
	Permitted(ctx context.Context, s Search) ([]Summary, int, error)
}
