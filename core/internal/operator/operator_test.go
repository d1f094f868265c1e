// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const id = "0190d1f4-7c3a-7b1e-9c55-0242ac120002"

// asked notes what package access was asked.
type asked struct {
	operator.Access
	target access.Target
	reason string
	actor  audit.Actor
	filter access.TokenFilter
	calls  int
}

func (a *asked) Kill(_ context.Context, t access.Target, reason string, actor audit.Actor) (access.Receipt, error) {
	a.target, a.reason, a.actor = t, reason, actor
	a.calls++
	return access.Receipt{}, nil
}

func (a *asked) SetStatus(_ context.Context, _ string, _ account.Status, actor audit.Actor) (access.StatusChange, error) {
	a.actor = actor
	a.calls++
	return access.StatusChange{}, nil
}

func (a *asked) ListTokens(_ context.Context, f access.TokenFilter, _, _ int) (access.TokenPage, error) {
	a.filter = f
	a.calls++
	return access.TokenPage{}, nil
}

func (a *asked) RevokeSession(_ context.Context, _ string, actor audit.Actor) (access.Revoked, error) {
	a.actor = actor
	a.calls++
	return access.Revoked{}, nil
}

// people knows one account, or fails.
type people struct {
	account.Store
	err error
}

func (p people) ByEmail(_ context.Context, email string) (account.Account, error) {
	if p.err != nil {
		return account.Account{}, p.err
	}
	if email != "ada@example.com" {
		return account.Account{}, account.ErrNotFound
	}
	return account.Account{ID: id, Email: email}, nil
}

// noKeys is asked nothing here.
type noKeys struct{ operator.Keys }

// noApps is asked nothing here.
type noApps struct {
	operator.Apps
	operator.Runtimes
}

func start(t *testing.T, storeErr error) (*asked, operator.Operations) {
	t.Helper()
	a := &asked{}
	s, err := operator.New(operator.Deps{Installation: &installation.Service{}, Access: a, Accounts: people{err: storeErr}, Keys: noKeys{}, Apps: noApps{}, Runtimes: noApps{}, Unreached: reads, Public: &url.URL{}})
	if err != nil {
		t.Fatal(err)
	}
	return a, s.As(audit.Caller{Service: "core", User: "root", Version: "1"})
}

func TestWhomAKillNames(t *testing.T) {
	for _, tc := range []struct {
		name string
		s    operator.Subject
		want access.Target
		err  error
	}{
		{"an account", operator.Subject{AccountID: id, Reason: " r "}, access.Target{AccountID: id}, nil},
		{"an account by its e-mail", operator.Subject{Email: " Ada@Example.com", Reason: "r"}, access.Target{AccountID: id}, nil},
		{"nobody's e-mail", operator.Subject{Email: "bob@example.com", Reason: "r"}, access.Target{}, operator.ErrNoAccount},
		{"an identity", operator.Subject{Issuer: "i", SubjectID: "s", Reason: "r"}, access.Target{Issuer: "i", SubjectID: "s"}, nil},
		{"an e-mail at an issuer", operator.Subject{Issuer: "i", Email: "bob@example.com", Reason: "r"}, access.Target{Issuer: "i", Email: "bob@example.com"}, nil},
		{"an account and more", operator.Subject{AccountID: id, Issuer: "i", Reason: "r"}, access.Target{}, operator.ErrInvalid},
		{"nobody", operator.Subject{Reason: "r"}, access.Target{}, operator.ErrInvalid},
		{"no reason", operator.Subject{AccountID: id}, access.Target{}, operator.ErrInvalid},
		{"a long issuer", operator.Subject{Issuer: strings.Repeat("i", 256), SubjectID: "s", Reason: "r"}, access.Target{}, operator.ErrInvalid},
		{"a long subject", operator.Subject{Issuer: "i", SubjectID: strings.Repeat("s", 256), Reason: "r"}, access.Target{}, operator.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, by := start(t, nil)
			_, err := by.RevokeSubject(t.Context(), tc.s)
			if !errors.Is(err, tc.err) || a.target != tc.want || (a.calls == 1) != (tc.err == nil) {
				t.Fatalf("%+v, err = %v", a, err)
			}
			if err == nil && (a.reason != "r" || a.actor != audit.Actor{Type: "operator", ID: "cli:root"}) {
				t.Errorf("%q by %+v", a.reason, a.actor)
			}
		})
	}
	t.Run("a store that cannot be asked is no verdict", func(t *testing.T) {
		a, by := start(t, errors.New("down"))
		if _, err := by.RevokeSubject(t.Context(), operator.Subject{Email: "ada@example.com", Reason: "r"}); !errors.Is(err, fault.ErrUnavailable) || a.calls > 0 {
			t.Fatalf("err = %v", err)
		}
	})
}

func TestRequestsAreJudgedAgain(t *testing.T) {
	a, by := start(t, nil)
	refusals := func() []error {
		_, e1 := by.SetStatus(t.Context(), operator.Status{Account: "ada", Status: "banned"})
		_, e2 := by.SetStatus(t.Context(), operator.Status{Account: id, Status: "pending"})
		_, e3 := by.ListTokens(t.Context(), operator.TokenQuery{Page: 1, Limit: access.MaxPage + 1})
		_, e4 := by.ListTokens(t.Context(), operator.TokenQuery{Page: 0, Limit: 1})
		_, e5 := by.ListTokens(t.Context(), operator.TokenQuery{Email: "x", Page: 1, Limit: 1})
		_, e6 := by.RevokeToken(t.Context(), operator.TokenRef{ID: "x"})
		_, e7 := by.CreateOwner(t.Context(), operator.Owner{})
		_, e8 := by.CreateAccount(t.Context(), operator.Person{Email: "ada@example.com"})
		_, e9 := by.CreateAccount(t.Context(), operator.Person{Name: "Ada"})
		_, e10 := by.SetPassword(t.Context(), operator.Password{Account: "ada"})
		_, e11 := by.SetAdministrator(t.Context(), operator.Administrator{Account: "ada", Administrator: true})
		_, e12 := by.ListAccounts(t.Context(), operator.AccountQuery{Page: 1, Limit: 201})
		_, e13 := by.ListAccounts(t.Context(), operator.AccountQuery{Page: 0, Limit: 1})
		_, e14 := by.ListAccounts(t.Context(), operator.AccountQuery{Email: "x", Page: 1, Limit: 1})
		_, e15 := by.ListAccounts(t.Context(), operator.AccountQuery{Status: "x", Page: 1, Limit: 1})
		_, e16 := by.ListApps(t.Context(), operator.AppQuery{Page: 0, Limit: 1})
		_, e17 := by.ListApps(t.Context(), operator.AppQuery{Page: 1, Limit: 201})
		_, e18 := by.ShowApp(t.Context(), operator.AppRef{App: " "})
		_, e19 := by.RemoveApp(t.Context(), operator.AppRef{App: strings.Repeat("a", 256)})
		_, e20 := by.CheckApp(t.Context(), operator.AppRef{})
		return []error{e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, e12, e13, e14, e15, e16, e17, e18, e19, e20}
	}
	for i, err := range refusals() {
		if !errors.Is(err, operator.ErrInvalid) || len(fault.Of(err).Details()) == 0 {
			t.Errorf("%d: %v", i+1, err)
		}
	}
	if a.calls > 0 {
		t.Errorf("asked %d times", a.calls)
	}
	_, e1 := by.SetStatus(t.Context(), operator.Status{Account: "ada@example.com", Status: "closed"})
	_, e2 := by.ListTokens(t.Context(), operator.TokenQuery{Email: "ada@example.com", Page: 1, Limit: 1})
	_, e3 := by.RevokeToken(t.Context(), operator.TokenRef{ID: id})
	if err := errors.Join(e1, e2, e3); err != nil || a.calls != 3 || a.filter.Email != "ada@example.com" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestWhoAsks(t *testing.T) {
	for user, want := range map[string]string{
		"root": "cli:root", "uid 1000": "cli:uid 1000", "": "cli:unknown", "a\nb": "cli:unknown", strings.Repeat("x", 65): "cli:unknown", "\xff": "cli:unknown",
	} {
		if got := (audit.Caller{User: user}).Actor(); got != (audit.Actor{Type: "operator", ID: want}) {
			t.Errorf("%q is %+v", user, got)
		}
	}
}

func TestASecretOnItsWay(t *testing.T) {
	in := operator.Owner{Email: "a@b.c", Password: operator.Pass(secret.New("hunter\"2"))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if said := fmt.Sprintf(verb, in); strings.Contains(said, "hunter") {
			t.Errorf("%s prints %s", verb, said)
		}
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out operator.Owner
	if err := json.Unmarshal(text, &out); err != nil || out.Password.Reveal() != "hunter\"2" {
		t.Errorf("%s gives %q, %v", text, out.Password.Reveal(), err)
	}
}
