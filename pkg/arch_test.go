// SPDX-License-Identifier: Apache-2.0

package pkg_test

import (
	"testing"

	"github.com/dify-sso/dify-sso/pkg/archtest"
)

// What both services share knows neither of them, and what is no transport knows
// no HTTP server.
var bans = []archtest.Ban{
	{From: "pkg", Never: []string{"core", "sso-bridge"}, Why: "what both services share knows neither"},
	plain("audit"), plain("backup"), plain("canon"), plain("config"), plain("datadir"), plain("fault"), plain("faulttest"), plain("jobs"), plain("lifecycle"), plain("limits"), plain("page"), plain("ratelimit"), plain("seal"), plain("secret"), plain("wire"),
	{From: "pkg/sqldb", Never: []string{"github.com/gofiber", "net/http"}, Why: "the seam over SQL knows no transport"},
	{From: "pkg/egress", Never: []string{"github.com/gofiber", "github.com/valyala", "database/sql", "github.com/redis"}, Why: "it calls others and serves nobody"},
	{From: "pkg/redisdb", Never: []string{"github.com/gofiber", "net/http", "database/sql"}, Why: "the seam over Redis knows no transport and no other engine"},
}

func plain(name string) archtest.Ban {
	return archtest.Ban{From: "pkg/" + name, Never: []string{"github.com/gofiber", "github.com/valyala", "net/http", "database/sql", "modernc.org/sqlite"},
		But: []string{"database/sql/driver"}, Why: "it is used by the domain, which knows no transport and no engine"}
}

// Each package and every arrow of the workspace that leaves it.
var rows = []archtest.Row{
	{Package: "audit", May: []string{"pkg/canon"}},
	{Package: "backup", May: []string{"pkg/datadir", "pkg/fault"}},
	{Package: "bundle", May: []string{"pkg/config"}},
	{Package: "canon"},
	{Package: "clientip"},
	{Package: "command", May: []string{"pkg/backup", "pkg/config", "pkg/control", "pkg/datadir", "pkg/fault"}},
	{Package: "config", May: []string{"pkg/secret"}},
	{Package: "control", May: []string{"pkg/audit", "pkg/fault", "pkg/server", "pkg/wire"}},
	{Package: "datadir"},
	{Package: "doctor", May: []string{"pkg/config", "pkg/redisdb", "pkg/schema", "pkg/seal", "pkg/server", "pkg/sqldb"}},
	{Package: "egress", May: []string{"pkg/trace"}},
	{Package: "fault"},
	{Package: "innerclient", May: []string{"pkg/envelope", "pkg/trace", "pkg/wire"}},
	{Package: "jobs"},
	{Package: "envelope", May: []string{"pkg/fault", "pkg/keyset", "pkg/secret", "pkg/wire"}},
	{Package: "faulttest"},
	{Package: "keyset", May: []string{"pkg/secret", "pkg/wire"}},
	{Package: "lifecycle"},
	{Package: "limits", May: []string{"pkg/audit", "pkg/fault", "pkg/ratelimit"}},
	{Package: "ownkeys", May: []string{"pkg/config", "pkg/datadir", "pkg/keyset", "pkg/seal", "pkg/secret"}},
	{Package: "page"},
	{Package: "ratelimit"},
	{Package: "ratelimit/redislimit", May: []string{"pkg/ratelimit", "pkg/redisdb"}},
	{Package: "redisdb", May: []string{"pkg/secret", "pkg/trip"}},
	{Package: "replay", May: []string{"pkg/envelope"}},
	{Package: "replay/redisreplay", May: []string{"pkg/envelope", "pkg/redisdb"}},
	{Package: "schema", May: []string{"pkg/sqldb"}},
	{Package: "seal", May: []string{"pkg/secret"}},
	{Package: "secret"},
	{Package: "serve", May: []string{"pkg/control", "pkg/lifecycle", "pkg/server"}},
	{Package: "server", May: []string{"pkg/audit", "pkg/clientip", "pkg/fault", "pkg/ratelimit", "pkg/trace"}},
	{Package: "settings", May: []string{"pkg/config", "pkg/secret", "pkg/server", "pkg/sqldb", "pkg/telemetry"}},
	{Package: "sqlaudit", May: []string{"pkg/audit", "pkg/sqldb"}},
	{Package: "sqldb", May: []string{"pkg/trip"}},
	{Package: "sqllease", May: []string{"pkg/jobs", "pkg/sqldb"}},
	{Package: "sqlseal", May: []string{"pkg/seal", "pkg/sqldb"}},
	{Package: "sqltest"},
	{Package: "ssocode", May: []string{"pkg/page"}},
	{Package: "telemetry", May: []string{"pkg/secret", "pkg/trace", "pkg/trip"}},
	{Package: "trace", May: []string{"pkg/trip"}},
	{Package: "trip"},
	{Package: "wire", May: []string{"pkg/fault"}},
}

func TestArchitecture(t *testing.T) {
	packages := archtest.Load(t)
	archtest.Arrows(t, "pkg", packages, rows)
	archtest.Bans(t, packages, bans)
	archtest.TestsOnly(t, packages)
}

func TestDependencyFloors(t *testing.T) {
	t.Run("SUP-01 no dependency is below its floor", func(t *testing.T) { archtest.Floors(t) })
}
