// SPDX-License-Identifier: Apache-2.0

package devicegrant_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// flow is the service on real stores that fail when they are told to.
type flow struct {
	*storetest.World
	*devicegrant.Service
	t      *testing.T
	grants storetest.Faults // of the store of grants
	tokens storetest.Faults // of the registry
	spaces storetest.Faults // of the workspaces
	mint   *token.Service
	ada    account.Account
	home   workspace.Workspace
	codes  []string // the user codes that are drawn next; then random ones
}

var codeKey = []byte(strings.Repeat("k", secret.KeySize))

func newFlow(t *testing.T) *flow {
	t.Helper()
	f := &flow{World: storetest.NewWorld(t), t: t}
	kinds, err := token.NewKindRegistry(token.AccountKind)
	if err != nil {
		t.Fatal(err)
	}
	f.mint, err = token.New(token.Deps{
		Store: storetest.FaultyTokens(f.Tokens, &f.tokens), Cache: f.Bearers, Kinds: kinds, Recorder: f.Recorder, Now: f.Clock.Now, TTL: 14 * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	workspaces, err := workspace.New(storetest.FaultyWorkspaces(f.World.Workspaces, &f.spaces))
	if err != nil {
		t.Fatal(err)
	}
	f.Service, err = devicegrant.New(devicegrant.Deps{
		Store: storetest.FaultyGrants(f.Grants, &f.grants), Minter: f.mint, Workspaces: workspaces, Recorder: f.Recorder, Now: f.Clock.Now,
		UserCodeKey: codeKey, Clients: []string{"difyctl", "difyauth"}, NewUserCode: f.draw,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.ada = f.AddActive(t, "ada@example.com")
	f.home = f.AddWorkspace(t, workspace.Workspace{ID: canon.NewID(), Name: "Engines", Status: workspace.StatusNormal, CreatedAt: f.Clock.Now(), UpdatedAt: f.Clock.Now()})
	f.AddMember(t, f.home.ID, f.ada.ID, workspace.Owner, true)
	return f
}

func (f *flow) draw() string {
	if len(f.codes) == 0 {
		return devicegrant.NewUserCode()
	}
	code := f.codes[0]
	f.codes = f.codes[1:]
	return code
}

const (
	startIP = "192.0.2.1"
	pollIP  = "192.0.2.2"
)

func (f *flow) start() devicegrant.Authorization {
	f.t.Helper()
	a, err := f.Start(f.t.Context(), devicegrant.Start{ClientID: "difyctl", Label: "difyctl on röck", IP: startIP})
	if err != nil {
		f.t.Fatal("start: ", err)
	}
	return a
}

func (f *flow) approver() devicegrant.Approver {
	return devicegrant.Approver{AccountID: f.ada.ID, Email: f.ada.Email, Name: f.ada.Name, WorkspaceID: f.home.ID, ConsoleSessionID: canon.NewID(), IP: startIP}
}

func (f *flow) approve(a devicegrant.Authorization) {
	f.t.Helper()
	if err := f.Approve(f.t.Context(), a.UserCode, f.approver()); err != nil {
		f.t.Fatal("approve: ", err)
	}
}

// approved is a code that waits for its poll.
func (f *flow) approved() devicegrant.Authorization {
	f.t.Helper()
	a := f.start()
	f.approve(a)
	return a
}

func (f *flow) poll(a devicegrant.Authorization) (devicegrant.Redeemed, error) {
	return f.Poll(f.t.Context(), devicegrant.PollRequest{DeviceCode: a.DeviceCode, ClientID: "difyctl", IP: pollIP})
}

// redeem is a poll that is to win.
func (f *flow) redeem(a devicegrant.Authorization) devicegrant.Redeemed {
	f.t.Helper()
	r, err := f.poll(a)
	if err != nil {
		f.t.Fatal("poll: ", err)
	}
	return r
}

// refused is a poll that is to read one verdict.
func (f *flow) refused(a devicegrant.Authorization, want error) {
	f.t.Helper()
	if r, err := f.poll(a); !errors.Is(err, want) || !r.Token.IsZero() {
		f.t.Fatalf("poll: %v, want %v", err, want)
	}
}

// state looks at the store past the service.
func (f *flow) state(a devicegrant.Authorization) devicegrant.State {
	f.t.Helper()
	g, err := f.Grants.Find(f.t.Context(), secret.MACOf(codeKey, a.UserCode), f.Clock.Now())
	if errors.Is(err, devicegrant.ErrNotFound) {
		return ""
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return g.State
}

func (f *flow) isState(a devicegrant.Authorization, want devicegrant.State) {
	f.t.Helper()
	if got := f.state(a); got != want {
		f.t.Fatalf("the grant is %q, want %q", got, want)
	}
}

func (f *flow) liveRows() int {
	f.t.Helper()
	return f.Count(f.t, `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NULL`)
}

// alive resolves a token as a bearer route would.
func (f *flow) alive(r devicegrant.Redeemed) error {
	_, err := f.mint.Resolve(f.t.Context(), token.AccountKind, secret.DigestOf(r.Token.Reveal()))
	return err
}

// outage checks that an error is a 503 with a time to come back, and no verdict.
func outage(t *testing.T, err error, retry time.Duration) {
	t.Helper()
	got := fault.Of(err)
	if err == nil || got.Kind() != fault.Unavailable || got.IsVerdict() || got.Retry() != retry {
		t.Fatalf("%v (kind %d, retry %s), want a 503 with %s", err, got.Kind(), got.Retry(), retry)
	}
}

// fields decodes an event's own members.
func fields(t *testing.T, e audit.Event) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(e.Fields, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestStart(t *testing.T) {
	t.Run("DF-1 INV-7 the store sees digests and the answer has the codes", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		if !devicegrant.ValidDeviceCode(a.DeviceCode) || a.ExpiresIn != 15*time.Minute || a.Interval != 5*time.Second {
			t.Fatalf("answer %+v", a)
		}
		g, err := f.Find(t.Context(), a.UserCode)
		if err != nil {
			t.Fatal(err)
		}
		now := f.Clock.Now()
		want := devicegrant.Grant{
			Ref: secret.DigestOf(a.DeviceCode.Reveal()), UserMAC: secret.MACOf(codeKey, a.UserCode), ClientID: "difyctl", Label: "difyctl on röck",
			State: devicegrant.Pending, CreatedAt: now, ExpiresAt: now.Add(15 * time.Minute), CreatedIP: startIP, Interval: 5 * time.Second,
		}
		if g.Ref != want.Ref || g.UserMAC != want.UserMAC || g.State != want.State || !g.ExpiresAt.Equal(want.ExpiresAt) || g.Label != want.Label || g.CreatedIP != want.CreatedIP {
			t.Fatalf("stored %+v, want %+v", g, want)
		}
		events := f.Recorded(t, "oauth.device_flow_started")
		if len(events) != 1 || events[0].Actor != audit.Anonymous {
			t.Fatalf("events %+v", events)
		}
		if text := string(events[0].Fields); strings.Contains(text, a.UserCode) || strings.Contains(text, a.DeviceCode.Reveal()) {
			t.Error("the event holds a code")
		}
	})

	t.Run("DF-2 a client that is not listed reaches no store", func(t *testing.T) {
		f := newFlow(t)
		for _, id := range []string{"other", "Difyctl", "difyctl ", ""} {
			if _, err := f.Start(t.Context(), devicegrant.Start{ClientID: id, Label: "l"}); !errors.Is(err, devicegrant.ErrUnsupportedClient) {
				t.Errorf("%q: %v", id, err)
			}
		}
		if f.grants.Total() != 0 || len(f.Recorded(t, "oauth.device_flow_started")) != 0 {
			t.Error("a store was asked, or a start was recorded")
		}
	})

	t.Run("DF-6 DEV-04 a taken code is drawn again four times, the fifth collision gives up", func(t *testing.T) {
		f := newFlow(t)
		const taken = "ABCD-3456"
		f.codes = []string{taken, taken, taken, taken, taken, "ABCD-3457"}
		first := f.start()
		if second := f.start(); first.UserCode != taken || second.UserCode != "ABCD-3457" {
			t.Fatalf("drew %s, then %s", first.UserCode, second.UserCode)
		}
		f.codes = []string{taken, taken, taken, taken, taken, "ABCD-3458"}
		_, err := f.Start(t.Context(), devicegrant.Start{ClientID: "difyctl", Label: "l"})
		if !errors.Is(err, devicegrant.ErrUserCodeExhausted) || fault.Of(err).Retry() != time.Second {
			t.Fatalf("after five collisions: %v", err)
		}
		if n := f.Live(); n != 2 {
			t.Fatalf("%d grants", n)
		}
	})

	t.Run("INV-6 a store that cannot be asked is a 503, a full one says so", func(t *testing.T) {
		f := newFlow(t)
		f.grants.Plan(storetest.Fault{Method: "Create", On: 1}, storetest.Fault{Method: "Create", On: 2, Err: devicegrant.ErrFull})
		_, err := f.Start(t.Context(), devicegrant.Start{ClientID: "difyctl", Label: "l"})
		outage(t, err, 2*time.Second)
		if _, err := f.Start(t.Context(), devicegrant.Start{ClientID: "difyctl", Label: "l"}); !errors.Is(err, devicegrant.ErrFull) {
			t.Fatal(err)
		}
		if len(f.Recorded(t, "oauth.device_flow_started")) != 0 {
			t.Error("a start that failed was recorded")
		}
	})
}

// Live counts past the service.
func (f *flow) Live() int { return f.Grants.Live() }

func TestLookUp(t *testing.T) {
	t.Run("DF-10 DEV-29 a code is found as people type it, and what is none asks no store", func(t *testing.T) {
		f := newFlow(t)
		f.codes = []string{"ABCD-3456"}
		f.start()
		for _, typed := range []string{"ABCD-3456", "abcd3456", " a b c d - 3 4 5 6 "} {
			if _, err := f.FindPending(t.Context(), typed); err != nil {
				t.Errorf("%q: %v", typed, err)
			}
		}
		before := f.grants.Total()
		for _, typed := range []string{"", "ABCD-345", "ABCD-34567", "ABCD-345O", "ＡＢＣＤ-3456", "ABCD-3456\x00", "АBCD-3456"} {
			if _, err := f.Find(t.Context(), typed); !errors.Is(err, devicegrant.ErrNotFound) {
				t.Errorf("%q: %v", typed, err)
			}
			if err := f.Approve(t.Context(), typed, f.approver()); !errors.Is(err, devicegrant.ErrNotFound) {
				t.Errorf("approving %q: %v", typed, err)
			}
		}
		if f.grants.Total() != before {
			t.Error("the store of grants was asked")
		}
	})

	t.Run("DF-8 only a grant that waits for its decision is pending", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		if _, err := f.FindPending(t.Context(), a.UserCode); !errors.Is(err, devicegrant.ErrAlreadyResolved) {
			t.Fatal(err)
		}
		f.grants.Plan(storetest.Fault{Method: "Find"})
		_, err := f.FindPending(t.Context(), a.UserCode)
		outage(t, err, 2*time.Second)
	})
}

func TestNewChecksWhatItNeeds(t *testing.T) {
	whole := newFlow(t).Deps
	if _, err := devicegrant.New(whole); err != nil {
		t.Fatal(err)
	}
	for name, drop := range map[string]func(*devicegrant.Deps){
		"store": func(d *devicegrant.Deps) { d.Store = nil }, "minter": func(d *devicegrant.Deps) { d.Minter = nil },
		"workspaces": func(d *devicegrant.Deps) { d.Workspaces = nil }, "recorder": func(d *devicegrant.Deps) { d.Recorder = nil },
		"clock": func(d *devicegrant.Deps) { d.Now = nil }, "key": func(d *devicegrant.Deps) { d.UserCodeKey = d.UserCodeKey[1:] },
	} {
		d := whole
		drop(&d)
		if _, err := devicegrant.New(d); err == nil {
			t.Errorf("made without a %s", name)
		}
	}
}
