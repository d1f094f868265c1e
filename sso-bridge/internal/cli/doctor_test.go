// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/doctor"
	"github.com/dify-sso/dify-sso/pkg/testserver"
	examine "github.com/dify-sso/dify-sso/sso-bridge/internal/doctor"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

// examined is what doctor says of a place, with the worst status of each check.
func (p *place) examined(args ...string) (doctor.Report, map[string]doctor.Status, int) {
	p.t.Helper()
	code, out, errs := p.run(append([]string{"doctor", "-o", "json"}, args...)...)
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		p.t.Fatalf("%v: %s%s", err, out, errs)
	}
	by := map[string]doctor.Status{}
	for _, f := range r.Findings {
		if by[f.Check] == "" || f.Status == doctor.Fail {
			by[f.Check] = f.Status
		}
	}
	return r, by, code
}

func TestDoctor(t *testing.T) {
	p := install(t)
	_, inner, stop := p.serve()
	p.must(github...)
	r, by, code := p.examined("--replica", inner)
	// Core is down, and whoever has the public address of the settings is not this bridge.
	for id, want := range map[string]doctor.Status{
		doctor.Settings: doctor.OK, doctor.Schema: doctor.OK, doctor.KeysCanary: doctor.OK, doctor.ReplicaReady: doctor.OK, doctor.ReplicaKeyset: doctor.OK, doctor.KeysetPeer: doctor.Fail,
		doctor.KeysetSigned: doctor.Fail, doctor.AddressOurs: doctor.Fail, examine.StoresApart: doctor.Skipped,
	} {
		if by[id] != want {
			t.Errorf("%s is %q, want %q in %+v", id, by[id], want, r)
		}
	}
	if by[examine.ProviderReachable] == "" || by[examine.ProviderReachable] == doctor.Skipped || code != 1 {
		t.Errorf("exit %d, %+v", code, r)
	}
	if code, out, errs := p.run("healthcheck", "--address", inner); code != 0 || out != "ready\n" {
		t.Errorf("%d %s%s", code, out, errs)
	}
	stop()
	if code, _, errs := p.run("healthcheck", "--address", inner); code != 1 || !strings.Contains(errs, "not ready: nobody answers there") {
		t.Errorf("%d %s", code, errs)
	}
	if code, out, _ := p.run("doctor", "-o", "json", "--listen", "x"); code != 2 || !strings.Contains(out, `"check":"settings","status":"fail","text":"LISTEN: `) {
		t.Errorf("%d %s", code, out)
	}
}

// Every setting that can hold a word holds one that nobody else uses, and so does a
// connection; none of them comes out.
func TestSupportBundle(t *testing.T) {
	database := testserver.Postgres(t)
	redis, prefix := testserver.Redis(t)
	p := install(t)
	sealing := p.path("kanarie-sealing.key")
	if err := os.WriteFile(sealing, []byte("kanariekey:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.environ = append(p.environ, "DATABASE_URL="+database, "REDIS_URL="+redis, "REDIS_KEY_PREFIX="+prefix+"kanarie:", "SECRET_KEY="+strings.Repeat("kanarie", 6), "SEALING_KEY_FILE="+sealing,
		"SSO_BRIDGE_PUBLIC_URL=https://kanarie.invalid", "CORE_INNER_URL=http://kanarie-core.invalid:1", "EGRESS_ALLOW=kanarie.invalid", "SSO_CONTACT=5550142", "MIGRATE_DATABASE_URL="+database)
	p.must("migrate", "up")
	create := append([]string{}, github...)
	p.must(create...)
	file := p.path("bundle.json")
	p.must("admin", "support-bundle", "--to", file)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("PPL-12 no secret, address or name is in it", func(t *testing.T) {
		for _, secret := range []string{"kanarie", "5550142", "127.0.0.1", "AAECAwQF", "postgres://", "redis://", p.dir, prefix, "redacted", `"gh"`} {
			if strings.Contains(strings.ToLower(string(content)), strings.ToLower(secret)) {
				t.Errorf("%q in\n%s", secret, content)
			}
		}
	})
	var b operator.Bundle
	if err := json.Unmarshal(content, &b); err != nil {
		t.Fatal(err)
	}
	status := map[string]string{}
	for _, f := range b.Doctor {
		status[f.Check] = f.Status
	}
	if b.Version != "1.0.0" || b.Schema.Database == 0 || b.Schema.Database != b.Schema.Program || len(b.Checks) < 3 || len(b.Events) == 0 || len(b.Connections) != 1 || b.Connections[0].Count != 1 ||
		!strings.HasPrefix(b.Connections[0].What, "oauth2 ") || b.Serving || b.Embedded {
		t.Errorf("%s", content)
	}
	// SSO-104: the Redis of the tests lets everybody use every key.
	if status[doctor.Schema] != "ok" || status[doctor.AddressName] != "fail" || status[examine.StoresApart] != "warn" {
		t.Errorf("%+v", b.Doctor)
	}
	t.Run("PPL-12 doctor tells no secret either", func(t *testing.T) {
		_, out, errs := p.run("doctor")
		for _, secret := range []string{"AAECAwQF", strings.Repeat("kanarie", 2), "postgres://", "redis://"} {
			if strings.Contains(out+errs, secret) {
				t.Errorf("%q in\n%s%s", secret, out, errs)
			}
		}
	})
}
