// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// NewApp puts an app into the registry as it is, and fills in what is missing: an id, a
// name, a chat app on the echo runtime that every member may use.
func (s *Server) NewApp(t testing.TB, a apps.App) apps.App {
	t.Helper()
	fill(&a.ID, canon.NewID())
	fill(&a.Name, "An app")
	fill(&a.Mode, apps.Chat)
	fill(&a.Runtime, apps.RuntimeEcho)
	fill(&a.Access, apps.InternalAll)
	fill(&a.Status, apps.StatusNormal)
	now := s.Clock.Now().UTC().Truncate(time.Microsecond)
	fill(&a.CreatedAt, now)
	fill(&a.UpdatedAt, now)
	if err := s.App.Stores.Apps.Insert(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

func fill[T comparable](to *T, with T) {
	var none T
	if *to == none {
		*to = with
	}
}
