// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// appAct is something that somebody does to an app.
type appAct struct {
	name string
	run  func(ctx context.Context, r *apps.Registry, by apps.By, ws, app string) error
}

func update(c apps.Change) func(ctx context.Context, r *apps.Registry, by apps.By, ws, app string) error {
	return func(ctx context.Context, r *apps.Registry, by apps.By, _, app string) error {
		_, _, err := r.Update(ctx, by, app, c)
		return err
	}
}

func create(d apps.Draft) func(ctx context.Context, r *apps.Registry, by apps.By, ws, app string) error {
	return func(ctx context.Context, r *apps.Registry, by apps.By, ws, _ string) error {
		_, err := r.Create(ctx, by, ws, d)
		return err
	}
}

const (
	appURL = "https://dify.example.com"
	appKey = "app-the-key-of-this-test"
)

// keepers' acts are an editor's too, managers' are an owner's or an admin's alone.
var (
	keepersActs = []appAct{
		{"create on echo", create(apps.Draft{Name: "x", Mode: apps.Chat, Runtime: apps.RuntimeEcho})},
		{"name", update(apps.Change{Name: new("other")})},
		{"access mode", update(apps.Change{Access: new(apps.Internal)})},
		{"status", update(apps.Change{Status: new(apps.StatusArchived)})},
		{"switch of the API", update(apps.Change{APIEnabled: new(true)})},
		{"nothing", update(apps.Change{RuntimeURL: new(appURL), Key: new(secret.New(appKey)), Runtime: new(apps.RuntimeDify)})},
		{"list of access", func(ctx context.Context, r *apps.Registry, by apps.By, _, app string) error {
			_, err := r.SetAllowed(ctx, by, app, nil)
			return err
		}},
		{"remove", func(ctx context.Context, r *apps.Registry, by apps.By, _, app string) error {
			return r.Remove(ctx, by, app)
		}},
	}
	managersActs = []appAct{
		{"create with an address", create(apps.Draft{Name: "x", Mode: apps.Chat, RuntimeURL: appURL})},
		{"create with a key", create(apps.Draft{Name: "x", Mode: apps.Chat, Runtime: apps.RuntimeEcho, Key: secret.New(appKey)})},
		{"create with a configuration", create(apps.Draft{Name: "x", Mode: apps.Chat, Runtime: apps.RuntimeEcho, RuntimeConfig: "{}"})},
		{"address", update(apps.Change{RuntimeURL: new("https://other.example.com")})},
		{"kind of runtime", update(apps.Change{Runtime: new(apps.RuntimeEcho)})},
		{"configuration", update(apps.Change{RuntimeConfig: new(`{"a":1}`)})},
		{"features", update(apps.Change{Features: &apps.Features{DSL: true}})},
		{"key and name", update(apps.Change{Name: new("other"), Key: new(secret.New("another"))})},
		{"key", func(ctx context.Context, r *apps.Registry, by apps.By, _, app string) error {
			_, err := r.SetKey(ctx, by, app, secret.New("another"))
			return err
		}},
		{"no key", func(ctx context.Context, r *apps.Registry, by apps.By, _, app string) error {
			_, err := r.SetKey(ctx, by, app, secret.New(""))
			return err
		}},
	}
	readersActs = []appAct{
		{"find", func(ctx context.Context, r *apps.Registry, by apps.By, _, app string) error {
			_, err := r.Find(ctx, by, app)
			return err
		}},
		{"list", func(ctx context.Context, r *apps.Registry, by apps.By, ws, _ string) error {
			_, _, err := r.List(ctx, by, ws, 1, 10)
			return err
		}},
	}
)

// app makes one with an address, a key and a list of access.
func (h house) app(t *testing.T) apps.Entry {
	t.Helper()
	e, err := h.r[0].Create(t.Context(), apps.Member(h.owner.ID), h.w.ID, apps.Draft{
		Name: "Helper", Mode: apps.Chat, RuntimeURL: appURL, Key: secret.New(appKey), Allowed: []string{h.normal.ID},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func appRights(t *testing.T, open OpenDurable) {
	t.Run("who may keep an app: a refusal writes nothing", func(t *testing.T) {
		h := newHouse(t, open)
		app := h.app(t).ID
		command := apps.Operator(audit.Caller{User: "ada"}.Actor())
		strangers := map[string]apps.By{
			"no member": apps.Member(h.nobody.ID), "unknown account": apps.Member(canon.NewID()), "no account": apps.Member(""), "nobody": {},
			"an account that says it operates": {Actor: audit.Operator, AccountID: h.nobody.ID},
		}
		before := h.a.registry(t)
		refused := func(who string, by apps.By, a appAct, want error) {
			t.Helper()
			if err := a.run(t.Context(), h.r[1], by, h.w.ID, app); !errors.Is(err, want) {
				t.Errorf("%s: %s: %v, not %v", who, a.name, err, want)
			}
		}
		every := append(append(append([]appAct{}, keepersActs...), managersActs...), readersActs...)
		for _, a := range every {
			unknown := error(apps.ErrNotFound)
			if strings.HasPrefix(a.name, "create") || a.name == "list" {
				unknown = workspace.ErrNotFound
			}
			for who, by := range strangers {
				refused(who, by, a, unknown)
			}
			refused("a normal member", apps.Member(h.normal.ID), a, workspace.ErrRole)
			for _, by := range []apps.By{apps.Member(h.owner.ID), command} {
				for _, id := range []string{canon.NewID(), "malformed", ""} {
					if a.name == "list" && id == "" {
						continue // all workspaces' apps
					}
					if err := a.run(t.Context(), h.r[1], by, id, id); !errors.Is(err, unknown) {
						t.Errorf("%q: %s: %v, not %v", id, a.name, err, unknown)
					}
				}
			}
		}
		for _, a := range managersActs {
			refused("an editor", apps.Member(h.editor.ID), a, workspace.ErrRole)
		}
		if _, _, err := h.r[0].List(t.Context(), apps.Member(h.owner.ID), "", 1, 10); !errors.Is(err, workspace.ErrNotFound) {
			t.Errorf("an owner lists all workspaces' apps: %v", err)
		}
		same(t, "rows", h.b.registry(t), before)

		for who, by := range map[string]apps.By{"owner": apps.Member(h.owner.ID), "admin": apps.Member(h.admin.ID), "editor": apps.Member(h.editor.ID), "operator": command} {
			acts := append(append([]appAct{}, readersActs...), keepersActs...)
			if who != "editor" {
				acts = append(acts, managersActs...)
			}
			for _, a := range acts {
				if err := a.run(t.Context(), h.r[1], by, h.w.ID, h.app(t).ID); err != nil {
					t.Errorf("%s: %s: %v", who, a.name, err)
				}
			}
		}
	})

	t.Run("an archived workspace's apps are nobody's but an operator's, who adds none", func(t *testing.T) {
		h := newHouse(t, open)
		app := h.app(t).ID
		h.a.Archive(t, h.w.ID)
		before := h.a.registry(t)
		for _, a := range append(append(append([]appAct{}, keepersActs...), managersActs...), readersActs...) {
			want := error(apps.ErrNotFound)
			if strings.HasPrefix(a.name, "create") || a.name == "list" {
				want = workspace.ErrNotFound
			}
			if err := a.run(t.Context(), h.r[1], apps.Member(h.owner.ID), h.w.ID, app); !errors.Is(err, want) {
				t.Errorf("%s: %v, not %v", a.name, err, want)
			}
		}
		command := apps.Operator(audit.Operator)
		for _, a := range append(append([]appAct{}, keepersActs...), managersActs...) {
			if strings.HasPrefix(a.name, "create") {
				if err := a.run(t.Context(), h.r[1], command, h.w.ID, app); !errors.Is(err, workspace.ErrNotFound) {
					t.Errorf("%s: %v", a.name, err)
				}
			}
		}
		same(t, "rows", h.b.registry(t), before)
		for _, a := range append(append([]appAct{}, readersActs...), keepersActs[len(keepersActs)-1]) {
			if err := a.run(t.Context(), h.r[1], command, h.w.ID, app); err != nil {
				t.Errorf("%s: %v", a.name, err)
			}
		}
	})

	t.Run("PL-7 a role that was taken away is gone for the next act", func(t *testing.T) {
		h := newHouse(t, open)
		app := h.app(t).ID
		members := NewMembers(t, h.b, h.b.Members, &Tombs{}, 0, at(start))
		name := func(s string) error {
			_, _, err := h.r[0].Update(t.Context(), apps.Member(h.editor.ID), app, apps.Change{Name: &s})
			return err
		}
		if err := name("one"); err != nil {
			t.Fatal(err)
		}
		if err := members.SetRole(t.Context(), h.owner.ID, h.w.ID, h.editor.ID, workspace.Normal); err != nil {
			t.Fatal(err)
		}
		if err := name("two"); !errors.Is(err, workspace.ErrRole) {
			t.Errorf("a normal member now: %v", err)
		}
		if err := members.Remove(t.Context(), h.owner.ID, h.w.ID, h.editor.ID); err != nil {
			t.Fatal(err)
		}
		if err := name("three"); !errors.Is(err, apps.ErrNotFound) {
			t.Errorf("a stranger now: %v", err)
		}
	})
}

func appActs(t *testing.T, open OpenDurable) {
	t.Run("TOK-13 what is done is told with its members' names, and neither key nor address", func(t *testing.T) {
		h := newHouse(t, open)
		e := h.app(t)
		by := apps.Member(h.admin.ID)
		want := []string{
			fmt.Sprintf(`app.created {"app_id":%q,"name":"Helper","mode":"chat","runtime":"dify","access_mode":"internal_all"}`, e.ID),
			fmt.Sprintf(`app.key_changed {"app_id":%q,"set":true}`, e.ID),
			fmt.Sprintf(`app.access_changed {"app_id":%q,"changed":["allowed"],"access_mode":"internal_all","added":[%q]}`, e.ID, h.normal.ID),
			fmt.Sprintf(`app.updated {"app_id":%q,"changed":["name","tags","runtime_url","max_active_requests"]}`, e.ID),
			fmt.Sprintf(`app.key_changed {"app_id":%q,"set":true}`, e.ID),
			fmt.Sprintf(`app.access_changed {"app_id":%q,"changed":["access_mode","allowed"],"access_mode":"internal","added":[%q],"removed":[%q]}`, e.ID, h.editor.ID, h.normal.ID),
			fmt.Sprintf(`app.updated {"app_id":%q,"changed":["runtime_url"]}`, e.ID),
			fmt.Sprintf(`app.key_changed {"app_id":%q,"set":false}`, e.ID),
			fmt.Sprintf(`app.key_changed {"app_id":%q,"set":true}`, e.ID),
			fmt.Sprintf(`app.key_changed {"app_id":%q,"set":false}`, e.ID),
			fmt.Sprintf(`app.deleted {"app_id":%q,"name":"Other"}`, e.ID),
		}
		after, changed, err := h.r[1].Update(t.Context(), by, e.ID, apps.Change{
			Name: new("Other"), Tags: &[]string{"t"}, RuntimeURL: new("https://inner.example.com/v1/"), MaxActive: new(3), Access: new(apps.Internal),
			Key: new(secret.New("app-second")), Allowed: &[]string{h.editor.ID},
		})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "changed", changed, []string{"name", "tags", "runtime_url", "max_active_requests", "access_mode", "allowed", "runtime_key"})
		found, err := h.r[0].Find(t.Context(), by, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "found", found, after)
		if after.RuntimeURL != "https://inner.example.com" || after.Key == e.Key || len(after.Key.Fingerprint) != 8 || len(after.Allowed) != 1 || after.Allowed[0].Email != h.editor.Email {
			t.Errorf("%+v", after)
		}
		if key, err := h.r[0].OpenKey(after.App); err != nil || key.Reveal() != "app-second" {
			t.Errorf("the key: %v", err)
		}
		moved, changed, err := h.r[1].Update(t.Context(), by, e.ID, apps.Change{RuntimeURL: new("https://elsewhere.example.com")})
		if err != nil || moved.Key != (apps.Key{}) || moved.SealedKey != "" {
			t.Errorf("a key went along to another host: %+v, %v", moved.Key, err)
		}
		same(t, "changed", changed, []string{"runtime_url", "runtime_key"})
		if _, err := h.r[1].SetKey(t.Context(), by, e.ID, secret.New("app-third")); err != nil {
			t.Error(err)
		}
		if none, err := h.r[1].SetKey(t.Context(), by, e.ID, secret.New("")); err != nil || none != (apps.Key{}) {
			t.Errorf("%v, %v", none, err)
		}
		if err := h.r[0].Remove(t.Context(), by, e.ID); err != nil {
			t.Fatal(err)
		}
		same(t, "events", h.b.told(t), want)
		for _, event := range h.b.Events(t) {
			if event.WorkspaceID != h.w.ID || event.Actor.Type != "account" || event.At != after1m() {
				t.Errorf("%+v", event)
			}
		}
	})

	t.Run("an act that changes nothing writes nothing", func(t *testing.T) {
		h := newHouse(t, open)
		e := h.app(t)
		before := h.a.registry(t)
		later := NewRegistry(t, h.a, h.a.Apps, at(after(time.Hour)))
		by := apps.Member(h.owner.ID)
		got, changed, err := later.Update(t.Context(), by, e.ID, apps.Change{
			Name: new(" Helper "), Description: new("\r\n"), Tags: &[]string{}, RuntimeURL: new(appURL + "/v1"), RuntimeConfig: new(" "), Features: &apps.Features{},
			Access: new(apps.InternalAll), Key: new(secret.New(appKey)), Allowed: &[]string{h.normal.ID, h.normal.ID},
		})
		if err != nil || len(changed) > 0 {
			t.Errorf("changed %q, %v", changed, err)
		}
		same(t, "answer", got, e)
		key, err := later.SetKey(t.Context(), by, e.ID, secret.New(appKey))
		if err != nil {
			t.Error(err)
		}
		same(t, "key", key, e.Key)
		if _, err := later.SetAllowed(t.Context(), by, e.ID, []string{h.normal.ID}); err != nil {
			t.Error(err)
		}
		same(t, "rows", h.b.registry(t), before)
	})

	t.Run("the time of the last change never goes back", func(t *testing.T) {
		h := newHouse(t, open)
		e := h.app(t)
		behind := NewRegistry(t, h.a, h.a.Apps, at(start))
		got, _, err := behind.Update(t.Context(), apps.Member(h.owner.ID), e.ID, apps.Change{Name: new("other")})
		if err != nil || !got.UpdatedAt.Equal(e.UpdatedAt) {
			t.Errorf("%s after %s, %v", got.UpdatedAt, e.UpdatedAt, err)
		}
	})

	t.Run("a form that is sent twice makes one app, and another form another", func(t *testing.T) {
		h := newHouse(t, open)
		d := apps.Draft{Name: "Helper", Mode: apps.Chat, Runtime: apps.RuntimeEcho, Once: true}
		made := map[string]bool{}
		for range 2 {
			for _, got := range atOnce(2, func(i int) string {
				e, err := h.r[i].Create(context.Background(), apps.Member(h.owner.ID), h.w.ID, d)
				if err != nil {
					t.Error(err)
				}
				return e.ID
			}) {
				made[got] = true
			}
		}
		// Who waited for the other has read the clock before the other has.
		before := NewRegistry(t, h.a, h.a.Apps, at(after1m().Add(-time.Second)))
		if e, err := before.Create(t.Context(), apps.Member(h.owner.ID), h.w.ID, d); err != nil || !made[e.ID] {
			t.Errorf("a moment before: another app, %v", err)
		}
		if len(made) != 1 {
			t.Errorf("%d apps", len(made))
		}
		for name, act := range map[string]func() (apps.Entry, error){
			"of another": func() (apps.Entry, error) { return h.r[0].Create(t.Context(), apps.Member(h.admin.ID), h.w.ID, d) },
			"later": func() (apps.Entry, error) {
				return NewRegistry(t, h.a, h.a.Apps, at(after(time.Hour))).Create(t.Context(), apps.Member(h.owner.ID), h.w.ID, d)
			},
			"with other members": func() (apps.Entry, error) {
				other := d
				other.Description = "another"
				return h.r[0].Create(t.Context(), apps.Member(h.owner.ID), h.w.ID, other)
			},
		} {
			if e, err := act(); err != nil || made[e.ID] {
				t.Errorf("%s: the same app, %v", name, err)
			}
		}
	})
}

// after1m is the time at which a house's registry acts.
func after1m() time.Time { return after(time.Minute) }
