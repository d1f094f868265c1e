// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// activation is a person's answer to their first invitation.
func activation(name string) workspace.Activation {
	return workspace.Activation{Name: name, Password: secret.New("correct horse"), Browser: console.Browser{IP: "192.0.2.1", UserAgent: "Firefox"}}
}

// memberFailures lets each statement of each act fail in turn: nothing of it is left,
// and the act can be done again.
func memberFailures(t *testing.T, open OpenDurable) {
	type world struct {
		ws                              string
		owner, member, pending, invited account.Account
		pendingLink, invitedLink        secret.Text
	}
	const pending, invited = "pending@example.com", "invited@example.com"
	acts := map[string]struct {
		run        func(ctx context.Context, s *workspace.Members, w world) error
		statements []string
	}{
		"invite": {func(ctx context.Context, s *workspace.Members, w world) error {
			_, err := s.Invite(ctx, w.owner.ID, w.ws, "new@example.com", workspace.Normal)
			return err
		}, []string{"InTx", "Tx.LockWorkspace", "Tx.Member", "Tx.ClaimAccount", "Tx.HoldsExternalTokens", "Tx.CountMembers", "Tx.AddMember", "Tx.PutInvitation", "Tx.Append", "Tx.Commit"}},
		"invite again with another role": {func(ctx context.Context, s *workspace.Members, w world) error {
			_, err := s.Invite(ctx, w.owner.ID, w.ws, pending, workspace.Admin)
			return err
		}, []string{"Tx.Account", "Tx.SetRole", "Tx.PutInvitation", "Tx.Append", "Tx.Commit"}},
		"remove": {func(ctx context.Context, s *workspace.Members, w world) error {
			return s.Remove(ctx, w.owner.ID, w.ws, w.pending.ID)
		}, []string{"InTx", "Tx.LockWorkspace", "Tx.Member", "Tx.LockAccount", "Tx.RemoveMember", "Tx.DropPending", "Tx.Append", "Tx.Commit"}},
		"role": {func(ctx context.Context, s *workspace.Members, w world) error {
			return s.SetRole(ctx, w.owner.ID, w.ws, w.member.ID, workspace.Admin)
		}, []string{"InTx", "Tx.LockWorkspace", "Tx.Member", "Tx.SetRole", "Tx.Append", "Tx.Commit"}},
		"switch": {func(ctx context.Context, s *workspace.Members, w world) error {
			_, err := s.Switch(ctx, w.member.ID, w.ws)
			return err
		}, []string{"InTx", "Tx.LockAccount", "Tx.Place", "Tx.MakeCurrent", "Tx.Append", "Tx.Commit"}},
		"accept": {func(ctx context.Context, s *workspace.Members, w world) error {
			_, err := s.Accept(ctx, w.invitedLink, w.invited.ID)
			return err
		}, []string{"Invitation", "InTx", "Tx.LockWorkspace", "Tx.LockAccount", "Tx.TakeInvitation", "Tx.CountMembers", "Tx.AddMember", "Tx.HasCurrent", "Tx.MakeCurrent", "Tx.Append", "Tx.Commit"}},
		"decline": {func(ctx context.Context, s *workspace.Members, w world) error {
			return s.Decline(ctx, w.invitedLink, w.invited.ID)
		}, []string{"Invitation", "InTx", "Tx.DropInvitation", "Tx.Append", "Tx.Commit"}},
		"activate": {func(ctx context.Context, s *workspace.Members, w world) error {
			_, err := s.Activate(ctx, w.pendingLink, activation("P"))
			return err
		}, []string{
			"Invitation", "InTx", "Tx.LockEpochs", "Tx.LockWorkspace", "Tx.LockAccount", "Tx.TakeInvitation", "Tx.Activate", "Tx.DropUnaccepted", "Tx.BumpEpoch", "Tx.EndTokens",
			"Tx.EndBrowsers", "Tx.EndedSince", "Tx.MakeCurrent", "Tx.ReplaceBrowser", "Tx.Append", "Tx.Commit",
		}},
	}
	for name, act := range acts {
		t.Run("API-9 API-11 OUT-06 "+name+": whatever fails, nothing is left", func(t *testing.T) {
			a, b := open(t)
			// A deployment administrator: the tokens below keep others from inviting.
			w := world{owner: a.AddAccount(t, fullAccount("owner@example.com")), member: a.AddActive(t, "member@example.com"), invited: a.AddActive(t, invited)}
			w.ws = a.AddWorkspaceOf(t, "w", w.owner.ID).ID
			a.AddMember(t, w.ws, w.member.ID, workspace.Normal, false)
			var faults Faults
			tombs := &Tombs{}
			s := NewMembers(t, a, FaultyMembers(a.Members, &faults), tombs, 100, at(after(time.Minute)))
			for email, link := range map[string]*secret.Text{pending: &w.pendingLink, invited: &w.invitedLink} {
				i, err := s.Invite(t.Context(), w.owner.ID, w.ws, email, workspace.Normal)
				if err != nil {
					t.Fatal(err)
				}
				*link = i.Token
			}
			w.pending, _ = a.Accounts.ByEmail(t.Context(), pending)
			held := a.login(t, guest(external(idp, "p", pending, ""), "l", "one", start))
			before := b.belonging(t)
			for _, statement := range act.statements {
				faults.Clear()
				faults.Plan(Fault{Method: statement, On: 1})
				err := act.run(t.Context(), s, w)
				if fault.Of(err).Kind() != fault.Unavailable || faults.Calls(statement) == 0 {
					t.Fatalf("%s fails: %v", statement, err)
				}
				same(t, statement, b.belonging(t), before)
				if n := len(tombs.Taken()); n > 0 {
					t.Errorf("%s: %d tombstones", statement, n)
				}
			}
			faults.Clear()
			if err := act.run(t.Context(), s, w); err != nil {
				t.Fatal(err)
			}
			if name == "activate" {
				same(t, "tombstones", tombs.Taken(), []secret.Digest{held.TokenHash})
			}
		})
	}
}

// refused tells an answer that a race may have from a failure.
func refused(err error, may ...error) error {
	for _, m := range may {
		if errors.Is(err, m) {
			return nil
		}
	}
	return err
}

// memberRaces lets two replicas act at once. What must hold then is asked of the rows.
func memberRaces(t *testing.T, open OpenDurable) {
	type pair struct{ a, b Durable }
	services := func(t *testing.T, limit int) (pair, []*workspace.Members) {
		a, b := open(t)
		return pair{a, b}, []*workspace.Members{
			NewMembers(t, a, a.Members, &Tombs{}, limit, at(start)), NewMembers(t, b, b.Members, &Tombs{}, limit, at(start)),
		}
	}
	all := func(t *testing.T, what string, errs []error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	ctx := context.Background()

	t.Run("API-8 switch at once: one workspace is the current one", func(t *testing.T) {
		p, s := services(t, 0)
		who := p.a.AddActive(t, "ada@example.com")
		var ids []string
		for i := range 4 {
			ids = append(ids, p.a.AddWorkspaceOf(t, fmt.Sprint(i), who.ID).ID)
		}
		for n := range accessRounds(200) {
			all(t, "switch", atOnce(4, func(i int) error {
				_, err := s[i%2].Switch(ctx, who.ID, ids[(i+n)%4])
				return err
			}))
			if n := p.b.Count(t, `SELECT count(*) FROM memberships WHERE account_id = $1 AND current = $2`, who.ID, true); n != 1 {
				t.Fatalf("%d current", n)
			}
		}
	})

	t.Run("API-11 accept at once: a member once, and the invitation is used once", func(t *testing.T) {
		p, s := services(t, 0)
		owner := p.a.AddActive(t, "owner@example.com")
		ws := p.a.AddWorkspaceOf(t, "w", owner.ID).ID
		for n := range accessRounds(100) {
			who := p.a.AddActive(t, fmt.Sprintf("ada-%d@example.com", n))
			i, err := s[0].Invite(ctx, owner.ID, ws, who.Email, workspace.Normal)
			if err != nil {
				t.Fatal(err)
			}
			won, declined := 0, 0
			for at, err := range atOnce(6, func(at int) error {
				if at == 5 {
					return s[at%2].Decline(ctx, i.Token, who.ID)
				}
				_, err := s[at%2].Accept(ctx, i.Token, who.ID)
				return err
			}) {
				switch {
				case err == nil && at == 5:
					declined++
				case err == nil:
					won++
				case refused(err, workspace.ErrInvitationNotFound) != nil:
					t.Fatal(err)
				}
			}
			if members := p.b.Count(t, `SELECT count(*) FROM memberships WHERE account_id = $1`, who.ID); won+declined != 1 || members != won {
				t.Fatalf("round %d: %d accepted, %d declined, %d memberships", n, won, declined, members)
			}
		}
	})

	t.Run("API-11 activate at once: one account, one session, one owner of the password", func(t *testing.T) {
		p, s := services(t, 0)
		owner := p.a.AddActive(t, "owner@example.com")
		ws, ws2 := p.a.AddWorkspaceOf(t, "w", owner.ID).ID, p.a.AddWorkspaceOf(t, "w2", owner.ID).ID
		for n := range accessRounds(30) {
			email := fmt.Sprintf("ada-%d@example.com", n)
			one, err1 := s[0].Invite(ctx, owner.ID, ws, email, workspace.Normal)
			two, err2 := s[1].Invite(ctx, owner.ID, ws2, email, workspace.Admin)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			won := ""
			for i, err := range atOnce(4, func(i int) error {
				_, err := s[i%2].Activate(ctx, []secret.Text{one.Token, two.Token}[i/2], activation(fmt.Sprint(i)))
				return err
			}) {
				switch {
				case err == nil && won != "":
					t.Fatal("two won")
				case err == nil:
					won = fmt.Sprint(i)
				case refused(err, workspace.ErrInvitationNotFound) != nil:
					t.Fatal(err)
				}
			}
			a, err := p.b.Accounts.ByEmail(t.Context(), email)
			if err != nil || a.Name != won || a.Status != account.Active || len(p.b.browsers(t, a.ID)) != 1 {
				t.Fatalf("%+v won by %q, %v", a, won, err)
			}
			// The other workspace has put them down, and that alone makes nobody a member.
			list, err := p.b.Workspaces.MembershipsOf(t.Context(), a.ID)
			if want := map[bool]string{true: ws, false: ws2}[won < "2"]; err != nil || len(list) != 1 || list[0].Workspace.ID != want || !list[0].Current {
				t.Fatalf("member of %+v, %v", list, err)
			}
		}
	})

	t.Run("API-10 invite, accept at the limit: never one member more", func(t *testing.T) {
		const limit = 4
		p, s := services(t, limit)
		for n := range accessRounds(50) {
			owner := p.a.AddActive(t, fmt.Sprintf("owner-%d@example.com", n))
			ws := p.a.AddWorkspaceOf(t, "w", owner.ID).ID
			links := make([]secret.Text, 4)
			people := make([]account.Account, len(links))
			for i := range links {
				people[i] = p.a.AddActive(t, fmt.Sprintf("ada-%d-%d@example.com", n, i))
				invited, err := s[i%2].Invite(ctx, owner.ID, ws, people[i].Email, workspace.Normal)
				if err != nil {
					t.Fatal(err)
				}
				links[i] = invited.Token
			}
			all(t, "at the limit", atOnce(8, func(i int) error {
				if i < len(links) {
					_, err := s[i%2].Accept(ctx, links[i], people[i].ID)
					return refused(err, workspace.ErrMemberLimit)
				}
				_, err := s[i%2].Invite(ctx, owner.ID, ws, fmt.Sprintf("new-%d-%d@example.com", n, i), workspace.Normal)
				return refused(err, workspace.ErrMemberLimit)
			}))
			if got := p.b.Count(t, `SELECT count(*) FROM memberships WHERE workspace_id = $1`, ws); got != limit {
				t.Fatalf("%d members", got)
			}
			if orphans := p.b.Count(t, `SELECT count(*) FROM accounts WHERE status = 'pending' AND id NOT IN (SELECT account_id FROM memberships)`); orphans != 0 {
				t.Fatalf("%d accounts of refused invitations", orphans)
			}
		}
	})

	t.Run("API-9 remove, accept and invite elsewhere at once: an account is there with its membership, or neither", func(t *testing.T) {
		p, s := services(t, 0)
		owner := p.a.AddActive(t, "owner@example.com")
		ws, ws2 := p.a.AddWorkspaceOf(t, "w", owner.ID).ID, p.a.AddWorkspaceOf(t, "w2", owner.ID).ID
		for n := range accessRounds(60) {
			email := fmt.Sprintf("ada-%d@example.com", n)
			i, err := s[0].Invite(ctx, owner.ID, ws, email, workspace.Normal)
			if err != nil {
				t.Fatal(err)
			}
			all(t, "at once", atOnce(3, func(at int) error {
				switch at {
				case 0:
					return refused(s[0].Remove(ctx, owner.ID, ws, i.MemberID), workspace.ErrMemberNotFound)
				case 1:
					_, err := s[1].Activate(ctx, i.Token, activation("Ada"))
					return refused(err, workspace.ErrInvitationNotFound)
				default:
					_, err := s[n%2].Invite(ctx, owner.ID, ws2, email, workspace.Normal)
					return err
				}
			}))
			a, err := p.b.Accounts.ByEmail(t.Context(), email)
			if err != nil {
				t.Fatalf("round %d: the second workspace's invitation has no account: %v", n, err)
			}
			there := p.b.Count(t, `SELECT count(*) FROM memberships WHERE account_id = $1 AND workspace_id = $2`, a.ID, ws2)
			open := p.b.Count(t, `SELECT count(*) FROM invitations WHERE account_id = $1 AND workspace_id = $2 AND accepted_at IS NULL`, a.ID, ws2)
			if open != 1 || there != map[account.Status]int{account.Pending: 1, account.Active: 0}[a.Status] {
				t.Fatalf("round %d: %s with %d memberships and %d invitations", n, a.Status, there, open)
			}
		}
	})

	t.Run("API-9 two admins demote each other at once: one of them", func(t *testing.T) {
		p, s := services(t, 0)
		owner := p.a.AddActive(t, "owner@example.com")
		ws := p.a.AddWorkspaceOf(t, "w", owner.ID).ID
		one, two := p.a.AddActive(t, "one@example.com"), p.a.AddActive(t, "two@example.com")
		for _, who := range []account.Account{one, two} {
			p.a.AddMember(t, ws, who.ID, workspace.Admin, false)
		}
		for n := range accessRounds(100) {
			won := 0
			for _, err := range atOnce(2, func(i int) error {
				by, whom := []string{one.ID, two.ID}[i], []string{two.ID, one.ID}[i]
				return s[i].SetRole(ctx, by, ws, whom, workspace.Normal)
			}) {
				if err == nil {
					won++
				} else if refused(err, workspace.ErrRole) != nil {
					t.Fatal(err)
				}
			}
			owners := p.b.Count(t, `SELECT count(*) FROM memberships WHERE workspace_id = $1 AND role = 'owner'`, ws)
			if admins := p.b.Count(t, `SELECT count(*) FROM memberships WHERE workspace_id = $1 AND role = 'admin'`, ws); won != 1 || admins != 1 || owners != 1 {
				t.Fatalf("round %d: %d won, %d admins, %d owners", n, won, admins, owners)
			}
			p.a.exec(t, `UPDATE memberships SET role = 'admin' WHERE role = 'normal'`)
		}
	})

	memberLocks(t, open)
}

// memberLocks lets every act on members, and what else takes the same rows, happen to
// the same few people at once. Each may be refused, and none waits in a circle.
func memberLocks(t *testing.T, open OpenDurable) {
	t.Run("OUT-02 acts on members at once never wait for each other in a circle", func(t *testing.T) {
		a, b := open(t)
		s := []*workspace.Members{NewMembers(t, a, a.Members, &Tombs{}, 0, at(start)), NewMembers(t, b, b.Members, &Tombs{}, 0, at(start))}
		replicas := []replica{a.replica(t, a.Access, start), b.replica(t, b.Access, start)}
		owners := []account.Account{a.AddActive(t, "owner-0@example.com"), a.AddActive(t, "owner-1@example.com")}
		ids := []string{a.AddWorkspaceOf(t, "0", owners[0].ID).ID, a.AddWorkspaceOf(t, "1", owners[1].ID).ID}
		for i := range owners {
			a.AddMember(t, ids[1-i], owners[i].ID, workspace.Admin, false)
		}
		may := []error{
			workspace.ErrNotFound, workspace.ErrRole, workspace.ErrMemberNotFound, workspace.ErrRoleUnchanged, workspace.ErrAlreadyMember, workspace.ErrInvitationNotFound,
			workspace.ErrOwner, account.ErrNotFound,
		}
		before := deadlocks(t, a)
		const workers = 12
		for _, err := range atOnce(workers, func(w int) error {
			for n := range accessRounds(150) {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				m, i := s[(w+n)%2], (w/2+n)%2
				email := fmt.Sprintf("ada-%d@example.com", n%3)
				a, err := a.Accounts.ByEmail(ctx, email)
				id := a.ID
				if err != nil {
					id = canon.NewID()
				}
				switch w % 6 {
				case 0, 1:
					var invited workspace.Invited
					if invited, err = m.Invite(ctx, owners[i].ID, ids[i], email, workspace.Normal); err == nil && w%6 == 1 {
						if _, err = m.Accept(ctx, invited.Token, invited.MemberID); errors.Is(err, workspace.ErrInvitationNotFound) {
							_, err = m.Activate(ctx, invited.Token, activation("Ada"))
						}
					}
				case 2:
					err = m.Remove(ctx, owners[i].ID, ids[i], id)
				case 3:
					err = m.SetRole(ctx, owners[i].ID, ids[i], id, []workspace.Role{workspace.Admin, workspace.Normal}[n%2])
				case 4:
					_, err = m.Switch(ctx, []string{id, owners[i].ID}[n%2], ids[n/2%2])
				case 5:
					err = lockOthers(ctx, replicas[n%2], a, n)
				}
				cancel()
				if err := refused(err, may...); err != nil {
					return fmt.Errorf("act %d: %w", w%6, err)
				}
			}
			return nil
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		if n := deadlocks(t, a) - before; n > 0 {
			t.Errorf("%d deadlocks", n)
		}
		if n := a.Count(t, `SELECT count(*) FROM memberships WHERE role = 'owner'`); n != 2 {
			t.Errorf("%d owners", n)
		}
	})
}

// lockOthers does what other packages do to an account at the same time.
func lockOthers(ctx context.Context, r replica, a account.Account, n int) error {
	if a.Status != account.Active {
		return nil
	}
	switch n % 3 {
	case 0:
		_, err := r.access.Console.Begin(ctx, a, console.HowPassword, console.Browser{IP: "192.0.2.1"})
		return err
	case 1:
		_, err := r.access.SetStatus(ctx, a.ID, []account.Status{account.Banned, account.Active}[n/3%2], audit.Operator)
		return refused(err, account.ErrNotFound)
	default:
		_, err := r.access.Kill(ctx, access.Target{Issuer: token.AccountIssuer, Email: a.Email}, "test", audit.Operator)
		return err
	}
}
