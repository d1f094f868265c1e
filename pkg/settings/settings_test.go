// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/settings"
)

func TestOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://SSO.example": "https://sso.example", "https://sso.example:8443/": "https://sso.example:8443", "http://localhost:1": "http://localhost:1", "http://[::1]:1": "http://[::1]:1",
		"http://sso.example": "", "sso.example": "", "ftp://sso.example": "", "https://u@sso.example": "", "https://sso.example/x": "", "https://sso.example?x": "", "https://sso.example#x": "", "https://": "", "": "",
	} {
		u, wrong := settings.Origin(in)
		if (wrong == "") != (want != "") || wrong == "" && u.String() != want {
			t.Errorf("%q: %v, %s", in, u, wrong)
		}
	}
}

func TestInner(t *testing.T) {
	for in, want := range map[string]struct {
		ok, clear bool
	}{
		"https://core:8081": {true, false}, "http://core:8081/": {true, true}, "http://127.0.0.1:1": {true, false},
		"core:8081": {false, false}, "https://core/x": {false, false}, "https://u@core": {false, false}, "https://core?x": {false, false}, "": {false, false},
	} {
		u, clear, wrong := settings.Inner(in, "https://core:8081")
		if (wrong == "") != want.ok || clear != want.clear || want.ok && u.Path != "" {
			t.Errorf("%q: %v, %t, %s", in, u, clear, wrong)
		}
	}
}

// keys gives the settings that something finds fault with.
func keys(judge func(p *config.Problems)) string {
	var p config.Problems
	judge(&p)
	var all []string
	for _, one := range p {
		all = append(all, one.Key)
	}
	return strings.Join(all, " ")
}

func TestJudgements(t *testing.T) {
	long, other := secret.New(strings.Repeat("k", secret.MinMaster)), secret.New(strings.Repeat("o", secret.MinMaster))
	short := secret.New("short")
	const db = "postgres://u:p@host:5432/db"
	for name, tc := range map[string]struct {
		judge func(p *config.Problems)
		want  string
	}{
		"listeners":                {func(p *config.Problems) { settings.Listeners(p, ":1", ":2") }, ""},
		"listeners on any port":    {func(p *config.Problems) { settings.Listeners(p, "127.0.0.1:0", "127.0.0.1:0") }, ""},
		"one listener twice":       {func(p *config.Problems) { settings.Listeners(p, ":1", ":1") }, "INNER_LISTEN"},
		"a listener without port":  {func(p *config.Problems) { settings.Listeners(p, "host", ":1") }, "LISTEN"},
		"a number":                 {func(p *config.Problems) { settings.Within(p, "N", 1, 1, 2) }, ""},
		"too large a number":       {func(p *config.Problems) { settings.Within(p, "N", 3, 1, 2) }, "N"},
		"times":                    {func(p *config.Problems) { settings.Times(p, 0, 0, time.Second, 10*time.Minute) }, ""},
		"a time that never ends":   {func(p *config.Problems) { settings.Times(p, 0, 0, 0, time.Second) }, "READ_TIMEOUT"},
		"a log level":              {func(p *config.Problems) { settings.Log(p, "loud", "json") }, "LOG_LEVEL"},
		"a log form":               {func(p *config.Problems) { settings.Log(p, "warn", "xml") }, "LOG_FORMAT"},
		"keys":                     {func(p *config.Problems) { settings.SecretKeys(p, long, other, false, "svc") }, ""},
		"a short key":              {func(p *config.Problems) { settings.SecretKeys(p, short, secret.Text{}, false, "svc") }, "SECRET_KEY"},
		"a short former key":       {func(p *config.Problems) { settings.SecretKeys(p, long, short, false, "svc") }, "SECRET_KEY_PREVIOUS"},
		"a former key of our own":  {func(p *config.Problems) { settings.SecretKeys(p, secret.Text{}, other, true, "svc") }, "SECRET_KEY_PREVIOUS"},
		"the same key twice":       {func(p *config.Problems) { settings.SecretKeys(p, long, long, false, "svc") }, "SECRET_KEY_PREVIOUS"},
		"a database":               {func(p *config.Problems) { settings.Postgres(p, secret.New(db), secret.Text{}) }, ""},
		"no address":               {func(p *config.Problems) { settings.Postgres(p, secret.New("mysql://x"), secret.Text{}) }, "DATABASE_URL"},
		"an owner alone":           {func(p *config.Problems) { settings.Postgres(p, secret.Text{}, secret.New(db)) }, "MIGRATE_DATABASE_URL"},
		"one process":              {func(p *config.Problems) { settings.Fleet(p, secret.Text{}, secret.Text{}, false) }, ""},
		"a fleet without Redis":    {func(p *config.Problems) { settings.Fleet(p, secret.New(db), secret.Text{}, false) }, "REDIS_URL"},
		"a command on the tables":  {func(p *config.Problems) { settings.Fleet(p, secret.New(db), secret.Text{}, true) }, ""},
		"a fleet without database": {func(p *config.Problems) { settings.Fleet(p, secret.Text{}, secret.New("redis://h"), true) }, "DATABASE_URL"},
		"half a pair":              {func(p *config.Problems) { settings.TLS{CertFile: "c"}.Judge(p) }, "TLS_KEY_FILE"},
		"the other half":           {func(p *config.Problems) { settings.TLS{KeyFile: "k"}.Judge(p) }, "TLS_CERT_FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := keys(tc.judge); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	t.Run("the address of a database is not repeated", func(t *testing.T) {
		var p config.Problems
		settings.Postgres(&p, secret.New("mysql://user:hidden@host"), secret.Text{})
		if strings.Contains(p.Error(), "hidden") {
			t.Error(p)
		}
	})
	t.Run("a level is given", func(t *testing.T) {
		var p config.Problems
		if l := settings.Log(&p, "debug", "text"); l != slog.LevelDebug || p != nil {
			t.Error(l, p)
		}
	})
}

func TestRootsThatAreNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roots.pem")
	if _, err := settings.Roots(path); err == nil {
		t.Error("a file that is not there")
	}
	if err := os.WriteFile(path, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := settings.Roots(path); err == nil {
		t.Error("a file without a certificate")
	}
}
