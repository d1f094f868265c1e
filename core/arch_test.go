// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"

	"github.com/dify-sso/dify-sso/pkg/archtest"
)

// What keeps the domain testable without a network, and each edition without what
// it does not need (docs/architecture.md).
var bans = []archtest.Ban{
	{From: "core", Never: []string{"sso-bridge", "github.com/crewjam/saml", "github.com/russellhaering/goxmldsig", "github.com/beevik/etree"},
		Why: "the Community Edition carries no SAML"},
	{From: "core", Never: []string{"github.com/chromedp"}, Why: "the browser drives tests alone"},
	domain("access"), domain("account"), domain("apps"), domain("authz"), domain("console"), domain("devicegrant"), domain("echo"), domain("installation"), domain("limits"),
	domain("openapi"), domain("operator"), domain("prune"), domain("run"), domain("sso"), domain("token"), domain("workspace"),
	{From: "core/internal/webui", Never: append(transports, stores...), Why: "pages are templates and view models"},
	{From: "core/internal/httpapi", Never: append([]string{"core/internal/sqlstore", "core/internal/memstore", "core/internal/redisstore", "core/internal/app"}, stores...),
		But: driver, Why: "handlers ask services, never a store"},
	{From: "core/internal/sqlstore", Never: append([]string{"core/internal/memstore", "core/internal/redisstore"}, transports...), Why: "storage packages know neither each other nor HTTP"},
	{From: "core/internal/memstore", Never: append([]string{"core/internal/sqlstore", "core/internal/redisstore"}, transports...), Why: "storage packages know neither each other nor HTTP"},
	{From: "core/internal/redisstore", Never: append([]string{"core/internal/sqlstore", "core/internal/memstore", "pkg/sqldb"}, transports...), Why: "storage packages know neither each other nor HTTP"},
	{From: "core/internal/bridgeclient", Never: append([]string{"core/internal/httpapi", "core/internal/app", "github.com/gofiber"}, stores...), But: driver, Why: "it asks the bridge and nobody else"},
	{From: "core/internal/serviceapi", Never: append([]string{"core/internal/httpapi", "core/internal/app", "core/internal/sqlstore", "core/internal/memstore", "core/internal/redisstore", "pkg/server", "github.com/gofiber"}, stores...),
		But: driver, Why: "it asks runtimes and nobody else"},
	{From: "core/internal/control", Never: append([]string{"core/internal/sqlstore", "core/internal/memstore", "core/internal/app", "core/internal/httpapi"}, stores...),
		But: driver, Why: "what a command asks goes to a service, never to a store"},
}

var (
	transports = []string{"github.com/gofiber", "github.com/valyala", "net/http"}
	stores     = []string{"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/redis"}
	// An id of google/uuid can be a column; the interface for it opens nothing.
	driver = []string{"database/sql/driver"}
)

// domain is the ban of every package that holds rules.
func domain(name string) archtest.Ban {
	return archtest.Ban{From: "core/internal/" + name, Never: append(append([]string{"pkg/server", "pkg/sqldb", "pkg/redisdb"}, transports...), stores...),
		But: driver, Why: "the domain knows no transport and no engine"}
}

// Each package and every arrow of the workspace that leaves it.
var rows = []archtest.Row{
	{Package: "cmd/core", May: []string{"core/internal/cli"}},
	{Package: "cmd/demo"},
	{Package: "internal/access", May: []string{"core/internal/account", "core/internal/console", "core/internal/token", "pkg/audit", "pkg/canon", "pkg/fault", "pkg/secret"}},
	{Package: "internal/account", May: []string{"pkg/fault", "pkg/secret"}},
	{Package: "internal/app", May: []string{"core/internal/access", "core/internal/account", "core/internal/apps", "core/internal/authz", "core/internal/bridgeclient", "core/internal/console", "core/internal/control", "core/internal/devicegrant", "core/internal/echo", "core/internal/httpapi", "core/internal/installation", "core/internal/limits", "core/internal/memstore", "core/internal/operator", "core/internal/prune", "core/internal/redisstore", "core/internal/run", "core/internal/serviceapi", "core/internal/sqlstore", "core/internal/sso", "core/internal/token", "core/internal/webui", "core/internal/workspace", "pkg/audit", "pkg/backup", "pkg/bundle", "pkg/clientip", "pkg/config", "pkg/control", "pkg/datadir", "pkg/doctor", "pkg/egress", "pkg/envelope", "pkg/fault", "pkg/innerclient", "pkg/jobs", "pkg/keyset", "pkg/lifecycle", "pkg/limits", "pkg/ownkeys", "pkg/ratelimit", "pkg/ratelimit/redislimit", "pkg/redisdb", "pkg/replay", "pkg/replay/redisreplay", "pkg/schema", "pkg/seal", "pkg/secret", "pkg/serve", "pkg/server", "pkg/settings", "pkg/sqldb", "pkg/telemetry", "pkg/trace", "pkg/trip"}},
	{Package: "internal/apps", May: []string{"core/internal/workspace", "pkg/audit", "pkg/canon", "pkg/fault", "pkg/seal", "pkg/secret", "pkg/wire"}},
	{Package: "internal/authz", May: []string{"core/internal/apps", "core/internal/limits", "core/internal/token", "core/internal/workspace", "pkg/audit", "pkg/fault", "pkg/ratelimit", "pkg/secret"}},
	{Package: "internal/bridgeclient", May: []string{"core/internal/sso", "pkg/envelope", "pkg/fault", "pkg/innerclient", "pkg/keyset", "pkg/ssocode", "pkg/wire"}},
	{Package: "internal/cli", May: []string{"core/internal/access", "core/internal/account", "core/internal/app", "core/internal/apps", "core/internal/control", "core/internal/doctor", "core/internal/installation", "core/internal/operator", "core/internal/probe", "core/internal/sqlstore", "core/internal/token", "pkg/audit", "pkg/backup", "pkg/bundle", "pkg/canon", "pkg/command", "pkg/config", "pkg/control", "pkg/datadir", "pkg/doctor", "pkg/fault", "pkg/keyset", "pkg/schema", "pkg/seal", "pkg/secret", "pkg/settings", "pkg/telemetry"}},
	{Package: "internal/console", May: []string{"core/internal/account", "pkg/audit", "pkg/canon", "pkg/fault", "pkg/secret"}},
	{Package: "internal/control", May: []string{"core/internal/access", "core/internal/operator", "pkg/backup", "pkg/control"}},
	{Package: "internal/devicegrant", May: []string{"core/internal/token", "core/internal/workspace", "pkg/audit", "pkg/canon", "pkg/fault", "pkg/secret"}},
	{Package: "internal/doctor", May: []string{"core/internal/operator", "pkg/doctor"}},
	{Package: "internal/echo", May: []string{"core/internal/apps", "core/internal/run", "pkg/canon"}},
	{Package: "internal/httpapi", May: []string{"core/internal/access", "core/internal/account", "core/internal/apps", "core/internal/authz", "core/internal/console", "core/internal/devicegrant", "core/internal/installation", "core/internal/limits", "core/internal/openapi", "core/internal/run", "core/internal/sso", "core/internal/token", "core/internal/webui", "core/internal/workspace", "pkg/audit", "pkg/canon", "pkg/envelope", "pkg/fault", "pkg/page", "pkg/secret", "pkg/server", "pkg/ssocode", "pkg/wire"}},
	{Package: "internal/installation", May: []string{"core/internal/account", "core/internal/workspace", "pkg/audit", "pkg/canon", "pkg/fault", "pkg/seal", "pkg/secret"}},
	{Package: "internal/limits", May: []string{"pkg/limits"}},
	{Package: "internal/memstore", May: []string{"core/internal/authz", "core/internal/devicegrant", "core/internal/run", "core/internal/token", "pkg/ratelimit", "pkg/secret"}},
	{Package: "internal/openapi"},
	{Package: "internal/operator", May: []string{"core/internal/access", "core/internal/account", "core/internal/apps", "core/internal/echo", "core/internal/installation", "core/internal/run", "pkg/audit", "pkg/backup", "pkg/bundle", "pkg/canon", "pkg/fault", "pkg/secret", "pkg/wire"}},
	{Package: "internal/probe", May: []string{"pkg/deviceauth", "pkg/secret"}},
	{Package: "internal/prune", May: []string{"pkg/jobs"}},
	{Package: "internal/redisstore", May: []string{"core/internal/authz", "core/internal/devicegrant", "core/internal/run", "core/internal/token", "pkg/ratelimit", "pkg/ratelimit/redislimit", "pkg/redisdb", "pkg/secret"}},
	{Package: "internal/run", May: []string{"core/internal/apps", "core/internal/token", "pkg/audit", "pkg/canon", "pkg/fault", "pkg/jobs", "pkg/seal", "pkg/secret", "pkg/trace"}},
	{Package: "internal/serviceapi", May: []string{"core/internal/apps", "core/internal/run", "pkg/egress", "pkg/fault", "pkg/secret"}},
	{Package: "internal/sqlstore", May: []string{"core/internal/access", "core/internal/account", "core/internal/apps", "core/internal/console", "core/internal/installation", "core/internal/prune", "core/internal/run", "core/internal/token", "core/internal/workspace", "migrations", "pkg/audit", "pkg/canon", "pkg/schema", "pkg/seal", "pkg/secret", "pkg/sqlaudit", "pkg/sqldb", "pkg/sqllease", "pkg/sqlseal"}},
	{Package: "internal/sso", May: []string{"core/internal/devicegrant", "core/internal/token", "pkg/audit", "pkg/canon", "pkg/envelope", "pkg/fault", "pkg/keyset", "pkg/secret", "pkg/ssocode", "pkg/trace"}},
	{Package: "internal/token", May: []string{"core/internal/account", "pkg/audit", "pkg/canon", "pkg/fault", "pkg/secret"}},
	{Package: "internal/webui", May: []string{"pkg/page", "pkg/ssocode"}},
	{Package: "internal/workspace", May: []string{"core/internal/access", "core/internal/account", "core/internal/console", "core/internal/token", "pkg/audit", "pkg/canon", "pkg/fault", "pkg/secret"}},
}

func TestArchitecture(t *testing.T) {
	packages := archtest.Load(t)
	archtest.Arrows(t, "core", packages, rows)
	t.Run("SSO-100 neither sso-bridge nor a SAML library is within reach of core", func(t *testing.T) { archtest.Bans(t, packages, bans[:1]) })
	archtest.Bans(t, packages, bans[1:])
	t.Run("SSO-100 nobody reaches what its row bans, core neither the bridge nor a SAML library", func(t *testing.T) { archtest.Bans(t, packages, bans) })
	archtest.TestsOnly(t, packages)
}

func TestDependencyFloors(t *testing.T) {
	t.Run("HTTP-20 HTTP-21 versions with known flaws are never selected", func(t *testing.T) { archtest.Floors(t) })
}
