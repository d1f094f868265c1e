// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"testing"

	examine "github.com/dify-sso/dify-sso/core/internal/doctor"
	"github.com/dify-sso/dify-sso/pkg/doctor"
)

func TestDoctorOfAFleet(t *testing.T) {
	f := newPgFleet(t)
	more := []string{"INNER_LISTEN=127.0.0.1:" + freePort(t), "CONSOLE_API_URL=http://127.0.0.1:" + freePort(t)}
	look := func(change ...string) (doctor.Report, map[string]doctor.Status) {
		return reported(t, f.run(append(more, change...), "", "doctor", "-o", "json"))
	}
	expect := func(what string, r doctor.Report, by map[string]doctor.Status, want map[string]doctor.Status) {
		t.Helper()
		for id, status := range want {
			if by[id] != status {
				t.Errorf("%s: %s is %q, want %q in %+v", what, id, by[id], status, r)
			}
		}
	}
	r, by := look()
	expect("before the first migration", r, by, map[string]doctor.Status{doctor.Schema: doctor.Fail, doctor.PostgresReachable: doctor.OK, doctor.PostgresPrimary: doctor.OK, doctor.RedisReachable: doctor.OK, examine.Runtime: doctor.Skipped})
	if got := f.run(nil, "", "migrate", "up"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	r, by = look()
	expect("before the first start", r, by, map[string]doctor.Status{doctor.Schema: doctor.OK, doctor.KeysCanary: doctor.Skipped, examine.Runtime: doctor.Skipped})
	if got := f.run(nil, "", "app", "list"); got.code != 0 { // opens the stores, and so makes the canary
		t.Fatalf("%+v", got)
	}
	r, by = look()
	expect("then", r, by, map[string]doctor.Status{doctor.KeysCanary: doctor.OK, doctor.KeysSealing: doctor.OK, doctor.Clock: doctor.OK, doctor.DataDirectory: doctor.Skipped, examine.Runtime: doctor.Skipped, doctor.ReplicaReady: doctor.Warn})
	r, by = look("SECRET_KEY=another one, thirty-two bytes and more")
	expect("under another key", r, by, map[string]doctor.Status{doctor.KeysCanary: doctor.Fail, examine.Runtime: doctor.Skipped})
	r, by = look("REDIS_URL=redis://127.0.0.1:"+freePort(t), "DATABASE_URL=postgres://u:p@127.0.0.1:"+freePort(t)+"/none")
	expect("with stores that are down", r, by, map[string]doctor.Status{doctor.PostgresReachable: doctor.Fail, doctor.RedisReachable: doctor.Fail, examine.Runtime: doctor.Skipped})
}
