// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
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

func TestAFileIsReadStrictly(t *testing.T) {
	for _, tc := range []struct{ name, yaml string }{
		{"a doubled key", "days: 1\ndays: 2\n"},
		{"a doubled key in quotes", "days: 1\n\"days\": 2\n"},
		{"a key in upper case", "DAYS: 1\n"},
		{"an unknown key", "dayz: 1\n"},
		{"a list", "- days: 1\n"},
		{"a text", "days\n"},
		{"a mapping for a value", "listen: {a: b}\n"},
		{"a mapping in a list", "clients: [{a: b}]\n"},
		{"no whole number", "days: 1.5\n"},
		{"no number", "days: [1, 2]\n"},
		{"no duration", "grace: 5\n"},
		{"no switch", "debug: perhaps\n"},
		{"a second document", "days: 1\n---\ndays: 2\n"},
		{"not UTF-8", "listen: \xff\xfe\n"},
		{"an alias without its anchor", "listen: *x\n"},
		{"the file of what is no secret", "listen_file: /k\n"},
		{"a file twice over", "key: x\nkey_file: /k\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := defaults()
			if err := config.Load(s, config.Options{YAML: []byte(tc.yaml), YAMLName: "core.yaml", ReadFile: files(map[string]string{"/k": "x"})}); err == nil {
				t.Fatalf("accepted: %+v", s)
			}
		})
	}
}

func TestAWrongFileNamesThePlaceAndNotWhatStandsThere(t *testing.T) {
	for text, want := range map[string]string{
		"days: 1\ndays: canary\n":      "core.yaml: is not a mapping of keys to values: it cannot be read as YAML at line 2, column 1; each key may stand once",
		"key: *canary\n":               "core.yaml: is not a mapping of keys to values: it cannot be read as YAML at line 1, column 7; each key may stand once",
		"key: \"canary\n":              "core.yaml: is not a mapping of keys to values: it cannot be read as YAML at line 1, column 6; each key may stand once",
		"canary\n":                     "core.yaml: is not a mapping of keys to values: it cannot be read as YAML at line 1, column 1; each key may stand once",
		"\"canary of a secret!\": x\n": "a key of another shape: in core.yaml is not a setting; \"core config print\" lists them",
	} {
		err := config.Load(defaults(), config.Options{YAML: []byte(text), YAMLName: "core.yaml", ReadFile: files(nil)})
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestAFileMayHoldNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "---\ndays: 3\n", "{}\n"} {
		if err := config.Load(defaults(), config.Options{YAML: []byte(text), YAMLName: "core.yaml", ReadFile: files(nil)}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzConfig: what is accepted reads the same by the decoder alone, with no key that
// is unknown; and whatever is wrong with a file, a secret in it is not repeated.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"listen: x\n", "days: 3\nclients: [a]", "a: &x [*x]", "\xff", "- a", "days: 1e9", "? {a: b}", "days: 1\ndays: 2", "key: |", "listen: [", "grace: 5s #",
		"<<: {days: 3}", "listen: ~", "debug: yes", "key_file: /k", "listen: \"", "clients: {", "days: 0x10", "---\n---\n", "listen: !!binary aGk=",
	} {
		f.Add([]byte(seed))
	}
	const canary = "canary-7f3a9c"
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Contains(in, []byte("canary")) {
			return
		}
		s := defaults()
		if err := config.Load(s, config.Options{YAML: in, YAMLName: "x", ReadFile: files(nil)}); err == nil {
			sameByDecoder(t, in, s)
		}
		withSecret := append(bytes.Clone(in), "\nkey: "+canary+"\n"...)
		if err := config.Load(defaults(), config.Options{YAML: withSecret, YAMLName: "x", ReadFile: files(nil)}); err != nil && strings.Contains(err.Error(), canary) {
			t.Fatalf("the secret is repeated: %v", err)
		}
	})
}

// sameByDecoder compares settings with what the YAML decoder gives.
func sameByDecoder(t *testing.T, in []byte, s *settings) {
	t.Helper()
	var raw map[string]any
	if err := yaml.Unmarshal(in, &raw); err != nil && len(bytes.TrimSpace(in)) > 0 {
		t.Fatalf("accepted what the decoder refuses: %v", err)
	}
	was := defaults()
	for name, v := range raw {
		text := fmt.Sprint(v)
		if v == nil {
			text = ""
		}
		if _, list := v.([]any); list {
			continue // joined by commas, see TestTheLastSourceWins
		}
		switch name {
		case "listen":
			was.Listen = text
		case "days":
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatalf("accepted %q as a number", text)
			}
			was.Days = n
		case "debug":
			b, err := strconv.ParseBool(text)
			if err != nil {
				t.Fatalf("accepted %q as a switch", text)
			}
			was.Debug = b
		case "grace":
			d, err := time.ParseDuration(text)
			if err != nil {
				t.Fatalf("accepted %q as a duration", text)
			}
			was.Grace = d
		case "clients", "proxies", "key", "key_file":
		default:
			t.Fatalf("accepted the unknown key %q", name)
		}
	}
	if _, list := raw["listen"].([]any); !list && s.Listen != was.Listen || s.Debug != was.Debug || s.Grace != was.Grace {
		t.Fatalf("read %+v, want %+v", s, was)
	}
	if _, list := raw["days"].([]any); !list && s.Days != was.Days {
		t.Fatalf("read %d days, want %d", s.Days, was.Days)
	}
}
