// SPDX-License-Identifier: Apache-2.0

package apps_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// desk is a registry of one workspace.
type desk struct {
	*storetest.World
	ws      workspace.Workspace
	owner   account.Account
	members []account.Account
	r       *apps.Registry
}

func newDesk(t *testing.T) desk {
	t.Helper()
	d := desk{World: storetest.NewWorld(t)}
	d.owner = d.AddActive(t, "owner@example.com")
	d.ws = d.AddWorkspaceOf(t, "Products", d.owner.ID)
	for _, email := range []string{"ada@example.com", "bob@example.com"} {
		m := d.AddActive(t, email)
		d.AddMember(t, d.ws.ID, m.ID, workspace.Normal, false)
		d.members = append(d.members, m)
	}
	d.r = storetest.NewRegistry(t, d.Durable, d.Apps, d.Clock.Now)
	return d
}

var command = apps.Operator(audit.Operator)

// refusals gives what an invalid app was refused for: "member/index: type".
func refusals(err error) []string {
	if err == nil {
		return nil
	}
	if !errors.Is(err, apps.ErrInvalid) {
		return []string{err.Error()}
	}
	var out []string
	for _, d := range fault.Of(err).Details() {
		var at []string
		for _, l := range d.Loc {
			at = append(at, fmt.Sprint(l))
		}
		out = append(out, strings.Join(at, "/")+": "+d.Msg)
	}
	return out
}

// plain is a draft in which everything holds.
func plain(change func(d *apps.Draft)) apps.Draft {
	d := apps.Draft{Name: "Helper", Mode: apps.Chat, RuntimeURL: "https://dify.example.com", Key: secret.New("app-key")}
	if change != nil {
		change(&d)
	}
	return d
}

func TestWhatAnAppMayBe(t *testing.T) {
	d := newDesk(t)
	wide := strings.Repeat("ä", 255)
	twenty := make([]string, 20)
	for i := range twenty {
		twenty[i] = fmt.Sprint("tag ", i)
	}
	const unseen = "has characters that nobody sees, or that a name cannot have"
	const signs = "must not have a comma, a quotation mark or a backslash"
	for name, c := range map[string]struct {
		change func(d *apps.Draft)
		want   []string
	}{
		"a name at its limit":         {func(d *apps.Draft) { d.Name = wide }, nil},
		"a name beyond it":            {func(d *apps.Draft) { d.Name = wide + "ä" }, []string{"name: is too long"}},
		"no name":                     {func(d *apps.Draft) { d.Name = " \t" }, []string{"name: must not be empty"}},
		"a name of two lines":         {func(d *apps.Draft) { d.Name = "a\nb" }, []string{"name: " + unseen}},
		"a name that turns":           {func(d *apps.Draft) { d.Name = "a\u202eb" }, []string{"name: " + unseen}},
		"a name that is no text":      {func(d *apps.Draft) { d.Name = "a\xff" }, []string{"name: " + unseen}},
		"a text at its limit":         {func(d *apps.Draft) { d.Description = strings.Repeat("ä", 4000) }, nil},
		"a text beyond it":            {func(d *apps.Draft) { d.Description = strings.Repeat("a", 4001) }, []string{"description: is too long"}},
		"a text of lines and columns": {func(d *apps.Draft) { d.Description = "a\tb\r\n\r\nc" }, nil},
		"a text with a NUL":           {func(d *apps.Draft) { d.Description = "a\x00" }, []string{"description: has characters that nobody sees, or that a text cannot have"}},
		"no mode":                     {func(d *apps.Draft) { d.Mode = "" }, []string{"mode: must be chat, agent-chat, advanced-chat, completion, workflow, agent, channel or rag-pipeline"}},
		"a mode that is only listed":  {func(d *apps.Draft) { d.Mode = apps.RAGPipeline }, nil},
		"twenty tags":                 {func(d *apps.Draft) { d.Tags = twenty }, nil},
		"one tag more":                {func(d *apps.Draft) { d.Tags = append(slices.Clone(twenty), "x") }, []string{"tags: must be at most 20"}},
		"tags that are none": {func(d *apps.Draft) {
			d.Tags = []string{"a", `"`, `\`, "b,c", "", strings.Repeat("a", 101), strings.Repeat("ä", 100), " a ", "\x00"}
		}, []string{
			"tags/1: " + signs, "tags/2: " + signs, "tags/3: " + signs, "tags/4: must not be empty", "tags/5: is too long", "tags/7: is there twice", "tags/8: " + unseen,
		}},
		"an author at the limit":    {func(d *apps.Draft) { d.Author = wide }, nil},
		"an author beyond it":       {func(d *apps.Draft) { d.Author = wide + "a" }, []string{"author: is too long"}},
		"an unknown runtime":        {func(d *apps.Draft) { d.Runtime = "other" }, []string{"runtime: must be dify or echo"}},
		"no address":                {func(d *apps.Draft) { d.RuntimeURL = " " }, []string{"runtime_url: must be the base address of the app's runtime"}},
		"an address of echo":        {func(d *apps.Draft) { d.Runtime = apps.RuntimeEcho }, []string{"runtime_url: must be empty: the echo runtime is reached nowhere"}},
		"an address at its limit":   {func(d *apps.Draft) { d.RuntimeURL = "http://a/" + strings.Repeat("a", 2039) }, nil},
		"an address beyond it":      {func(d *apps.Draft) { d.RuntimeURL = "http://a/" + strings.Repeat("a", 2040) }, []string{"runtime_url: is too long"}},
		"an object":                 {func(d *apps.Draft) { d.RuntimeConfig = ` {"b":"<&>","a":1e400} ` }, nil},
		"an object at the limit":    {func(d *apps.Draft) { d.RuntimeConfig = `{"a":"` + strings.Repeat("a", 64<<10-8) + `"}` }, nil},
		"an object beyond it":       {func(d *apps.Draft) { d.RuntimeConfig = `{"a":"` + strings.Repeat("a", 64<<10-7) + `"}` }, []string{"runtime_config: must be at most 64 KiB"}},
		"an object far beyond it":   {func(d *apps.Draft) { d.RuntimeConfig = strings.Repeat("a", 1<<20) }, []string{"runtime_config: must be at most 64 KiB"}},
		"a list":                    {func(d *apps.Draft) { d.RuntimeConfig = `[]` }, []string{"runtime_config: must be a JSON object"}},
		"null":                      {func(d *apps.Draft) { d.RuntimeConfig = `null` }, []string{"runtime_config: must be a JSON object"}},
		"two objects":               {func(d *apps.Draft) { d.RuntimeConfig = `{}{}` }, []string{"runtime_config: must be a JSON object"}},
		"half an object":            {func(d *apps.Draft) { d.RuntimeConfig = `{"a":` }, []string{"runtime_config: must be a JSON object"}},
		"a mode of the other house": {func(d *apps.Draft) { d.Access = apps.Public }, []string{"access_mode: lets people without an account in, and is of the Enterprise Edition alone: choose internal_all or internal"}},
		"an unknown access mode":    {func(d *apps.Draft) { d.Access = "all" }, []string{"access_mode: must be internal, internal_all, sso_verified or public"}},
		"most runs":                 {func(d *apps.Draft) { d.MaxActive = 1_000_000 }, nil},
		"too many runs":             {func(d *apps.Draft) { d.MaxActive = 1_000_001 }, []string{"max_active_requests: must be 0, which takes the installation's default, or at most 1000000"}},
		"fewer than none":           {func(d *apps.Draft) { d.MaxActive = -1 }, []string{"max_active_requests: must be 0, which takes the installation's default, or at most 1000000"}},
		"a key at its limit":        {func(d *apps.Draft) { d.Key = secret.New(strings.Repeat("k", 512)) }, nil},
		"a key beyond it":           {func(d *apps.Draft) { d.Key = secret.New(strings.Repeat("k", 513)) }, []string{"runtime_key: is too long"}},
		"a key with a line's end":   {func(d *apps.Draft) { d.Key = secret.New("app-key\n") }, []string{"runtime_key: has spaces, or characters that a key cannot have"}},
		"a key that is no ASCII":    {func(d *apps.Draft) { d.Key = secret.New("äpp") }, []string{"runtime_key: has spaces, or characters that a key cannot have"}},
		"members":                   {func(d *apps.Draft) { d.Allowed = []string{"x", canon.NewID()} }, []string{"allowed/0: is no member of the app's workspace", "allowed/1: is no member of the app's workspace"}},
		"too many members":          {func(d *apps.Draft) { d.Allowed = make([]string, 1001) }, []string{"allowed: must be at most 1000"}},
		"all at once": {func(d *apps.Draft) {
			*d = apps.Draft{Runtime: "x", Access: "y", MaxActive: -1, Key: secret.New(" "), Allowed: []string{"z"}}
		}, []string{
			"name: must not be empty", "mode: must be chat, agent-chat, advanced-chat, completion, workflow, agent, channel or rag-pipeline", "runtime: must be dify or echo",
			"runtime_url: must be the base address of the app's runtime", "access_mode: must be internal, internal_all, sso_verified or public",
			"max_active_requests: must be 0, which takes the installation's default, or at most 1000000", "runtime_key: has spaces, or characters that a key cannot have",
			"allowed/0: is no member of the app's workspace",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.r.Create(t.Context(), apps.Member(d.owner.ID), d.ws.ID, plain(c.change))
			if diff := cmp.Diff(c.want, refusals(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAddressesOfRuntimes(t *testing.T) {
	d := newDesk(t)
	e, err := d.r.Create(t.Context(), command, d.ws.ID, plain(nil))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"https://dify.example.com/":        "https://dify.example.com",
		" https://dify.example.com/v1 ":    "https://dify.example.com",
		"https://dify.example.com/v1//":    "https://dify.example.com",
		"http://10.0.0.7:8080/base/v1":     "http://10.0.0.7:8080/base",
		"http://[fd00::1]:8080":            "http://[fd00::1]:8080",
		"https://dify.example.com/v1/x":    "https://dify.example.com/v1/x",
		"https://dify.example.com/v1/v1":   "https://dify.example.com",
		"dify.example.com":                 "",
		"//dify.example.com":               "",
		"ftp://dify.example.com":           "",
		"https:dify.example.com":           "",
		"https://":                         "",
		"https://:443":                     "",
		"https://ada@dify.example.com":     "",
		"https://ada:pw@dify.example.com":  "",
		"https://@dify.example.com":        "",
		"https://dify.example.com?":        "",
		"https://dify.example.com?a=b":     "",
		"https://dify.example.com#":        "",
		"https://dify.example.com/v1?a=/":  "",
		"https://dify.example.com/a b":     "",
		"https://dify.example.com/\x7f":    "",
		"https://dify.example.com\r\nX: y": "",
		"https://dïfy.example.com":         "",
		"https://%zz":                      "",
		"https://dify.example.com:port":    "",
	} {
		got, _, err := d.r.Update(t.Context(), command, e.ID, apps.Change{RuntimeURL: &address})
		switch {
		case want == "":
			if list := refusals(err); len(list) != 1 || !strings.HasPrefix(list[0], "runtime_url: must ") || strings.Contains(list[0], "example") {
				t.Errorf("%q: %v", address, err)
			}
		case err != nil || got.RuntimeURL != want:
			t.Errorf("%q: %q, %v", address, got.RuntimeURL, err)
		}
	}
}

func TestRulesThatDependOnTheInstallation(t *testing.T) {
	d := newDesk(t)
	deps := d.r.RegistryDeps
	deps.Enterprise = true
	deps.Acceptable = func(address string) error {
		if strings.Contains(address, "localhost") {
			return errors.New("the host is not one of RUNTIME_ALLOWED_HOSTS")
		}
		return nil
	}
	enterprise, err := apps.NewRegistry(deps)
	if err != nil {
		t.Fatal(err)
	}
	_, err = enterprise.Create(t.Context(), command, d.ws.ID, plain(func(d *apps.Draft) { d.RuntimeURL = "http://localhost:8080" }))
	if diff := cmp.Diff([]string{"runtime_url: is not called: the host is not one of RUNTIME_ALLOWED_HOSTS"}, refusals(err)); diff != "" {
		t.Error(diff)
	}
	e, err := enterprise.Create(t.Context(), command, d.ws.ID, plain(func(d *apps.Draft) { d.Access = apps.Public }))
	if err != nil {
		t.Fatal(err)
	}
	// The Community Edition goes on with what the Enterprise Edition has left.
	if _, changed, err := d.r.Update(t.Context(), command, e.ID, apps.Change{Name: new("Other"), Access: new(apps.Public)}); err != nil || !slices.Equal(changed, []string{"name"}) {
		t.Errorf("%v, %v", changed, err)
	}
	if _, _, err := d.r.Update(t.Context(), command, e.ID, apps.Change{Access: new(apps.SSOVerified)}); len(refusals(err)) != 1 {
		t.Errorf("%v", err)
	}
}

func TestAnAppChangesItsRuntime(t *testing.T) {
	d := newDesk(t)
	e, err := d.r.Create(t.Context(), command, d.ws.ID, plain(nil))
	if err != nil {
		t.Fatal(err)
	}
	got, changed, err := d.r.Update(t.Context(), command, e.ID, apps.Change{Runtime: new(apps.RuntimeEcho), RuntimeConfig: new(`{"b":1, "a":"<"}`)})
	if err != nil || got.RuntimeURL != "" || got.RuntimeConfig != `{"a":"<","b":1}` || !slices.Equal(changed, []string{"runtime", "runtime_url", "runtime_config", "runtime_key"}) || got.Key.Set {
		t.Errorf("%+v, %q, %v", got.App, changed, err)
	}
	if _, changed, err := d.r.Update(t.Context(), command, e.ID, apps.Change{RuntimeConfig: new(`{"a":"\u003c","b":1}`)}); err != nil || len(changed) > 0 {
		t.Errorf("the same in other words: %q, %v", changed, err)
	}
	if _, _, err := d.r.Update(t.Context(), command, e.ID, apps.Change{Runtime: new(apps.RuntimeDify)}); len(refusals(err)) != 1 {
		t.Errorf("without an address: %v", err)
	}
}

// Who sets an address may not read the key by it: it would be sent to a host of theirs.
func TestAKeyStaysWithItsOrigin(t *testing.T) {
	d := newDesk(t)
	for name, c := range map[string]struct {
		change apps.Change
		stays  bool
	}{
		"another host":             {apps.Change{RuntimeURL: new("https://evil.example.com")}, false},
		"another port":             {apps.Change{RuntimeURL: new("https://dify.example.com:8443")}, false},
		"another scheme":           {apps.Change{RuntimeURL: new("http://dify.example.com")}, false},
		"http on its port":         {apps.Change{RuntimeURL: new("http://dify.example.com:443")}, false},
		"a longer name":            {apps.Change{RuntimeURL: new("https://dify.example.com.evil.example.com")}, false},
		"a dot at the end":         {apps.Change{RuntimeURL: new("https://dify.example.com.")}, false},
		"nowhere":                  {apps.Change{Runtime: new(apps.RuntimeEcho)}, false},
		"nowhere, by its address":  {apps.Change{Runtime: new(apps.RuntimeEcho), RuntimeURL: new("")}, false},
		"the same":                 {apps.Change{RuntimeURL: new("https://dify.example.com")}, true},
		"the same, as Dify has it": {apps.Change{RuntimeURL: new("https://dify.example.com/v1/")}, true},
		"in capitals":              {apps.Change{RuntimeURL: new("HTTPS://DIFY.Example.COM")}, true},
		"with its own port":        {apps.Change{RuntimeURL: new("https://dify.example.com:443")}, true},
		"another path":             {apps.Change{RuntimeURL: new("https://dify.example.com/other")}, true},
		"another name":             {apps.Change{Name: new("Other")}, true},
		"with the same key":        {apps.Change{RuntimeURL: new("https://evil.example.com"), Key: new(secret.New("app-key"))}, true},
		"with another key":         {apps.Change{RuntimeURL: new("https://evil.example.com"), Key: new(secret.New("app-other"))}, true},
	} {
		t.Run("TOK-13 "+name, func(t *testing.T) {
			e, err := d.r.Create(t.Context(), command, d.ws.ID, plain(nil))
			if err != nil {
				t.Fatal(err)
			}
			got, changed, err := d.r.Update(t.Context(), apps.Member(d.owner.ID), e.ID, c.change)
			if err != nil || got.Key.Set != c.stays || slices.Contains(changed, "runtime_key") == (c.stays && name != "with another key") {
				t.Errorf("%+v, %q, %v", got.Key, changed, err)
			}
		})
	}
	t.Run("TOK-13 one that was set before there was an address goes where the first one leads as little", func(t *testing.T) {
		e, err := d.r.Create(t.Context(), command, d.ws.ID, apps.Draft{Name: "Waits", Mode: apps.Chat, Runtime: apps.RuntimeEcho, Key: secret.New("app-key")})
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := d.r.Update(t.Context(), apps.Member(d.owner.ID), e.ID, apps.Change{Runtime: new(apps.RuntimeDify), RuntimeURL: new("https://evil.example.com")})
		if err != nil || got.Key.Set {
			t.Errorf("%+v, %v", got.Key, err)
		}
	})
	t.Run("TOK-13 a file says so before, and when it does", func(t *testing.T) {
		e, err := d.r.Create(t.Context(), command, d.ws.ID, plain(func(a *apps.Draft) { a.Name = "Declared" }))
		if err != nil {
			t.Fatal(err)
		}
		declared := read(t, `[{"workspace":"Products","name":"Declared","runtime_url":"https://evil.example.com"}]`)
		for _, dry := range []bool{true, false} {
			planned := d.reconcile(t, declared, dry)
			want := apps.PlannedChange{Member: "runtime_key", To: "removed"}
			if len(planned) != 1 || !slices.Contains(planned[0].Changes, want) {
				t.Errorf("dry %v: %+v", dry, planned)
			}
		}
		if found, err := d.r.Find(t.Context(), command, e.ID); err != nil || found.Key.Set {
			t.Errorf("%+v, %v", found.Key, err)
		}
	})
}

// An editor's app waits for who gives it its address, and can be changed meanwhile.
func TestAnAppWithoutAnAddressYet(t *testing.T) {
	d := newDesk(t)
	editor := d.AddActive(t, "editor@example.com")
	d.AddMember(t, d.ws.ID, editor.ID, workspace.Editor, false)
	e, err := d.r.Create(t.Context(), apps.Member(editor.ID), d.ws.ID, apps.Draft{Name: "Helper", Mode: apps.Chat})
	if err != nil || e.Runtime != apps.RuntimeDify || e.RuntimeURL != "" || e.CreatedByName != editor.Name {
		t.Fatalf("%+v, %v", e, err)
	}
	for _, by := range []apps.By{apps.Member(editor.ID), apps.Member(d.owner.ID)} {
		if _, _, err := d.r.Update(t.Context(), by, e.ID, apps.Change{Name: new("for " + by.AccountID), RuntimeURL: new("")}); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := d.r.Update(t.Context(), apps.Member(d.owner.ID), e.ID, apps.Change{RuntimeURL: new("https://dify.example.com")}); err != nil {
		t.Error(err)
	}
	if _, _, err := d.r.Update(t.Context(), apps.Member(d.owner.ID), e.ID, apps.Change{RuntimeURL: new("")}); len(refusals(err)) != 1 {
		t.Errorf("an address is taken away: %v", err)
	}
}

func TestKeysAreToldApartAndNotTold(t *testing.T) {
	d := newDesk(t)
	make2 := func(key string) apps.Entry {
		e, err := d.r.Create(t.Context(), command, d.ws.ID, plain(func(d *apps.Draft) { d.Key = secret.New(key) }))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	one, same, other := make2("app-one"), make2("app-one"), make2("app-two")
	if one.Key != same.Key || one.Key == other.Key || one.SealedKey == same.SealedKey || len(one.Key.Fingerprint) != 8 {
		t.Errorf("%v %v %v", one.Key, same.Key, other.Key)
	}
	if plain := secret.DigestOf("app-one").Hex(); strings.HasPrefix(plain, one.Key.Fingerprint) {
		t.Error("anybody can make the fingerprint of a key that they guess")
	}
	t.Run("TOK-13 a key that was moved to another app does not open", func(t *testing.T) {
		moved := other.App
		moved.SealedKey = one.SealedKey
		if _, err := d.r.OpenKey(moved); err == nil {
			t.Error("it opened")
		}
	})
	t.Run("a key that no key opens is set, has no fingerprint, and is replaced", func(t *testing.T) {
		if _, err := d.DB.Exec(t.Context(), `UPDATE apps SET runtime_key_sealed = 'gone:AAAA' WHERE id = $1`, one.ID); err != nil {
			t.Fatal(err)
		}
		found, err := d.r.Find(t.Context(), command, one.ID)
		if err != nil || found.Key != (apps.Key{Set: true}) {
			t.Errorf("%+v, %v", found.Key, err)
		}
		if key, err := d.r.SetKey(t.Context(), command, one.ID, secret.New("app-one")); err != nil || key != same.Key {
			t.Errorf("%+v, %v", key, err)
		}
	})
}

// patient notes how long an act would wait for its transaction.
type patient struct {
	apps.RegistryStore
	waits time.Duration
}

func (p *patient) InTx(ctx context.Context, _ func(context.Context, apps.Tx) error) error {
	if until, ok := ctx.Deadline(); ok {
		p.waits = time.Until(until)
	}
	return context.DeadlineExceeded
}

func TestAnActDoesNotWaitForEver(t *testing.T) {
	d := newDesk(t)
	p := &patient{}
	err := storetest.NewRegistry(t, d.Durable, p, d.Clock.Now).Remove(t.Context(), command, canon.NewID())
	if fault.Of(err).Kind() != fault.Unavailable || p.waits <= 0 || p.waits > 10*time.Second {
		t.Fatalf("%v after at most %s", err, p.waits)
	}
}

func TestNoRegistryWithoutWhatItNeeds(t *testing.T) {
	whole := newDesk(t).r.RegistryDeps
	for name, without := range map[string]func(d *apps.RegistryDeps){
		"store": func(d *apps.RegistryDeps) { d.Store = nil }, "sealing": func(d *apps.RegistryDeps) { d.Sealing = nil }, "recorder": func(d *apps.RegistryDeps) { d.Recorder = nil },
		"clock": func(d *apps.RegistryDeps) { d.Now = nil }, "fingerprints": func(d *apps.RegistryDeps) { d.Fingerprints = nil },
		"judge": func(d *apps.RegistryDeps) { d.Acceptable = nil },
	} {
		d := whole
		without(&d)
		if _, err := apps.NewRegistry(d); err == nil {
			t.Errorf("without %s", name)
		}
	}
}
