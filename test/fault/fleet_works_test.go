// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"net/http"
	"testing"
)

// Two processes on the same stores are one service.
func TestDF29TwoProcessesFinishEachOthersLogins(t *testing.T) {
	f := newFleet(t)
	a, b := f.serve(), f.serve()
	who := a.owner()
	if got := b.poll(a.mustCode("another")); got.refusal() != "authorization_pending" {
		t.Fatalf("before the decision: %d %s", got.Status, got.Body)
	}
	g := a.mustCode("laptop")
	if got := b.decide(who, "approve", g); got.Status != http.StatusOK { // signed in at the other
		t.Fatalf("approve: %d %s", got.Status, got.Body)
	}
	won := a.poll(g)
	if won.Status != http.StatusOK {
		t.Fatalf("poll: %d %s", won.Status, won.Body)
	}
	for name, p := range map[string]*process{"a": a, "b": b} {
		if got := p.identity(won.text("token")); got.Status != http.StatusOK || got.text("subject_email") != ownerEmail {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if got := b.logout(won.text("token")); got.Status != http.StatusOK {
		t.Fatalf("logout: %d %s", got.Status, got.Body)
	}
	for name, p := range map[string]*process{"a": a, "b": b} {
		if got := p.identity(won.text("token")); got.Status != http.StatusUnauthorized {
			t.Errorf("%s after the logout: %d %s", name, got.Status, got.Body)
		}
	}
	f.invariants()
}
