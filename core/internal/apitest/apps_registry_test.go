// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// arOperator keeps apps as a command does.
var arOperator = apps.Operator(audit.Caller{User: "ada"}.Actor())

// arApp puts an app with a key into the owner's workspace.
func arApp(t testing.TB, s *apitest.Server, key string) apps.Entry {
	t.Helper()
	e, err := s.App.Registry.Create(t.Context(), arOperator, sqlText(t, s, `SELECT id FROM workspaces`), apps.Draft{
		Name: "Helper", Mode: apps.Chat, RuntimeURL: "https://dify.example.com", Key: secret.New(key), APIEnabled: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// arOpens asks a server for an app's key and what is told of it.
func arOpens(t testing.TB, s *apitest.Server, id, key string, told apps.Key) {
	t.Helper()
	e, err := s.App.Registry.Find(t.Context(), arOperator, id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.App.Registry.OpenKey(e.App)
	if err != nil || got.Reveal() != key {
		t.Fatalf("the key does not open: %v", err)
	}
	if e.Key != told {
		t.Errorf("%+v is told of the key, and was %+v", e.Key, told)
	}
}

func TestKeysOfAppsAreSealedAnew(t *testing.T) {
	const key = "app-of-the-rotation"
	t.Run("under a sealing key of one's own", func(t *testing.T) {
		aboutEmbedded(t)
		dir := t.TempDir()
		h := kyHouse{dir: dir}
		var e apps.Entry
		t.Run("beside the server", func(t *testing.T) {
			s := apitest.Start(t, unlimited(), apitest.In(dir))
			e = arApp(t, s, key)
			for _, want := range []string{"k2:", "k3:"} {
				if got := h.command("", "", "rotate-sealing-key"); got.code != 0 || !strings.Contains(got.out, "Of 2 sealed values 2 sealed anew") {
					t.Fatalf("%+v", got)
				}
				if sealed := sqlText(t, s, `SELECT runtime_key_sealed FROM apps`); !strings.HasPrefix(sealed, want) {
					t.Fatalf("sealed with %.3s", sealed)
				}
				arOpens(t, s, e.ID, key, e.Key)
			}
		})
		t.Run("without the former keys", func(t *testing.T) {
			file := filepath.Join(dir, "sealing.key")
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(content), "\n")
			if err := os.WriteFile(file, []byte(first+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			arOpens(t, apitest.Start(t, unlimited(), apitest.In(dir)), e.ID, key, e.Key)
		})
	})
	t.Run("under an operator's", func(t *testing.T) {
		h := kyNewHouse(t)
		file := filepath.Join(t.TempDir(), "sealing.key")
		former, fresh := seal.NewKeyFile("former"), seal.NewKeyFile("fresh")
		write := func(content ...byte) {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(former...)
		var e apps.Entry
		t.Run("before", func(t *testing.T) { e = arApp(t, h.server(t, kyNew, "", apitest.Set("SEALING_KEY_FILE", file)), key) })
		write(append(append([]byte{}, fresh...), former...)...)
		environ := []string{"DATA_DIR=" + h.dir, "SEALING_KEY_FILE=" + file, "SECRET_KEY=" + kyNew}
		if h.pair != nil {
			environ = append(h.pair.Environ(), environ[1:]...)
		}
		if got := ctIn(environ, apitest.Version, "rotate-sealing-key"); got.code != 0 || !strings.Contains(got.out, "Of 2 sealed values 2 sealed anew: all are under fresh now") {
			t.Fatalf("%+v", got)
		}
		write(fresh...)
		t.Run("after", func(t *testing.T) {
			arOpens(t, h.server(t, kyNew, "", apitest.Set("SEALING_KEY_FILE", file)), e.ID, key, e.Key)
		})
	})
}

func TestKeysOfAppsAreLeftNowhere(t *testing.T) {
	faults := &storetest.Faults{}
	s := apitest.Start(t, unlimited(), apitest.Set("LOG_LEVEL", "debug"), apitest.Wrap(func(st *app.Stores) { st.Apps = storetest.FaultyApps(st.Apps, faults) }))
	held := &apitest.Scanner{}
	planted := func(name string) secret.Text {
		key := "app-" + secret.Random()
		held.Add(name, key)
		return secret.New(key)
	}
	ctx := t.Context()
	e := arApp(t, s, planted("first key").Reveal())
	if _, err := s.App.Registry.SetKey(ctx, arOperator, e.ID, planted("second key")); err != nil {
		t.Fatal(err)
	}
	var said []string
	unfit := planted("unfit key").Reveal() + " "
	_, _, err := s.App.Registry.Update(ctx, arOperator, e.ID, apps.Change{Key: new(secret.New(unfit)), RuntimeURL: new("ftp://" + planted("address").Reveal())})
	said = append(said, err.Error())
	for _, d := range fault.Of(err).Details() {
		said = append(said, d.Msg)
	}
	for _, statement := range []string{"Tx.Entry", "Tx.Save", "Tx.Append", "Tx.Commit"} {
		faults.Clear()
		faults.Plan(storetest.Fault{Method: statement, On: 1})
		_, err := s.App.Registry.SetKey(ctx, arOperator, e.ID, planted("key that was not stored"))
		if err == nil {
			t.Fatalf("%s: no error", statement)
		}
		said = append(said, err.Error())
	}
	faults.Clear()
	declared := []apps.Declaration{{ID: e.ID, Name: "Other", Key: new(planted("declared key"))}}
	for _, dryRun := range []bool{true, false} {
		planned, err := s.App.Registry.Reconcile(ctx, arOperator, declared, dryRun)
		if err != nil || len(planned) != 1 || len(planned[0].Changes) != 2 {
			t.Fatalf("%+v, %v", planned, err)
		}
		for _, c := range planned[0].Changes {
			said = append(said, c.From, c.To)
		}
	}
	if err := s.App.Registry.Remove(ctx, arOperator, arApp(t, s, planted("key of an app that is gone").Reveal()).ID); err != nil {
		t.Fatal(err)
	}
	places := map[string][]byte{"log": []byte(s.Log.String()), "what people are told": []byte(strings.Join(said, "\n"))}
	places["audit"] = []byte(strings.Join(sqlTexts(t, s, `SELECT event || ' ' || fields FROM audit_events`), "\n"))
	if s.Pair != nil {
		places["Postgres"], places["Redis"] = sqlDump(t, s), redisDump(t, s.Pair)
	} else {
		for _, name := range []string{app.DatabaseFile, app.DatabaseFile + "-wal"} {
			content, err := os.ReadFile(filepath.Join(s.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			places["database"] = append(places["database"], content...)
		}
	}
	for place, content := range places {
		t.Run("TOK-13 "+place, func(t *testing.T) {
			for _, found := range held.Find(content) {
				t.Errorf("holds %s", found)
			}
		})
	}
	for _, place := range []string{"log", "audit"} {
		if !strings.Contains(string(places[place]), "app.key_changed") {
			t.Errorf("%s does not tell of keys at all: it is not what was meant", place)
		}
	}
}
