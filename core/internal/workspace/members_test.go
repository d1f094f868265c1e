// SPDX-License-Identifier: Apache-2.0

package workspace_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// patient notes how long an act would wait for its transaction.
type patient struct {
	workspace.MemberStore
	waits time.Duration
}

func (p *patient) InTx(ctx context.Context, _ func(context.Context, workspace.Tx) error) error {
	until, ok := ctx.Deadline()
	if ok {
		p.waits = time.Until(until)
	}
	return context.DeadlineExceeded
}

func TestAnActDoesNotWaitForEver(t *testing.T) {
	w := storetest.NewWorld(t)
	p := &patient{}
	s := storetest.NewMembers(t, w.Durable, p, &storetest.Tombs{}, 0, w.Clock.Now)
	_, err := s.Switch(t.Context(), canon.NewID(), canon.NewID())
	if fault.Of(err).Kind() != fault.Unavailable || p.waits <= 0 || p.waits > 10*time.Second {
		t.Fatalf("%v after at most %s", err, p.waits)
	}
}

// A commit of which nobody knows is an outage that asks for more patience, and what an
// activation ended without a tombstone says that the account is ready.
func TestAnActivationWhoseEndIsUnsure(t *testing.T) {
	w := storetest.NewWorld(t)
	owner := w.AddActive(t, "owner@example.com")
	ws := w.AddWorkspaceOf(t, "w", owner.ID)
	var faults storetest.Faults
	tombs := &storetest.Tombs{}
	s := storetest.NewMembers(t, w.Durable, storetest.FaultyMembers(w.Members, &faults), tombs, 0, w.Clock.Now)
	invite := func(email string) secret.Text {
		i, err := s.Invite(t.Context(), owner.ID, ws.ID, email, workspace.Normal)
		if err != nil {
			t.Fatal(err)
		}
		return i.Token
	}
	in := workspace.Activation{Name: "Ada", Password: secret.New("correct horse battery")}
	t.Run("TK-11 the commit's answer is lost", func(t *testing.T) {
		link := invite("ada@example.com")
		faults.Plan(storetest.Fault{Method: "Tx.Commit", Mode: storetest.LoseReply})
		_, err := s.Activate(t.Context(), link, in)
		if faults.Clear(); !errors.Is(err, token.ErrCommitUnknown) {
			t.Fatal(err)
		}
		if _, err := s.Invitation(t.Context(), link); !errors.Is(err, workspace.ErrInvitationNotFound) {
			t.Fatalf("it was committed: %v", err)
		}
	})
	t.Run("TK-11 a tombstone cannot be written", func(t *testing.T) {
		link := invite("bob@example.com")
		if _, err := w.DB.Exec(t.Context(), `INSERT INTO oauth_access_tokens
			(id, subject_email, subject_issuer, subject_id, client_id, device_label, prefix, token_hash, created_at, expires_at, approved_at, grant_ref)
			VALUES ($1, 'bob@example.com', 'https://idp.example', 'bob', 'difyctl', 'l', 'dfoe_', $2, $3, $4, $3, $2)`,
			canon.NewID(), make([]byte, 32), w.Clock.Now(), w.Clock.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		tombs.Fail(fault.ErrUnavailable)
		_, err := s.Activate(t.Context(), link, in)
		if f := fault.Of(err); f.Kind() != fault.Unavailable || f.Hint() == "" {
			t.Fatal(err)
		}
		if a, err := w.Accounts.ByEmail(t.Context(), "bob@example.com"); err != nil || !a.Status.MayHoldTokens() || a.Name != "Ada" {
			t.Fatalf("%+v, %v", a, err)
		}
	})
}
