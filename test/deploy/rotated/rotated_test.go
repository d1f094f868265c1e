// SPDX-License-Identifier: Apache-2.0

package rotated_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/followed"
	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

func TestMain(m *testing.M) { process.Main(m) }

// rotation is what there is to know of a key beside its commands.
type rotation struct {
	// before prepares and keeps what the operator has at hand.
	before func(t *testing.T)
	// between is what time does before a step, counted from 0.
	between map[int]func(t *testing.T)
	// refused looks that the former value opens nothing any more.
	refused func(t *testing.T)
}

// Every section of the runbook, in its order, on one installation and under one load.
func TestEveryKeyIsChangedUnderLoad(t *testing.T) {
	w := followed.New(t, followed.Plan{})
	book := followed.Read(t, "keys.md")
	load := w.Begin(t.Context())
	known := rotations(w)
	marks := book.Marks("rotate:")
	for name := range known {
		if !slices.Contains(marks, "rotate:"+name) {
			t.Errorf("keys.md has no commands for %s any more", name)
		}
	}
	began := w.Person(t.Context()) // a session from before every rotation
	for _, mark := range marks {
		name := strings.TrimPrefix(mark, "rotate:")
		if name == "tls" { // of an installation that serves https itself
			continue
		}
		r, tested := known[name]
		if !tested {
			t.Errorf("nobody looks whether the former %s is refused", name)
			continue
		}
		t.Run(name+" is changed by the commands of its section, and no sign-in, session or token is lost", func(t *testing.T) {
			load.During(name)
			follow(t, w, load, book.Steps(t, mark), r)
		})
	}
	if err := began.Console(t.Context(), "/console/api/account/profile", nil); err != nil {
		t.Errorf("the session from before: %v", err)
	}
	if err := began.Get(t.Context(), w.Token, "/openapi/v1/account", nil); err != nil {
		t.Errorf("the token from before: %v", err)
	}
}

// A pair is changed without a restart: the one process goes on.
func TestTheCertificateIsChangedUnderLoad(t *testing.T) {
	w := followed.New(t, followed.Plan{Embedded: true, TLS: true})
	load := w.Begin(t.Context())
	var serial string
	t.Run("tls is changed by the commands of its section, and no sign-in, session or token is lost", func(t *testing.T) {
		follow(t, w, load, followed.Read(t, "keys.md").Steps(t, "rotate:tls"), rotation{
			before: func(*testing.T) { serial = w.NewPair("new") },
			refused: func(t *testing.T) {
				for deadline := time.Now().Add(20 * time.Second); w.Certificate()[0] != serial; time.Sleep(50 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("the former certificate is shown")
					}
				}
			},
		})
	})
}

func follow(t *testing.T, w *followed.World, load *followed.Load, steps []string, r rotation) {
	if r.before != nil {
		r.before(t)
	}
	// One sign-in of each kind begins before the first step and is allowed before the last.
	person, company := w.Person(t.Context()), w.Company()
	code, err := person.Begin(t.Context(), "waits")
	if err != nil {
		t.Fatal(err)
	}
	if err := company.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, step := range steps {
		if i == len(steps)-1 {
			if err := company.Return(t.Context()); err != nil {
				t.Errorf("a sign-in by company from before: %v", err)
			}
			if err := person.Allow(t.Context(), code.UserCode); err != nil {
				t.Errorf("a code from before: %v", err)
			}
			if _, err := person.Poll(t.Context(), code); err != nil {
				t.Errorf("a code from before: %v", err)
			}
		}
		if time := r.between[i]; time != nil {
			time(t)
		}
		w.Follow(t, step)
	}
	turns := load.Turns(t)
	if err := company.Fetch(t.Context()); err != nil {
		t.Errorf("the token of a sign-in from before: %v", err)
	}
	if failures := load.Failures(); len(failures) > 0 {
		t.Errorf("%d failures:\n%s", len(failures), strings.Join(failures[:min(5, len(failures))], "\n"))
	}
	t.Log(turns)
	r.refused(t)
}

// rotations knows the keys by the names of the runbook.
func rotations(w *followed.World) map[string]rotation {
	file := func(name string) string { return filepath.Join(w.Secrets, name) }
	// alone says that a service which has the former value of a file alone is refused.
	alone := func(name, setting string, drop []string, script string) rotation {
		kept := file(name) + "-of-the-test"
		return rotation{
			before: func(t *testing.T) { w.Write(kept, w.Read(file(name))+"\n") },
			refused: func(t *testing.T) {
				settings := []string{setting + "=" + kept}
				for _, key := range drop {
					settings = append(settings, key+"=")
				}
				if said, err := w.Try(script, settings...); err == nil {
					t.Errorf("the former %s still opens the installation: %s", name, said)
				}
				if said, err := w.Try(script); err != nil {
					t.Errorf("the present %s does not: %v %s", name, err, said)
				}
			},
		}
	}
	const core, bridge = "core admin list-accounts", "sso-bridge connection list"
	return map[string]rotation{
		"core-secret-key":    alone("core/secret-key", "SECRET_KEY_FILE", []string{"SECRET_KEY_PREVIOUS_FILE"}, core),
		"core-sealing-key":   alone("core/sealing-key", "SEALING_KEY_FILE", nil, core),
		"bridge-secret-key":  alone("sso-bridge/secret-key", "SECRET_KEY_FILE", []string{"SECRET_KEY_PREVIOUS_FILE"}, bridge),
		"bridge-sealing-key": alone("sso-bridge/sealing-key", "SEALING_KEY_FILE", nil, bridge),
		"keyset": {
			between: map[int]func(t *testing.T){3: func(t *testing.T) { aDayLater(t, file("keyset.json")) }},
			refused: func(t *testing.T) {
				if all := w.Ready(); len(all) != 4 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 1 {
					t.Errorf("the processes hold different sets: %v", all)
				}
				if n := len(entries(t, file("keyset.json"))); n != 1 {
					t.Errorf("%d entries are left", n)
				}
			},
		},
		"forward-auth-key":      caller(w, "proxy"),
		"operator-api-key":      caller(w, "operator"),
		"introspection-clients": caller(w, "introspection"),
		"database-password": store(w, file("core/database-url"), func(t *testing.T, url string) error {
			return exec.CommandContext(t.Context(), "psql", "-c", "SELECT 1", url).Run()
		}),
		"redis-password": store(w, file("core/redis-url"), func(t *testing.T, url string) error {
			out, err := exec.CommandContext(t.Context(), "redis-cli", "-u", url, "PING").CombinedOutput()
			if err == nil && strings.Contains(string(out), "AUTH failed") { // it goes on as the default user

				err = errors.New(string(out))
			}
			return err
		}),
	}
}

// caller says that a service's former key is refused, and that it was handed another.
func caller(w *followed.World, name string) rotation {
	var former string
	return rotation{
		before: func(*testing.T) { former = w.Caller(name).Key() },
		refused: func(t *testing.T) {
			if w.Caller(name).Key() == former {
				t.Error("it was handed no other key")
			}
			for range 4 { // every process
				var refused *visitor.Refusal
				if err := w.Caller(name).Call(t.Context(), former); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
					t.Errorf("the former key: %v", err)
				}
			}
		},
	}
}

// store says that a server lets in by the present address of a file and not by the former.
func store(w *followed.World, path string, enter func(t *testing.T, url string) error) rotation {
	var former string
	return rotation{
		before: func(t *testing.T) {
			if former = w.Read(path); enter(t, former) != nil {
				t.Fatal("the present address does not let in")
			}
		},
		refused: func(t *testing.T) {
			if err := enter(t, former); err == nil {
				t.Error("the former address lets in")
			}
			if err := enter(t, w.Read(path)); err != nil {
				t.Errorf("the present one does not: %v", err)
			}
		},
	}
}

func entries(t *testing.T, path string) []map[string]any {
	t.Helper()
	list, _ := keyset(t, path)["keys"].([]any)
	var out []map[string]any
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			t.Fatalf("an entry is %T", e)
		}
		out = append(out, m)
	}
	return out
}

func keyset(t *testing.T, path string) (set map[string]any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(content, &set)
	}
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// aDayLater is the file as it reads when the former entry is over.
func aDayLater(t *testing.T, path string) {
	t.Helper()
	set, list := keyset(t, path), entries(t, path)
	for _, e := range list {
		if e["kid"] != set["active"] {
			e["verify_until"] = time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
		}
	}
	set["keys"] = list
	content, err := json.Marshal(set)
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
