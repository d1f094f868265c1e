// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

type settings struct {
	Listen  string         `env:"LISTEN" doc:"address"`
	Debug   bool           `env:"DEBUG"`
	Days    int            `env:"DAYS"`
	Grace   time.Duration  `env:"GRACE"`
	Clients []string       `env:"CLIENTS"`
	Proxies []netip.Prefix `env:"PROXIES"`
	Key     secret.Text    `env:"KEY"`
	inner   string
}

func defaults() *settings { return &settings{Listen: "127.0.0.1:1", Days: 14, Grace: time.Second} }

func files(m map[string]string) func(string) ([]byte, error) {
	return func(p string) ([]byte, error) {
		if s, ok := m[p]; ok {
			return []byte(s), nil
		}
		return nil, os.ErrNotExist
	}
}

func TestTheLastSourceWins(t *testing.T) {
	s := defaults()
	err := config.Load(s, config.Options{
		YAML: []byte("listen: yaml\ndays: 3\nclients: [a, b]\ngrace: 5s\nkey_file: /k\n"), YAMLName: "core.yaml",
		Environ: []string{"LISTEN=env", "DEBUG=true", "PROXIES=10.1.2.3/8, 192.0.2.1", "UNRELATED=x"},
		Flags:   map[string]string{"LISTEN": "flag"}, ReadFile: files(map[string]string{"/k": "topsecret\n"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &settings{Listen: "flag", Debug: true, Days: 3, Grace: 5 * time.Second, Clients: []string{"a", "b"},
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32")}, Key: secret.New("topsecret")}
	equal := cmp.Options{cmp.AllowUnexported(settings{}), cmp.Comparer(func(a, b secret.Text) bool { return a.Equal(b) }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
	if diff := cmp.Diff(want, s, equal); diff != "" {
		t.Fatal(diff)
	}
}

func TestAllProblemsAtOnceAndNoSecret(t *testing.T) {
	var unset []string
	err := config.Load(defaults(), config.Options{
		YAML: []byte("lisen: x\ndays: {a: 1}\n"), YAMLName: "core.yaml",
		Environ:  []string{"DEBUG=perhaps-canary", "GRACE=canary", "PROXIES=canary", "KEY=canary-key", "KEY_FILE=/missing"},
		ReadFile: files(nil), Unsetenv: func(k string) error { unset = append(unset, k); return nil },
	})
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var keys []string
	for _, p := range problems {
		keys = append(keys, p.Key)
	}
	if got := strings.Join(keys, " "); got != "DAYS DEBUG GRACE KEY PROXIES lisen" {
		t.Errorf("problems with %s", got)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("a value is repeated: %v", err)
	}
	if len(unset) != 1 || unset[0] != "KEY" {
		t.Errorf("unset %v", unset)
	}
}

func TestUnreadableSecretFile(t *testing.T) {
	err := config.Load(defaults(), config.Options{Environ: []string{"KEY_FILE=/missing"}, ReadFile: files(nil)})
	if err == nil || !strings.HasPrefix(err.Error(), "KEY_FILE: cannot be read") {
		t.Fatalf("got %v", err)
	}
}

func TestPrintHidesSecrets(t *testing.T) {
	s := defaults()
	s.Key = secret.New("canary")
	var out bytes.Buffer
	if err := config.Print(&out, s); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "canary") || !strings.Contains(out.String(), "KEY=[redacted]\n") || !strings.Contains(out.String(), "DAYS=14\n") {
		t.Fatalf("printed %s", out.String())
	}
	if len(config.Fields(s)) != 7 {
		t.Fatalf("fields: %+v", config.Fields(s))
	}
	_ = s.inner
}

func FuzzConfig(f *testing.F) {
	for _, seed := range []string{"listen: x\n", "days: 3\nclients: [a]", "a: &x [*x]", "\xff", "- a", "days: 1e9", "? {a: b}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := defaults()
		if err := config.Load(s, config.Options{YAML: in, YAMLName: "x", ReadFile: files(nil)}); err == nil && s.Days == 14 && bytes.HasPrefix(in, []byte("days: 3\n")) {
			t.Fatal("accepted without effect")
		}
	})
}
