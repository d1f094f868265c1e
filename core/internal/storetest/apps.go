// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/seal"
)

// Apps is the contract of apps.RegistryStore, and of what the registry makes of it on two
// replicas.
func Apps(t *testing.T, open OpenDurable) {
	appReads(t, open)
	appLists(t, open)
	appRights(t, open)
	appActs(t, open)
	appFailures(t, open)
	appRaces(t, open)
}

// appKeys seal in every suite: two replicas have the same.
var appKeys = seal.NewKeyFile("one")

// NewRegistry builds the service that changes apps, on a store that may fail by plan.
func NewRegistry(t *testing.T, d Durable, s apps.RegistryStore, now func() time.Time) *apps.Registry {
	t.Helper()
	recorder, err := audit.NewRecorder(d.Audit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Parse(appKeys)
	if err != nil {
		t.Fatal(err)
	}
	r, err := apps.NewRegistry(apps.RegistryDeps{
		Store: s, Sealing: keys, Recorder: recorder, Now: now, Fingerprints: []byte("fingerprints"), Acceptable: func(string) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// house is a workspace with a member of each role, and the registry on both replicas.
type house struct {
	a, b                                 Durable
	w                                    workspace.Workspace
	owner, admin, editor, normal, nobody account.Account
	r                                    []*apps.Registry
}

func newHouse(t *testing.T, open OpenDurable) house {
	t.Helper()
	h := house{}
	h.a, h.b = open(t)
	h.owner, h.nobody = h.a.AddActive(t, "owner@example.com"), h.a.AddActive(t, "nobody@example.com")
	h.w = h.a.AddWorkspaceOf(t, "w", h.owner.ID)
	for role, to := range map[workspace.Role]*account.Account{workspace.Admin: &h.admin, workspace.Editor: &h.editor, workspace.Normal: &h.normal} {
		*to = h.a.AddActive(t, string(role)+"@example.com")
		h.a.AddMember(t, h.w.ID, to.ID, role, false)
	}
	h.r = []*apps.Registry{NewRegistry(t, h.a, h.a.Apps, at(after(time.Minute))), NewRegistry(t, h.b, h.b.Apps, at(after(time.Minute)))}
	return h
}

// registry describes, in an order of its own, everything that acts on apps change: two
// states are the same when nothing was written in between.
func (d Durable) registry(t *testing.T) (out []string) {
	t.Helper()
	for _, query := range []string{
		`SELECT p.id || ' ' || p.name || ' ' || p.name_folded || ' ' || p.description || ' ' || p.mode || ' ' || p.tags || ' ' || p.author || ' ' || p.runtime || ' ' || p.runtime_url || ' ' ||
			COALESCE(p.runtime_key_sealed, '') || ' ' || COALESCE(p.runtime_config, '') || ' ' || p.runtime_features || ' ' || p.access_mode || ' ' || p.status || ' ' ||
			CASE WHEN p.api_enabled THEN 'on' ELSE 'off' END || ' ' || CAST(p.max_active AS text) || ' ' || CAST(p.updated_at AS text) FROM apps p`,
		`SELECT app_id || ' ' || account_id || ' ' || COALESCE(granted_by, '') FROM app_access`,
		`SELECT event || ' ' || fields FROM audit_events`,
	} {
		out = append(out, d.column(t, query)...)
	}
	return out
}

// told gives the events with their own fields.
func (d Durable) told(t *testing.T) (out []string) {
	t.Helper()
	for _, e := range d.Events(t) {
		out = append(out, e.Name+" "+string(e.Fields))
	}
	return out
}
