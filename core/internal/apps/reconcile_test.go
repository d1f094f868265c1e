// SPDX-License-Identifier: Apache-2.0

package apps_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// read takes declarations as a file has them, in JSON.
func read(t *testing.T, text string) (list []apps.Declaration) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// lines tells a plan in short.
func lines(planned []apps.Planned) (out []string) {
	for _, p := range planned {
		line := p.Action + " " + p.Name + ":"
		for _, c := range p.Changes {
			line += fmt.Sprintf(" %s %q→%q", c.Member, c.From, c.To)
		}
		out = append(out, line)
	}
	return out
}

func (d desk) reconcile(t *testing.T, declared []apps.Declaration, dryRun bool) []apps.Planned {
	t.Helper()
	planned, err := d.r.Reconcile(t.Context(), command, declared, dryRun)
	if err != nil {
		t.Fatal(refusals(err))
	}
	return planned
}

const declaredApps = `[
	{"workspace": "Products", "name": "Helper", "mode": "chat", "runtime_url": "https://dify.example.com/v1", "tags": ["a & b", "c"],
	 "access_mode": "internal", "allowed": ["ADA@example.com"], "max_active_requests": 3},
	{"workspace": "%s", "name": "Echo", "description": "For tests", "mode": "workflow", "runtime": "echo", "runtime_config": {"b": [1, 2], "a": "<"},
	 "runtime_features": {"human_input": true}, "api_enabled": false, "author": "Ada", "status": "archived"}
]`

func TestAppsAreDeclared(t *testing.T) {
	d := newDesk(t)
	declared := read(t, fmt.Sprintf(declaredApps, d.ws.ID))
	declared[0].Key = new(secret.New("app-key"))
	want := []string{
		`create Helper: name ""→"Helper" mode ""→"chat" tags ""→"[\"a & b\",\"c\"]" runtime ""→"dify" runtime_url ""→"https://dify.example.com" api_enabled ""→"true"` +
			` max_active_requests ""→"3" status ""→"normal" access_mode ""→"internal" allowed "[]"→"[\"ada@example.com\"]" runtime_key ""→"set"`,
		`create Echo: name ""→"Echo" description ""→"For tests" mode ""→"workflow" author ""→"Ada" runtime ""→"echo" runtime_config ""→"{\"a\":\"<\",\"b\":[1,2]}"` +
			` runtime_features ""→"{\"human_input\":true}" status ""→"archived" access_mode ""→"internal_all"`,
	}
	t.Run("what would be made is shown, and nothing is made", func(t *testing.T) {
		planned := d.reconcile(t, declared, true)
		if diff := cmp.Diff(want, lines(planned)); diff != "" {
			t.Error(diff)
		}
		if n := d.Count(t, `SELECT count(*) FROM apps`) + d.Count(t, `SELECT count(*) FROM audit_events`); n != 0 || planned[0].AppID != "" {
			t.Errorf("%d rows, %+v", n, planned[0])
		}
	})
	var ids []string
	t.Run("it is made, as shown", func(t *testing.T) {
		planned := d.reconcile(t, declared, false)
		if diff := cmp.Diff(want, lines(planned)); diff != "" {
			t.Error(diff)
		}
		for _, p := range planned {
			ids = append(ids, p.AppID)
			e, err := d.r.Find(t.Context(), command, p.AppID)
			if err != nil || e.Name != p.Name || e.WorkspaceID != p.WorkspaceID || e.CreatedBy != "" {
				t.Errorf("%+v, %v", e, err)
			}
		}
	})
	nothing := []string{"unchanged Helper:", "unchanged Echo:"}
	t.Run("repeated it changes nothing", func(t *testing.T) {
		d.Clock.Advance(time.Hour)
		events := d.Count(t, `SELECT count(*) FROM audit_events`)
		if diff := cmp.Diff(nothing, lines(d.reconcile(t, declared, false))); diff != "" {
			t.Error(diff)
		}
		if n := d.Count(t, `SELECT count(*) FROM audit_events`); n != events {
			t.Errorf("%d events more", n-events)
		}
		if n := d.Count(t, `SELECT count(*) FROM apps WHERE updated_at <> created_at`); n != 0 {
			t.Errorf("%d apps are newer", n)
		}
	})
	t.Run("what a file does not say stays as people have set it", func(t *testing.T) {
		if _, _, err := d.r.Update(t.Context(), command, ids[0], apps.Change{Description: new("by hand"), Author: new("Bob")}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(nothing, lines(d.reconcile(t, declared, false))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what changes is shown from and to, and a key as changed alone", func(t *testing.T) {
		declared := slices.Clone(declared)
		declared[0].Key, declared[0].Allowed, declared[0].Tags = new(secret.New("app-another")), &[]string{d.members[1].ID, "owner@example.com"}, &[]string{}
		want := []string{
			`update Helper: tags "[\"a & b\",\"c\"]"→"[]" allowed "[\"ada@example.com\"]"→"[\"bob@example.com\",\"owner@example.com\"]" runtime_key ""→"changed"`, "unchanged Echo:",
		}
		for _, dryRun := range []bool{true, false} {
			planned := d.reconcile(t, declared, dryRun)
			if diff := cmp.Diff(want, lines(planned)); diff != "" || planned[0].AppID != ids[0] {
				t.Error(diff)
			}
		}
		declared[0].Key = new(secret.New(""))
		if diff := cmp.Diff([]string{`update Helper: runtime_key ""→"removed"`, "unchanged Echo:"}, lines(d.reconcile(t, declared, false))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an app that is named by its id may be given another name", func(t *testing.T) {
		renamed := []apps.Declaration{{ID: ids[0], Name: "Other"}, {ID: ids[1]}}
		if diff := cmp.Diff([]string{`update Other: name "Helper"→"Other"`, "unchanged Echo:"}, lines(d.reconcile(t, renamed, false))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("nothing is removed", func(t *testing.T) {
		if got := d.reconcile(t, nil, false); len(got) != 0 {
			t.Error(got)
		}
		if n := d.Count(t, `SELECT count(*) FROM apps`); n != 2 {
			t.Errorf("%d apps", n)
		}
	})
}

func TestDeclarationsThatDoNotHold(t *testing.T) {
	d := newDesk(t)
	other := d.AddWorkspaceOf(t, "Other", d.owner.ID)
	for range 2 {
		d.AddWorkspaceOf(t, "Twice", d.owner.ID)
	}
	gone := d.AddWorkspaceOf(t, "Gone", d.owner.ID)
	d.Archive(t, gone.ID)
	var twice []string
	for range 2 {
		e, err := d.r.Create(t.Context(), command, d.ws.ID, apps.Draft{Name: "Twin", Mode: apps.Chat, Runtime: apps.RuntimeEcho})
		if err != nil {
			t.Fatal(err)
		}
		twice = append(twice, e.ID)
	}
	before := d.Count(t, `SELECT count(*) FROM audit_events`)
	many := make([]apps.Declaration, 501)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"a name that is there twice": {`[{"workspace":"Products","name":"Twin"}]`, []string{
			`apps/0/name: 2 apps of the workspace are called "Twin": give the id of one, of ` + twice[0] + ", " + twice[1],
		}},
		"one app declared twice":              {`[{"id":"` + twice[0] + `"},{"id":"` + twice[0] + `"}]`, []string{"apps/1/id: is of an app that is declared before"}},
		"one new name declared twice":         {`[{"workspace":"Products","name":"A","mode":"chat","runtime":"echo"},{"workspace":"` + d.ws.ID + `","name":" A","mode":"chat","runtime":"echo"}]`, []string{"apps/1/name: is declared twice in this workspace"}},
		"a name that a rename takes":          {`[{"id":"` + twice[0] + `","name":"A"},{"workspace":"Products","name":"A","mode":"chat","runtime":"echo"}]`, []string{"apps/1/name: is declared twice in this workspace"}},
		"no workspace among several":          {`[{"name":"A"}]`, []string{"apps/0/workspace: must be the workspace's id or name, unless there is one workspace alone or the app's id is given"}},
		"an unknown workspace":                {`[{"workspace":"None","name":"A"},{"workspace":"` + canon.NewID() + `","name":"A"}]`, []string{"apps/0/workspace: no such workspace", "apps/1/workspace: no such workspace"}},
		"a name of several workspaces":        {`[{"workspace":"Twice","name":"A"}]`, []string{"apps/0/workspace: several workspaces have this name: give the id"}},
		"an archived workspace, by name":      {`[{"workspace":"Gone","name":"A"}]`, []string{"apps/0/workspace: no such workspace"}},
		"an archived workspace, by id":        {`[{"workspace":"` + gone.ID + `","name":"A"}]`, []string{"apps/0/workspace: is archived: no app is made in it"}},
		"an unknown app":                      {`[{"id":"` + canon.NewID() + `"},{"id":"x"}]`, []string{"apps/0/id: no such app", "apps/1/id: no such app"}},
		"an app of another workspace":         {`[{"id":"` + twice[0] + `","workspace":"` + other.ID + `"}]`, []string{"apps/0/workspace: is not the workspace of the app that has this id"}},
		"a new app of no kind":                {`[{"workspace":"Products","name":"A","runtime":"echo"}]`, []string{"apps/0/mode: must say what kind of app a new one is"}},
		"no name":                             {`[{"workspace":"Products","mode":"chat"}]`, []string{"apps/0/name: must not be empty"}},
		"a new app without an address":        {`[{"workspace":"Products","name":"A","mode":"chat"}]`, []string{"apps/0/runtime_url: must be the base address of the app's runtime"}},
		"members that are none, of each kind": {`[{"id":"` + twice[0] + `","allowed":["x@example.com","` + canon.NewID() + `","ada@example.com"]}]`, []string{"apps/0/allowed/0: is no member of the app's workspace", "apps/0/allowed/1: is no member of the app's workspace"}},
		"several at once": {`[{"workspace":"Products","name":"A","mode":"x","runtime":"echo","tags":["b,c"]},{"id":"` + twice[1] + `","access_mode":"all","status":"gone"}]`, []string{
			"apps/0/mode: must be chat, agent-chat, advanced-chat, completion, workflow, agent, channel or rag-pipeline", "apps/0/tags/0: must not have a comma, a quotation mark or a backslash",
			"apps/1/access_mode: must be internal, internal_all, sso_verified or public", "apps/1/status: must be normal or archived",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dryRun := range []bool{true, false} {
				declared := append(read(t, c.text), apps.Declaration{Workspace: "Products", Name: "Fine", Mode: new(apps.Chat), Runtime: new(apps.RuntimeEcho)})
				_, err := d.r.Reconcile(t.Context(), command, declared, dryRun)
				if diff := cmp.Diff(c.want, refusals(err)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	t.Run("too many", func(t *testing.T) {
		_, err := d.r.Reconcile(t.Context(), command, many, false)
		if diff := cmp.Diff([]string{"apps: must be at most 500: give them in several files"}, refusals(err)); diff != "" {
			t.Error(diff)
		}
	})
	if n, events := d.Count(t, `SELECT count(*) FROM apps`), d.Count(t, `SELECT count(*) FROM audit_events`); n != 2 || events != before {
		t.Errorf("%d apps, %d events more", n, events-before)
	}
}

func TestMembersDeclareByTheirRole(t *testing.T) {
	d := newDesk(t)
	editor := d.AddActive(t, "editor@example.com")
	d.AddMember(t, d.ws.ID, editor.ID, workspace.Editor, false)
	echo := []apps.Declaration{{Name: "Echo", Mode: new(apps.Chat), Runtime: new(apps.RuntimeEcho)}} // in the one workspace there is
	reached := []apps.Declaration{{Workspace: "Products", Name: "Helper", Mode: new(apps.Chat), RuntimeURL: new("https://dify.example.com")}}
	stranger := d.AddActive(t, "stranger@example.com")
	for _, c := range []struct {
		who      string
		declared []apps.Declaration
		want     error
	}{
		{editor.ID, echo, nil}, {editor.ID, reached, workspace.ErrRole}, {d.members[0].ID, echo, workspace.ErrRole}, {stranger.ID, echo, workspace.ErrNotFound}, {"", echo, workspace.ErrNotFound},
		{d.owner.ID, reached, nil},
	} {
		if _, err := d.r.Reconcile(t.Context(), apps.Member(c.who), c.declared, false); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, not %v", c.who, err, c.want)
		}
	}
	if n := d.Count(t, `SELECT count(*) FROM apps`); n != 2 {
		t.Errorf("%d apps", n)
	}
}

func TestAKeyIsInNoDeclaration(t *testing.T) {
	text, err := json.Marshal(apps.Declaration{Name: "Helper", Key: new(secret.New("app-key"))})
	if err != nil || strings.Contains(strings.ToLower(string(text)), "key") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestAsManyAppsAsAFileMayDeclare(t *testing.T) {
	d := newDesk(t)
	var declared []apps.Declaration
	for i := range apps.MaxDeclarations {
		declared = append(declared, apps.Declaration{Name: fmt.Sprint("App ", i), Mode: new(apps.Chat), Runtime: new(apps.RuntimeEcho), Key: new(secret.New("k")), Allowed: &[]string{"ada@example.com"}})
	}
	for _, want := range []string{apps.PlanCreate, apps.PlanNone} {
		for _, p := range d.reconcile(t, declared, false) {
			if p.Action != want {
				t.Fatalf("%s %s, not %s", p.Action, p.Name, want)
			}
		}
	}
}
