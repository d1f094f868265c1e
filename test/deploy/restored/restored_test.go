// SPDX-License-Identifier: Apache-2.0

package restored_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/test/deploy/followed"
	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

func TestMain(m *testing.M) { process.Main(m) }

const account, profile = "/openapi/v1/account", "/console/api/account/profile"

// past is what there is before and after the copy, and has to be or not to be once it is
// brought back.
type past struct {
	w       *followed.World
	session *followed.Person // from before
	revoked string           // a token of before that was ended after the copy
	id      string           // its session
	later   string           // a token of after
}

func before(t *testing.T, w *followed.World) *past {
	t.Helper()
	p := &past{w: w, session: w.Person(t.Context())}
	var err error
	if p.revoked, err = p.session.Login(t.Context(), "lost laptop"); err != nil {
		t.Fatal(err)
	}
	said, err := w.Try("core admin tokens list -o json")
	if err != nil {
		t.Fatal(err, said)
	}
	var list struct {
		Data []map[string]any `json:"data"`
	}
	if err := json.Unmarshal([]byte(said), &list); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for _, row := range list.Data {
		if text, _ := json.Marshal(row); strings.Contains(string(text), "lost laptop") {
			p.id, _ = row["id"].(string)
		}
	}
	if p.id == "" {
		t.Fatalf("the session is not in %s", said)
	}
	w.Write(filepath.Join(w.Settings, "password"), "another good password\n")
	w.Follow(t, "core admin create-account --email bob@example.com --name Bob --password-file \"$SETTINGS/password\"")
	return p
}

// after is what operators and people do once the copy is made.
func (p *past) after(t *testing.T) {
	t.Helper()
	p.later = p.w.Login()
	p.w.Follow(t, "core admin tokens revoke "+p.id+" --yes\ncore admin set-status bob@example.com banned --yes")
	p.refused(t, "the token that was ended", p.revoked)
}

func (p *past) refused(t *testing.T, what, token string) {
	t.Helper()
	var refused *visitor.Refusal
	if err := p.session.Get(t.Context(), token, account, nil); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		t.Errorf("%s: %v", what, err)
	}
}

// alive looks at the installation that was brought back.
func (p *past) alive(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	if err := p.session.Get(ctx, p.w.Token, account, nil); err != nil {
		t.Errorf("a token from before the copy: %v", err)
	}
	if err := p.session.Console(ctx, profile, nil); err != nil {
		t.Errorf("a console session from before the copy: %v", err)
	}
	p.refused(t, "a token that the copy does not know", p.later)
	if _, err := p.session.Login(ctx, "after"); err != nil {
		t.Errorf("a sign-in by account: %v", err)
	}
	company := p.w.Company()
	if err := company.Leave(ctx); err != nil {
		t.Errorf("a sign-in by company: %v", err)
	} else if err := errors.Join(company.Return(ctx), company.Fetch(ctx)); err != nil { // it opens the sealed client secret
		t.Errorf("a sign-in by company: %v", err)
	}
	for event, from := range map[string]string{"account.setup": "core", "oauth.token_minted": "core", "sso.connection_force_enabled": "sso-bridge"} {
		if said, err := p.w.Try(from + " audit list --event " + event + " -o json"); err != nil || !strings.Contains(said, event) {
			t.Errorf("the trail has no %s: %v %s", event, err, said)
		}
	}
}

// listed reports whether the session that was ended is among the live ones.
func (p *past) listed(t *testing.T) bool {
	t.Helper()
	said, err := p.w.Try("core admin tokens list -o json")
	if err != nil {
		t.Fatal(err, said)
	}
	return strings.Contains(said, p.id)
}

func (p *past) banned(t *testing.T) {
	t.Helper()
	var refused *visitor.Refusal
	if err := visitor.New(p.w.Address(), nil).SignIn(t.Context(), "bob@example.com", "another good password"); !errors.As(err, &refused) {
		t.Errorf("somebody who was banned after the copy signs in: %v", err)
	}
}

func TestPostgresIsBroughtBack(t *testing.T) {
	w := followed.New(t, followed.Plan{})
	book := followed.Read(t, "backup.md")
	p := before(t, w)
	t.Run("both databases are copied under load, and nobody notices", func(t *testing.T) {
		load := w.Begin(t.Context())
		load.During("backup")
		for _, step := range book.Steps(t, "backup:postgres") {
			w.Follow(t, step)
		}
		t.Log(load.Turns(t))
		load.End()
		if failures := load.Failures(); len(failures) > 0 {
			t.Errorf("%d failures:\n%s", len(failures), strings.Join(failures, "\n"))
		}
	})
	p.after(t)
	t.Run("fresh databases, an empty Redis and the keys are the installation of before", func(t *testing.T) {
		for i, step := range book.Steps(t, "restore:postgres") {
			switch i {
			case 3: // the databases are there, and the keys were lost
				lost(t, w)
			case 5:
				if left := w.Redis("core:*") + w.Redis("bridge:*"); left != "" {
					t.Errorf("Redis holds %s", left)
				}
			case 6:
				if !p.listed(t) {
					t.Error("what was ended after the copy is not alive again: the runbook says that it is")
				}
			}
			w.Follow(t, step)
			if i == 6 && p.listed(t) {
				t.Error("the runbook does not end again what was ended")
			}
		}
		p.alive(t)
		p.refused(t, "a token that was ended again", p.revoked)
		p.banned(t)
	})
}

// lost puts other keys in place: each is refused in words, and nothing is changed by it.
func lost(t *testing.T, w *followed.World) {
	t.Helper()
	for _, tc := range []struct{ file, program string }{
		{"core/secret-key", "core"}, {"core/sealing-key", "core"}, {"sso-bridge/secret-key", "sso-bridge"}, {"sso-bridge/sealing-key", "sso-bridge"},
	} {
		path := filepath.Join(w.Secrets, tc.file)
		kept := w.Read(path) + "\n"
		out, err := exec.CommandContext(t.Context(), "openssl", "rand", "-base64", "32").Output()
		if err != nil {
			t.Fatal(err)
		}
		id := ""
		if strings.HasSuffix(tc.file, "sealing-key") {
			id, _, _ = strings.Cut(kept, ":")
			id += ":"
		}
		w.Write(path, id+string(out))
		said, err := w.Try(tc.program + " serve --listen 127.0.0.1:0")
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.ExitCode() != 1 && ended.ExitCode() != 2 || !strings.Contains(said, "the keys are not those of this database") {
			t.Errorf("%s starts with another %s, or does not say why not: %v %s", tc.program, tc.file, err, said)
		}
		w.Write(path, kept)
	}
	for _, name := range []string{"core/secret-key", "sso-bridge/sealing-key", "keyset.json"} {
		if err := os.Remove(filepath.Join(w.Secrets, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheEmbeddedInstallationIsBroughtBack(t *testing.T) {
	w := followed.New(t, followed.Plan{Embedded: true})
	book := followed.Read(t, "backup.md")
	p := before(t, w)
	for _, step := range book.Steps(t, "backup:embedded") {
		w.Follow(t, step)
	}
	p.after(t)
	t.Run("both services come back from the copies of their directories", func(t *testing.T) {
		steps := book.Steps(t, "restore:embedded")
		w.Follow(t, steps[0])
		if !p.listed(t) {
			t.Error("what was ended after the copy is not alive again: the runbook says that it is")
		}
		w.Follow(t, "core admin tokens revoke "+p.id+" --yes") // as step 7 of Postgres says
		for _, step := range steps[1:] {
			w.Follow(t, step)
		}
		p.alive(t)
		p.refused(t, "a token that was ended again", p.revoked)
	})
}
