// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Access is the contract of access.Store and access.Tx, and of what the service over
// them promises when callers race and statements fail.
func Access(t *testing.T, open OpenDurable) {
	t.Run("which rows end", func(t *testing.T) { accessRows(t, open) })
	t.Run("one row", func(t *testing.T) { accessOne(t, open) })
	t.Run("accounts", func(t *testing.T) { accessAccounts(t, open) })
	t.Run("accounts that operators make and list", func(t *testing.T) { accessOperated(t, open) })
	t.Run("identities of an issuer", func(t *testing.T) { accessUnlink(t, open) })
	t.Run("browsers", func(t *testing.T) { accessBrowsers(t, open) })
	t.Run("lists", func(t *testing.T) { accessLists(t, open) })
	t.Run("transactions", func(t *testing.T) { accessTransactions(t, open) })
	t.Run("a statement fails", func(t *testing.T) { accessFailures(t, open) })
	t.Run("kill and mint", func(t *testing.T) { accessRaces(t, open) })
	t.Run("locks", func(t *testing.T) { accessLocks(t, open) })
}

const idp = "https://idp.example.com"

// external is a person without an account.
func external(issuer, id, email, connection string) token.Subject {
	return token.Subject{Issuer: issuer, ID: id, Email: email, ConnectionID: connection}
}

// guest is a device of a person without an account.
func guest(s token.Subject, label, value string, created time.Time) token.Session {
	d := device(s, label, value, created)
	d.Prefix = token.ExternalKind.Prefix
	return d
}

// AddIdentity links an identity to an account.
func (d Durable) AddIdentity(t *testing.T, accountID, issuer, subjectID string) {
	t.Helper()
	d.exec(t, `INSERT INTO account_identities (id, account_id, issuer, subject_id, linked_at, linked_by) VALUES ($1, $2, $3, $4, $5, 'test')`,
		canon.NewID(), accountID, issuer, subjectID, start)
}

// RemoveIdentity ends the link of an identity.
func (d Durable) RemoveIdentity(t *testing.T, issuer, subjectID string) {
	t.Helper()
	d.exec(t, `DELETE FROM account_identities WHERE issuer = $1 AND subject_id = $2`, issuer, subjectID)
}

// ThroughConnection notes that a console session began through a connection.
func (d Durable) ThroughConnection(t *testing.T, sessionID, connectionID string) {
	t.Helper()
	d.exec(t, `UPDATE console_sessions SET how = 'sso', connection_id = $1 WHERE id = $2`, connectionID, sessionID)
}

// within runs one transaction that is to succeed.
func (d Durable) within(t *testing.T, fn func(ctx context.Context, tx access.Tx) error) {
	t.Helper()
	if err := d.Access.InTx(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func byDigest(a, b secret.Digest) int { return bytes.Compare(a[:], b[:]) }

func accessRows(t *testing.T, open OpenDurable) {
	type world struct {
		a, b Durable
		rows map[string]token.Session
	}
	// One person in every way of naming them, and next to each somebody who differs in
	// that alone.
	build := func(t *testing.T) world {
		a, b := open(t)
		w := world{a: a, b: b, rows: map[string]token.Session{}}
		add := func(name string, s token.Session) { w.rows[name] = a.login(t, s) }
		ada := a.subject(t, "ada@example.com")
		add("account", device(ada, "1", "account", start))
		add("account, second device", device(ada, "2", "account 2", start))
		add("another account", device(a.subject(t, "bob@example.com"), "1", "bob", start))
		add("identity", guest(external(idp, "ada", "ada@example.com", "con-1"), "1", "identity", start))
		add("same e-mail, other issuer", guest(external(idp+"/2", "ada", "ada@example.com", "con-2"), "1", "other issuer", start))
		add("same issuer, other person", guest(external(idp, "eve", "eve@example.com", "con-1"), "1", "eve", start))
		add("subject id is the account's", guest(external(idp, ada.ID, "odd@example.com", "con-3"), "1", "odd", start))
		return w
	}
	for _, tc := range []struct {
		name string
		rows func(w world) access.Rows
		want []string
	}{
		{"an account's", func(w world) access.Rows {
			return access.Rows{Issuer: token.AccountIssuer, SubjectID: w.rows["account"].Subject.AccountID}
		}, []string{"account", "account, second device"}},
		{"an identity's", func(world) access.Rows { return access.Rows{Issuer: idp, SubjectID: "ada"} }, []string{"identity"}},
		{"an e-mail's at an issuer", func(world) access.Rows { return access.Rows{Issuer: idp, Email: "ada@example.com"} }, []string{"identity"}},
		{"an e-mail's without an account", func(world) access.Rows { return access.Rows{Email: "ada@example.com"} },
			[]string{"identity", "same e-mail, other issuer"}},
		{"a connection's", func(world) access.Rows { return access.Rows{ConnectionID: "con-1"} }, []string{"identity", "same issuer, other person"}},
		{"nobody's", func(world) access.Rows { return access.Rows{Issuer: idp, SubjectID: "nobody"} }, nil},
		{"of another case", func(world) access.Rows { return access.Rows{Issuer: idp, SubjectID: "ADA"} }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := build(t)
			var ended []token.Ended
			var late []secret.Digest
			w.b.within(t, func(ctx context.Context, tx access.Tx) (err error) {
				if ended, err = tx.EndTokens(ctx, tc.rows(w), token.ReasonSubjectRevoked, after(time.Minute)); err != nil {
					return err
				}
				late, err = tx.EndedSince(ctx, tc.rows(w), start)
				return err
			})
			var hashes []secret.Digest
			for name, s := range w.rows {
				if !slices.Contains(tc.want, name) {
					same(t, name, w.a.resolve(t, s.TokenHash), s)
					continue
				}
				w.a.dead(t, s.TokenHash)
				hashes = append(hashes, s.TokenHash)
				i := slices.IndexFunc(ended, func(e token.Ended) bool { return e.ID == s.ID })
				if i < 0 {
					t.Fatalf("%s is not among %+v", name, ended)
				}
				same(t, name, ended[i], token.Ended{ID: s.ID, Previous: s.TokenHash, Subject: s.Subject, ClientID: s.ClientID})
			}
			if len(ended) != len(tc.want) {
				t.Errorf("%d ended, want %d", len(ended), len(tc.want))
			}
			slices.SortFunc(hashes, byDigest)
			slices.SortFunc(late, byDigest)
			same(t, "just ended", late, hashes)
			if n := w.a.Count(t, `SELECT count(*) FROM oauth_access_tokens WHERE revoke_reason = 'subject_revoked' AND revoked_at = $1`, after(time.Minute)); n != len(tc.want) {
				t.Errorf("%d rows keep when and why", n)
			}
		})
	}

	t.Run("no selection selects nothing", func(t *testing.T) {
		w := build(t)
		for _, r := range []access.Rows{
			{}, {Issuer: idp}, {SubjectID: "ada"}, {Issuer: idp, SubjectID: "ada", Email: "ada@example.com"},
			{ConnectionID: "con-1", Email: "ada@example.com"}, {Issuer: idp, ConnectionID: "con-1"},
		} {
			err := w.a.Access.InTx(t.Context(), func(ctx context.Context, tx access.Tx) error {
				_, err := tx.EndTokens(ctx, r, token.ReasonAdmin, start)
				_, since := tx.EndedSince(ctx, r, start)
				if err == nil || since == nil {
					t.Errorf("%+v was taken", r)
				}
				return err
			})
			if err == nil {
				t.Errorf("%+v committed", r)
			}
		}
		for name, s := range w.rows {
			same(t, name, w.b.resolve(t, s.TokenHash), s)
		}
	})

	t.Run("what ended lately is told again, what ran out or ended before is not", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		rows := access.Rows{Issuer: token.AccountIssuer, SubjectID: who.ID}
		at := func(label string, reason token.Reason, when time.Time) {
			s := a.login(t, device(who, label, label, start))
			a.inTx(t, func(ctx context.Context, tx token.Tx) error {
				_, ok, err := tx.End(ctx, s.ID, reason, when)
				if !ok {
					t.Error("did not end")
				}
				return err
			})
		}
		a.login(t, device(who, "live", "live", start))
		at("long ago", token.ReasonUser, after(time.Minute))
		at("lately", token.ReasonLogout, after(time.Minute+time.Microsecond))
		at("by a clock that is ahead", token.ReasonAdmin, after(time.Hour))
		at("ran out", token.ReasonExpired, after(2*time.Minute))
		var got []secret.Digest
		b.within(t, func(ctx context.Context, tx access.Tx) (err error) {
			got, err = tx.EndedSince(ctx, rows, after(time.Minute))
			return err
		})
		want := []secret.Digest{digestOf("lately"), digestOf("by a clock that is ahead")}
		slices.SortFunc(got, byDigest)
		slices.SortFunc(want, byDigest)
		same(t, "digests", got, want)
	})
}

func accessOne(t *testing.T, open OpenDurable) {
	t.Run("ends once, says what it was each time, and is unknown when it never was", func(t *testing.T) {
		a, b := open(t)
		s := a.login(t, guest(external(idp, "ada", "ada@example.com", "con-1"), "l", "one", start))
		want := token.Ended{ID: s.ID, Previous: s.TokenHash, Subject: s.Subject, ClientID: s.ClientID}
		for i, h := range []Durable{a, b} {
			h.within(t, func(ctx context.Context, tx access.Tx) error {
				got, ok, err := tx.EndToken(ctx, s.ID, token.ReasonAdmin, after(time.Duration(i)*time.Second))
				if ok != (i == 0) {
					t.Errorf("time %d: ended %t", i, ok)
				}
				same(t, "ended", got, want)
				return err
			})
		}
		a.dead(t, s.TokenHash)
		if n := b.Count(t, `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at = $1 AND revoke_reason = 'admin'`, start); n != 1 {
			t.Error("the first end is not on record")
		}
		err := a.Access.InTx(t.Context(), func(ctx context.Context, tx access.Tx) error {
			_, _, err := tx.EndToken(ctx, canon.NewID(), token.ReasonAdmin, start)
			return err
		})
		if !errors.Is(err, token.ErrSessionNotFound) {
			t.Errorf("unknown: %v, want %v", err, token.ErrSessionNotFound)
		}
	})
}
