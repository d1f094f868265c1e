// SPDX-License-Identifier: Apache-2.0

package installation_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// house is the service on SQLite that fails when it is told to.
type house struct {
	*storetest.World
	*installation.Service
	t      *testing.T
	faults storetest.Faults
}

const password = "correct horse battery"

func sealing(t *testing.T, fill string) *seal.Keys {
	t.Helper()
	k, err := seal.Parse([]byte("k1:" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fill, seal.KeySize)))))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// in opens the service on a world under given keys.
func in(t *testing.T, w *storetest.World, sealKey, canaryKey string) *house {
	t.Helper()
	h := &house{World: w, t: t}
	s, err := installation.New(installation.Deps{
		Store: storetest.FaultyInstallation(w.Installation, &h.faults), Passwords: account.NewPasswords(8), Recorder: w.Recorder, Now: w.Clock.Now,
		Sealing: sealing(t, sealKey), CanaryKey: []byte(strings.Repeat(canaryKey, secret.KeySize)),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Service = s
	return h
}

// ready has opened.
func ready(t *testing.T) *house {
	t.Helper()
	h := in(t, storetest.NewWorld(t), "s", "c")
	if err := h.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

func owner(n int) installation.Owner {
	return installation.Owner{Email: fmt.Sprintf("ada%d@example.com", n), Name: "Ada", WorkspaceName: "Engines", Password: secret.New(password)}
}

func (h *house) accounts() int { return h.Count(h.t, `SELECT count(*) FROM accounts`) }

func unavailable(t *testing.T, err error) {
	t.Helper()
	if err == nil || fault.Of(err).Kind() != fault.Unavailable {
		t.Fatalf("%v, want a 503", err)
	}
}

func TestCanary(t *testing.T) {
	t.Run("the same keys open it again, another one of either is refused", func(t *testing.T) {
		h := ready(t)
		for _, c := range []struct {
			seal, canary string
			want         error
		}{{"s", "c", nil}, {"x", "c", installation.ErrKeyChanged}, {"s", "x", installation.ErrKeyChanged}, {"s", "c", nil}} {
			if err := in(t, h.World, c.seal, c.canary).Open(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("keys %s and %s: %v, want %v", c.seal, c.canary, err, c.want)
			}
		}
	})

	t.Run("of two first starts under different keys one is refused", func(t *testing.T) {
		w := storetest.NewWorld(t)
		first, second := in(t, w, "s", "c"), in(t, w, "s", "x")
		// The first writes its row between the second's look and its own write.
		second.faults.Plan(storetest.Fault{Method: "Init", Mode: storetest.Pass, Before: func() {
			if err := first.Open(context.Background()); err != nil {
				t.Error(err)
			}
		}})
		if err := second.Open(t.Context()); !errors.Is(err, installation.ErrKeyChanged) {
			t.Fatalf("the second: %v, want %v", err, installation.ErrKeyChanged)
		}
	})

	t.Run("an outage is no changed key", func(t *testing.T) {
		h := ready(t)
		h.faults.Plan(storetest.Fault{Method: "Read"})
		if err := h.Open(t.Context()); err == nil || errors.Is(err, installation.ErrKeyChanged) {
			t.Fatal(err)
		}
	})
}

func TestSetupCode(t *testing.T) {
	t.Run("W-10 a new code voids the former, and only the last one sets up", func(t *testing.T) {
		h := ready(t)
		if has, err := h.HasCode(t.Context()); err != nil || has {
			t.Fatal(has, err)
		}
		former, err := h.NewCode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		code, err := h.NewCode(t.Context())
		if err != nil || len(code.Reveal()) != 43 || code.Equal(former) {
			t.Fatalf("a code of %d characters, %v", len(code.Reveal()), err)
		}
		if has, err := h.HasCode(t.Context()); err != nil || !has {
			t.Fatal(has, err)
		}
		for _, wrong := range []secret.Text{former, {}, secret.New(code.Reveal() + "x"), secret.New(strings.ToUpper(code.Reveal()))} {
			if _, err := h.SetUp(t.Context(), wrong, owner(1)); !errors.Is(err, installation.ErrSetupCodeWrong) {
				t.Fatalf("a wrong code: %v", err)
			}
		}
		if h.accounts() != 0 {
			t.Fatal("somebody was created")
		}
		if _, err := h.SetUp(t.Context(), code, owner(1)); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("W-10 without a code in force nothing fits, the empty one neither", func(t *testing.T) {
		h := ready(t)
		for _, c := range []secret.Text{{}, secret.New("x")} {
			if _, err := h.SetUp(t.Context(), c, owner(1)); !errors.Is(err, installation.ErrSetupCodeWrong) {
				t.Fatal(err)
			}
		}
	})

	t.Run("INV-7 the store holds its digest", func(t *testing.T) {
		h := ready(t)
		code, _ := h.NewCode(t.Context())
		state, err := h.Installation.Read(t.Context())
		if err != nil || state.SetupCodeHash != secret.DigestOf(code.Reveal()) {
			t.Fatal(err)
		}
	})

	t.Run("W-10 after the set-up there is none", func(t *testing.T) {
		h := ready(t)
		if _, err := h.CreateOwner(t.Context(), owner(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.NewCode(t.Context()); !errors.Is(err, installation.ErrAlreadySetUp) {
			t.Fatal(err)
		}
		if err := h.UseCode(t.Context(), secret.New("x")); !errors.Is(err, installation.ErrAlreadySetUp) {
			t.Fatal(err)
		}
		if has, err := h.HasCode(t.Context()); err != nil || has {
			t.Fatal(has, err)
		}
	})
}

func TestSetUp(t *testing.T) {
	t.Run("the first owner, their workspace and the event", func(t *testing.T) {
		h := ready(t)
		code := secret.New("configured")
		if err := h.UseCode(t.Context(), code); err != nil {
			t.Fatal(err)
		}
		a, err := h.SetUp(t.Context(), code, owner(1))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := h.Accounts.ByEmail(t.Context(), "ada1@example.com")
		if err != nil || stored.ID != a.ID || stored.Status != account.Active || !stored.DeploymentAdmin || strings.Contains(stored.PasswordHash, password) {
			t.Fatalf("%+v, %v", stored, err)
		}
		if ok, _, err := account.NewPasswords(8).Verify(t.Context(), secret.New(password), stored.PasswordHash); err != nil || !ok {
			t.Fatalf("the password does not fit: %v", err)
		}
		list, err := h.Workspaces.MembershipsOf(t.Context(), a.ID)
		if err != nil || len(list) != 1 || list[0].Role != workspace.Owner || !list[0].Current || list[0].Workspace.Name != "Engines" {
			t.Fatalf("%+v, %v", list, err)
		}
		events := h.Recorded(t, "account.setup")
		if len(events) != 1 || events[0].Actor != audit.Account(a.ID) || events[0].WorkspaceID != list[0].Workspace.ID {
			t.Fatalf("%+v", events)
		}
		if at, err := h.SetUpAt(t.Context()); err != nil || at == nil || !at.Equal(h.Clock.Now()) {
			t.Fatal(at, err)
		}
		if _, err := h.SetUp(t.Context(), code, owner(2)); !errors.Is(err, installation.ErrAlreadySetUp) {
			t.Fatalf("a second time: %v", err)
		}
	})

	t.Run("W-10 many at once: one winner, the others are told", func(t *testing.T) {
		h := ready(t)
		code := secret.New("configured")
		if err := h.UseCode(t.Context(), code); err != nil {
			t.Fatal(err)
		}
		errs := make([]error, 16) // as many as may wait for a hash on one CPU
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = h.SetUp(context.Background(), code, owner(i)) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, installation.ErrAlreadySetUp) {
				t.Error(err)
			}
		}
		if won != 1 || h.accounts() != 1 || len(h.Recorded(t, "account.setup")) != 1 {
			t.Fatalf("%d won, %d accounts", won, h.accounts())
		}
	})

	t.Run("a password against the rules creates nobody", func(t *testing.T) {
		h := ready(t)
		for word, want := range map[string]error{"short": account.ErrPasswordTooShort, "ADA1@example.com": account.ErrPasswordIsEmail} {
			o := owner(1)
			o.Password = secret.New(word)
			if _, err := h.CreateOwner(t.Context(), o); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if h.accounts() != 0 {
			t.Fatal("somebody was created")
		}
	})

	t.Run("OUT-02 OUT-06 an outage creates nobody and is no verdict", func(t *testing.T) {
		h := ready(t)
		h.faults.Plan(storetest.Fault{Method: "SetUp", On: 1})
		_, err := h.CreateOwner(t.Context(), owner(1))
		unavailable(t, err)
		h.faults.Plan(storetest.Fault{Method: "Read"})
		_, err = h.SetUp(t.Context(), secret.New("x"), owner(1))
		unavailable(t, err)
		_, err = h.SetUpAt(t.Context())
		unavailable(t, err)
		_, err = h.NewCode(t.Context())
		unavailable(t, err)
		h.faults.Clear()
		if h.accounts() != 0 || len(h.Recorded(t, "account.setup")) != 0 {
			t.Fatal("somebody was created")
		}
		if at, err := h.SetUpAt(t.Context()); err != nil || at != nil {
			t.Fatal(at, err)
		}
	})

	t.Run("that it is set up is remembered, and asked no more", func(t *testing.T) {
		h := ready(t)
		if _, err := h.CreateOwner(t.Context(), owner(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.SetUpAt(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.faults.Plan(storetest.Fault{Method: "Read"})
		if at, err := h.SetUpAt(t.Context()); err != nil || at == nil {
			t.Fatal(at, err)
		}
	})
}

func TestParseOwner(t *testing.T) {
	long := strings.Repeat("x", installation.MaxName)
	for _, tc := range []struct {
		name, email, person, workspace string
		wrong                          []string
	}{
		{name: "all is well", email: " ADA@Example.com ", person: " Ada ", workspace: "Engines"},
		{name: "as long as may be", email: "a@b", person: long, workspace: long},
		{name: "everything is wrong", email: "ada", person: "", workspace: "\u202eEngines", wrong: []string{"email", "name", "workspace_name"}},
		{name: "one character more", email: "a@b", person: long + "x", workspace: long + "x", wrong: []string{"name", "workspace_name"}},
		{name: "blank", email: "a@b", person: "  ", workspace: "\t", wrong: []string{"name", "workspace_name"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, wrong := installation.ParseOwner(tc.email, tc.person, tc.workspace, secret.New("p"))
			if !slices.Equal(wrong, tc.wrong) {
				t.Fatalf("wrong are %v, want %v", wrong, tc.wrong)
			}
			if len(wrong) == 0 && (o.Email != strings.ToLower(strings.TrimSpace(tc.email)) || o.Name != strings.TrimSpace(tc.person) || o.WorkspaceName != tc.workspace) {
				t.Fatalf("%+v", o)
			}
		})
	}
}

func TestNewChecksWhatItNeeds(t *testing.T) {
	whole := ready(t).Deps
	for name, drop := range map[string]func(*installation.Deps){
		"store": func(d *installation.Deps) { d.Store = nil }, "passwords": func(d *installation.Deps) { d.Passwords = nil }, "recorder": func(d *installation.Deps) { d.Recorder = nil },
		"clock": func(d *installation.Deps) { d.Now = nil }, "sealing": func(d *installation.Deps) { d.Sealing = nil }, "canary": func(d *installation.Deps) { d.CanaryKey = nil },
	} {
		d := whole
		drop(&d)
		if _, err := installation.New(d); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}
