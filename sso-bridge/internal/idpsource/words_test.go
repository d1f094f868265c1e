// SPDX-License-Identifier: Apache-2.0

package idpsource

import (
	"errors"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

func TestReasonsInWords(t *testing.T) {
	const host = "https://idp.example/metadata?secret=1"
	seen := map[string]bool{}
	for _, phase := range []string{PhaseStatus, PhaseRefused, PhaseTooLarge, PhaseRedirect, PhaseContentType, PhaseCircuit, "dns", "tls", "timeout", "connect", "encoding"} {
		text := explained(unread(place{source: host}, &Unread{Phase: phase, Status: 500, Cause: errors.New("what came")}))
		if seen[text] || !strings.HasSuffix(text, ".") || strings.Contains(text, "secret") || strings.Contains(text, "what came") {
			t.Errorf("%s: %q", phase, text)
		}
		seen[text] = true
	}
	for _, cause := range []string{"issuer_taken", "entity_id_other"} {
		if text := explained(failure.New(failure.SAMLMetadata).With("cause", cause)); !strings.Contains(text, "entity id") {
			t.Errorf("%s: %q", cause, text)
		}
	}
	if text := explained(failure.New(failure.Internal)); text == "" {
		t.Error("nothing is said of a defect of ours")
	}
}

func TestEvents(t *testing.T) {
	names := map[string]bool{}
	for _, k := range AuditKinds() {
		names[k.Of.EventName()] = k.When != ""
	}
	for _, name := range []string{"loaded", "applied", "held", "withdrawn", "accepted", "rejected"} {
		if !names["sso.metadata_"+name] {
			t.Errorf("%s is not listed", name)
		}
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	m := map[string]int{}
	for i := range 3*maxRemembered + 1 {
		remember(m, strings.Repeat("x", i), i)
	}
	if len(m) > maxRemembered {
		t.Errorf("%d are remembered", len(m))
	}
	if _, err := New(Deps{}); err == nil {
		t.Error("a service without a store")
	}
}
