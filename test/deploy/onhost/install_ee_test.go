// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/onhost/box"
	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// docs/operating/install-host.md, the Enterprise Edition: both units with their drop-ins, on
// Postgres and Redis, with the secrets that its commands make.
func TestInstallOfTheEnterpriseEditionFromTheUnits(t *testing.T) {
	box.Possible(t)
	free := func() string { t.Helper(); return process.Free(t, "127.0.0.1") }
	public, inner, company, companyInner := free(), free(), free(), free()
	redis, prefix := testserver.Redis(t)
	h := newHost(t, map[string]string{
		"/etc/dify-sso/core.env": settings(t, "core.env", "CONSOLE_API_URL=http://127.0.0.1:5001", "CONSOLE_API_URL=http://"+public+"\nLISTEN="+public,
			"#INNER_LISTEN=127.0.0.1:5002", "INNER_LISTEN="+inner, "#ENTERPRISE_ENABLED", "ENTERPRISE_ENABLED", "#KEYSET_FILE", "KEYSET_FILE",
			"#SSO_BRIDGE_URL=http://127.0.0.1:5004", "SSO_BRIDGE_URL=http://"+companyInner, "#SSO_BRIDGE_PUBLIC_URL=https://sso.corp.example", "SSO_BRIDGE_PUBLIC_URL=http://"+company,
			"#REDIS_KEY_PREFIX=", "REDIS_KEY_PREFIX="+prefix),
		"/etc/dify-sso/sso-bridge.env": settings(t, "sso-bridge.env", "SSO_BRIDGE_PUBLIC_URL=https://sso.corp.example", "SSO_BRIDGE_PUBLIC_URL=http://"+company+"\nLISTEN="+company+"\nINNER_LISTEN="+companyInner,
			"CONSOLE_API_URL=https://console.corp.example", "CONSOLE_API_URL=http://"+public, "CORE_INNER_URL=http://127.0.0.1:5002", "CORE_INNER_URL=http://"+inner,
			"#REDIS_KEY_PREFIX=", "REDIS_KEY_PREFIX="+prefix),
	})
	// Its group, its directory and its stores are the test's; each text must be there.
	pairs := []string{
		"/etc/dify-sso", filepath.Join(h.dir, "etc/dify-sso"), "root:dify-sso", "root:" + strconv.Itoa(sharedGroup),
		"postgres://dify_sso_core:PASSWORD@db/dify_sso?sslmode=verify-full", testserver.Postgres(t), "rediss://core:PASSWORD@redis:6379", redis,
		"postgres://dify_sso_bridge:PASSWORD@db/dify_sso_bridge?sslmode=verify-full", testserver.Postgres(t), "rediss://bridge:PASSWORD@redis:6379", redis,
	}
	steps := documented(t, "install-host.md", "core secrets init") + documented(t, "install-host.md", "> core/database-url")
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(steps, pairs[i]) {
			t.Fatalf("install-host.md has no %q", pairs[i])
		}
	}
	shell(t, t.TempDir(), strings.NewReplacer(pairs...).Replace(steps))

	core := readUnit(t, "core.service", "core-fleet.conf")
	bridge := readUnit(t, "sso-bridge.service", "sso-bridge-fleet.conf")
	serving, beside := h.start(core), h.start(bridge)
	process.Do(t, []string{"DATABASE_URL_FILE=" + filepath.Join(h.dir, "etc/dify-sso/secrets/core/database-url"), "REDIS_URL=" + redis, "REDIS_KEY_PREFIX=" + prefix + "core:",
		"SECRET_KEY_FILE=" + filepath.Join(h.dir, "etc/dify-sso/secrets/core/secret-key"), "SEALING_KEY_FILE=" + filepath.Join(h.dir, "etc/dify-sso/secrets/core/sealing-key")},
		ownerPassword+"\n", process.Program(t, "core"), "admin", "create-owner", "--email", ownerEmail, "--name", "Ada", "--workspace", "Engines", "--password-file", "-")
	v := visitor.New("http://"+public, nil)
	if err := v.SignIn(t.Context(), ownerEmail, ownerPassword); err != nil {
		t.Fatal(err)
	}
	token, err := v.Login(t.Context(), "laptop")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Get(t.Context(), token, "/openapi/v1/account", nil); err != nil {
		t.Error(err)
	}

	t.Run("both are ready and show one key set", func(t *testing.T) {
		seen := map[string]bool{}
		for _, address := range []string{inner, companyInner} {
			var ready struct {
				Fingerprint string `json:"keyset_fingerprint"`
			}
			r, err := http.Get("http://" + address + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			err = json.NewDecoder(r.Body).Decode(&ready)
			_ = r.Body.Close()
			if err != nil || r.StatusCode != http.StatusOK || ready.Fingerprint == "" {
				t.Errorf("%s: %d %+v %v", address, r.StatusCode, ready, err)
			}
			seen[ready.Fingerprint] = true
		}
		if len(seen) != 1 {
			t.Errorf("%v", seen)
		}
	})
	t.Run("each has its own secrets alone, and reads no file that root keeps", func(t *testing.T) {
		for p, u := range map[*process.Process]unitFile{serving: core, beside: bridge} {
			if len(u.all("LoadCredential")) != 4 {
				t.Errorf("%s: %q", u.name, u.all("LoadCredential"))
			}
			environ, err := os.ReadFile("/proc/" + strconv.Itoa(p.Cmd.Process.Pid) + "/environ")
			if err != nil || strings.Contains(string(environ), "postgres://") {
				t.Errorf("%s has an address in its environment: %v", u.name, err)
			}
		}
		for _, name := range []string{"core", "sso-bridge"} {
			info, err := os.Stat(filepath.Join(h.dir, "etc/dify-sso/secrets", name))
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v %v", name, info, err)
			}
		}
		info, err := os.Stat(filepath.Join(h.dir, "etc/dify-sso/keyset.json"))
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("keyset.json: %v %v", info, err)
		}
	})
	h.stop(bridge, beside)
	h.stop(core, serving)
}

// The bridge on a single host, without fleet.conf: core may be away for what its timers do.
func TestTheTimersOfAnEmbeddedBridge(t *testing.T) {
	box.Possible(t)
	company, companyInner := process.Free(t, "127.0.0.1"), process.Free(t, "127.0.0.1")
	h := newHost(t, map[string]string{
		"/etc/dify-sso/sso-bridge.env": settings(t, "sso-bridge.env", "SSO_BRIDGE_PUBLIC_URL=https://sso.corp.example", "SSO_BRIDGE_PUBLIC_URL=http://"+company+"\nLISTEN="+company+"\nINNER_LISTEN="+companyInner,
			"CONSOLE_API_URL=https://console.corp.example", "CONSOLE_API_URL=http://127.0.0.1:9") + "AUDIT_RETENTION_DAYS=400\n",
	})
	keys := filepath.Join(h.dir, "etc/dify-sso/keyset.json")
	process.Do(t, nil, "", process.Program(t, "core"), "keyset", "new", "--keyset-file", keys)
	for _, err := range []error{os.Chmod(keys, 0o640), os.Chown(keys, 0, sharedGroup)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	u := readUnit(t, "sso-bridge.service")
	bridge := h.start(u)
	prune := readUnit(t, "sso-bridge-audit-prune.service")
	if out := h.run(prune, prune.one("ExecStart")); !strings.Contains(out, "audit events from before") {
		t.Error(out)
	}
	h.backup(t, "sso-bridge")
	h.stop(u, bridge)
}
