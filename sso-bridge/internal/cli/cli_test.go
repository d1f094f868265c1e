// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/cli"
)

// place is an installation of its own; core and every provider are down.
type place struct {
	t       *testing.T
	dir     string
	environ []string
	log     *buffer
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func install(t *testing.T, more ...string) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir(), log: &buffer{}}
	f, err := keyset.NewFile("2026-11-a", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := keyset.Create(p.path("keyset.json"), f); err != nil {
		t.Fatal(err)
	}
	p.environ = append([]string{
		"SSO_BRIDGE_PUBLIC_URL=http://127.0.0.1:5003", "CONSOLE_API_URL=http://127.0.0.1:1", "CORE_INNER_URL=http://127.0.0.1:1", "KEYSET_FILE=" + p.path("keyset.json"),
		"DATA_DIR=" + p.path("data"), "LISTEN=127.0.0.1:0", "INNER_LISTEN=127.0.0.1:0",
	}, more...)
	return p
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cli.Run(args, cli.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Environ: p.environ, Version: "1.0.0", Patience: time.Second,
	})
	return code, out.String(), errs.String()
}

// must is run for a command that succeeds.
func (p *place) must(args ...string) string {
	p.t.Helper()
	code, out, errs := p.run(args...)
	if code != 0 {
		p.t.Fatalf("%v: exit %d, %s", args, code, errs)
	}
	return out
}

// serve serves until stop, and gives the two addresses.
func (p *place) serve() (public, inner string, stop func()) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan [2]string, 1), make(chan int, 1)
	go func() {
		ended <- cli.Run([]string{"serve", "--shutdown-grace", "1s"}, cli.Env{
			Stdout: io.Discard, Stderr: p.log, Environ: p.environ, Version: "1.0.0", Patience: time.Second,
			Started: func(public, inner string) { started <- [2]string{public, inner} },
			Signals: func(context.Context) (context.Context, context.CancelFunc) { return ctx, cancel },
			Options: app.Options{Log: slog.New(slog.NewTextHandler(p.log, nil))},
		})
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if code := <-ended; code != 0 {
				p.t.Errorf("serve ended with %d: %s", code, p.log.String())
			}
		})
	}
	select {
	case at := <-started:
		p.t.Cleanup(stop)
		return "http://" + at[0], "http://" + at[1], stop
	case code := <-ended:
		p.t.Fatalf("serve ended with %d: %s", code, p.log.String())
		return "", "", nil
	}
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

var github = []string{"connection", "create", "--preset", "github", "--id", "gh", "--name", "GitHub", "--client-id", "Iv1", "--intents", "device_flow"}

func TestServing(t *testing.T) {
	p := install(t)
	public, inner, _ := p.serve()
	t.Run("SSO-06 with core and every provider down it starts and is ready", func(t *testing.T) {
		status, body := get(t, inner+"/readyz")
		if status != 200 || !strings.Contains(body, `"keyset_fingerprint"`) {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("SSO-07 what the second listener has the public one has not", func(t *testing.T) {
		for _, path := range []string{"/readyz", "/healthz", "/metrics"} {
			if status, _ := get(t, inner+path); status != 200 {
				t.Errorf("inner %s: %d", path, status)
			}
			if status, _ := get(t, public+path); status != 404 {
				t.Errorf("public %s: %d", path, status)
			}
		}
		if status, _ := get(t, inner+"/sso/error/x"); status != 404 {
			t.Error("the second listener has pages")
		}
	})
	t.Run("SSO-07 the figures have their names", func(t *testing.T) {
		get(t, public+"/sso/start/x")
		_, body := get(t, inner+"/metrics")
		for _, name := range []string{`sso_attempts_total{connection="",intent="",outcome="sso_link_used"} 1`, "sso_clock_skew_seconds", "keyset_reload_failures_total 0"} {
			if !strings.Contains(body, name) {
				t.Errorf("no %s", name)
			}
		}
	})
	t.Run("SSO-111 commands go through the socket, which is its owner's alone", func(t *testing.T) {
		info, err := os.Stat(p.path("data/control.sock"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v %v", info, err)
		}
		if out := p.must(github...); !strings.Contains(out, "http://127.0.0.1:5003/sso/oauth2/callback/gh") {
			t.Error(out)
		}
		if out := p.must("connection", "list", "-o", "json"); !strings.Contains(out, `"id":"gh"`) {
			t.Error(out)
		}
		if !strings.Contains(p.log.String(), "sso.connection_created") {
			t.Error("the serving process has not done it")
		}
	})
	t.Run("SSO-111 a second serve is refused", func(t *testing.T) {
		if code, _, errs := p.run("serve"); code != 1 || !strings.Contains(errs, "data") {
			t.Errorf("%d %s", code, errs)
		}
	})
	t.Run("SSO-111 an attempt is told of by its reference", func(t *testing.T) {
		var list struct {
			Data []struct{ Reference, Code string }
		}
		if err := json.Unmarshal([]byte(p.must("attempts", "list", "-o", "json")), &list); err != nil || len(list.Data) == 0 {
			t.Fatal(err, list)
		}
		if out := p.must("attempts", "show", list.Data[0].Reference); !strings.Contains(out, "start_link_used") || !strings.Contains(out, "Mend:") {
			t.Error(out)
		}
		if code, _, errs := p.run("attempts", "show", "AAAAA-AAAAA"); code != 1 || !strings.Contains(errs, "No attempt") {
			t.Errorf("%d %s", code, errs)
		}
	})
}

func TestCommandsWithoutAService(t *testing.T) {
	p := install(t)
	t.Run("SSO-111 none running: the stores are opened, with the same audit", func(t *testing.T) {
		if code, _, errs := p.run("connection", "list"); code != 1 || !strings.Contains(errs, "no installation") {
			t.Fatalf("a wrong directory: %d %s", code, errs)
		}
		p.must(github...)
		if out := p.must("audit", "list", "--event", "sso.connection_created"); !strings.Contains(out, "operator cli:") {
			t.Error(out)
		}
	})
	t.Run("SSO-79 enabling wants a test, or force with a reason", func(t *testing.T) {
		secret := p.path("secret")
		if err := os.WriteFile(secret, []byte("s3cret-canary\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.must(append([]string{"connection", "update", "gh", "--client-secret-file", secret}, github[2:]...)...)
		if code, _, errs := p.run("connection", "enable", "gh"); code != 1 || !strings.Contains(errs, "No test has passed") {
			t.Errorf("%d %s", code, errs)
		}
		if code, _, errs := p.run("connection", "enable", "gh", "--force"); code != 1 || !strings.Contains(errs, "reason") {
			t.Errorf("%d %s", code, errs)
		}
		p.must("connection", "enable", "gh", "--force", "--reason", "a migration")
		if out := p.must("connection", "show", "gh"); !strings.Contains(out, "Warning:") {
			t.Error(out)
		}
	})
	t.Run("SSO-84 no answer has a secret", func(t *testing.T) {
		for _, args := range [][]string{{"connection", "show", "gh", "-o", "json"}, {"connection", "revisions", "gh", "-o", "json"}, {"connection", "list", "-o", "json"}, {"config", "print"}} {
			if out := p.must(args...); strings.Contains(out, "s3cret-canary") {
				t.Errorf("%v shows it", args)
			}
		}
	})
	t.Run("SSO-80 a test's link is given for 15 minutes", func(t *testing.T) {
		if out := p.must("connection", "test", "gh"); !strings.Contains(out, "http://127.0.0.1:5003/sso/start/") {
			t.Error(out)
		}
	})
	t.Run("SSO-83 disabling says that core is told later", func(t *testing.T) {
		if out := p.must("connection", "disable", "gh"); !strings.Contains(out, "Core does not answer") {
			t.Error(out)
		}
	})
	t.Run("mistakes of the caller exit 2, all settings listed", func(t *testing.T) {
		for _, args := range [][]string{{"none"}, {"connection", "none"}, {"connection", "show"}, {"connection", "list", "x"}, {"connection", "list", "-o", "xml"}, {"connection", "create"}, {"config", "check", "--listen", "x"}} {
			if code, _, errs := p.run(args...); code != 2 {
				t.Errorf("%v: %d %s", args, code, errs)
			}
		}
	})
}

func TestRotation(t *testing.T) {
	t.Run("SSO-112 a new SECRET_KEY wants the former as previous, until the canary is written", func(t *testing.T) {
		former, present := strings.Repeat("f", 40), strings.Repeat("p", 40)
		p := install(t, "SECRET_KEY="+former)
		p.must(github...)
		settings := p.environ[:len(p.environ)-1]
		with := func(more ...string) { p.environ = append(append([]string{}, settings...), more...) }
		with("SECRET_KEY=" + present)
		if code, _, errs := p.run("connection", "list"); code != 1 || !strings.Contains(errs, "SECRET_KEY") {
			t.Fatalf("%d %s", code, errs)
		}
		with("SECRET_KEY="+present, "SECRET_KEY_PREVIOUS="+former)
		_, _, stop := p.serve()
		if out := p.must("admin", "rotate-secret-key"); !strings.Contains(out, "under the present SECRET_KEY now") {
			t.Error(out)
		}
		stop()
		with("SECRET_KEY=" + present)
		p.must("connection", "list")
		with("SECRET_KEY=" + former)
		if code, _, _ := p.run("connection", "list"); code != 1 {
			t.Error("the former key still opens")
		}
	})
	t.Run("SSO-110 keys of its own are rotated in place, and no revision changes", func(t *testing.T) {
		p := install(t)
		p.must(github...)
		before := p.must("connection", "revisions", "gh", "-o", "json")
		p.must("admin", "rotate-sealing-key")
		p.must("admin", "rotate-secret-key")
		if after := p.must("connection", "revisions", "gh", "-o", "json"); after != before {
			t.Errorf("%s, then %s", before, after)
		}
	})
}

func TestOfAFleet(t *testing.T) {
	database := testserver.Postgres(t)
	redis, prefix := testserver.Redis(t)
	p := install(t)
	sealing := p.path("sealing.key")
	if err := os.WriteFile(sealing, []byte("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.environ = append(p.environ, "DATABASE_URL="+database, "REDIS_URL="+redis, "REDIS_KEY_PREFIX="+prefix, "SECRET_KEY="+strings.Repeat("s", 40), "SEALING_KEY_FILE="+sealing)
	t.Run("SSO-04 on Postgres an older schema refuses the start", func(t *testing.T) {
		if code, _, errs := p.run("serve"); code != 1 || !strings.Contains(errs, "sso-bridge migrate up") {
			t.Fatalf("%d %s", code, errs)
		}
	})
	p.must("migrate", "up")
	t.Run("a copy is pg_dump's", func(t *testing.T) {
		for _, args := range [][]string{{"backup", "--to", p.path("x.tar")}, {"restore", "--from", p.path("keyset.json")}} {
			if code, _, errs := p.run(append([]string{"admin"}, args...)...); code != 1 || !strings.Contains(errs, "pg_dump") {
				t.Errorf("%q: %d %s", args, code, errs)
			}
		}
	})
	t.Run("SSO-111 with Postgres and Redis from another shell", func(t *testing.T) {
		_, inner, _ := p.serve()
		p.must(github...)
		if out := p.must("connection", "list"); !strings.Contains(out, "gh") {
			t.Error(out)
		}
		if status, body := get(t, inner+"/readyz"); status != 200 {
			t.Error(body)
		}
	})
}
