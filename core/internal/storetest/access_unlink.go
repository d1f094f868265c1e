// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// accessUnlink is the contract of Tx.Unlink, and of the act over it: every link of an
// issuer goes, each on record, or none does.
func accessUnlink(t *testing.T, open OpenDurable) {
	a, b := open(t)
	ada, bob := fullAccount("ada@example.com"), fullAccount("bob@example.com")
	a.AddAccount(t, ada)
	a.AddAccount(t, bob)
	const other = "https://other.example.com"
	a.AddIdentity(t, ada.ID, idp, "ada")
	a.AddIdentity(t, bob.ID, idp, "bob")
	a.AddIdentity(t, bob.ID, other, "bob")
	links := func(t *testing.T) int { t.Helper(); return b.Count(t, `SELECT count(*) FROM account_identities`) }
	by := audit.Actor{Type: audit.Operator.Type, ID: "bridge:cli:root"}

	var faults Faults
	r := a.replica(t, FaultyAccess(a.Access, &faults), after(time.Minute))
	for _, at := range []string{"InTx", "Tx.Unlink", "Tx.Append", "Tx.Commit"} {
		t.Run("SSO-108 nothing is unlinked where "+at+" fails", func(t *testing.T) {
			faults.Clear()
			faults.Plan(Fault{Method: at, On: 1})
			_, err := r.access.UnlinkIssuer(t.Context(), idp, "taken over", by)
			if fault.Of(err).Kind() != fault.Unavailable || faults.Calls(at) == 0 {
				t.Fatalf("err = %v", err)
			}
			if links(t) != 3 || len(b.Events(t)) > 0 {
				t.Fatalf("%d links, events %v", links(t), b.eventNames(t))
			}
		})
	}
	faults.Clear()
	t.Run("SSO-108 every link of the issuer goes, each on record", func(t *testing.T) {
		n, err := r.access.UnlinkIssuer(t.Context(), idp, "taken over", by)
		if err != nil || n != 2 || links(t) != 1 {
			t.Fatalf("%d unlinked, %d left: %v", n, links(t), err)
		}
		events := b.Events(t)
		if len(events) != 2 {
			t.Fatalf("events %v", b.eventNames(t))
		}
		for _, e := range events {
			if e.Name != "sso.identity_unlinked" || e.Actor != by || e.SubjectKey == "" {
				t.Errorf("%+v", e)
			}
		}
	})
	t.Run("an issuer without links", func(t *testing.T) {
		if n, err := r.access.UnlinkIssuer(t.Context(), idp, "taken over", by); err != nil || n != 0 || links(t) != 1 {
			t.Fatalf("%d unlinked: %v", n, err)
		}
	})
	t.Run("what is taken is told", func(t *testing.T) {
		a.AddIdentity(t, ada.ID, idp, "ada")
		a.AddIdentity(t, ada.ID, idp, "ada-again")
		var got []access.Link
		a.within(t, func(ctx context.Context, tx access.Tx) (err error) { got, err = tx.Unlink(ctx, idp); return err })
		slices.SortFunc(got, func(x, y access.Link) int { return cmp.Compare(x.SubjectID, y.SubjectID) })
		same(t, "links", got, []access.Link{{AccountID: ada.ID, Issuer: idp, SubjectID: "ada"}, {AccountID: ada.ID, Issuer: idp, SubjectID: "ada-again"}})
	})
}
