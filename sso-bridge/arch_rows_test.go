// SPDX-License-Identifier: Apache-2.0

package ssobridge_test

import (
	"slices"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/archtest"
)

// domain is the ban of every package that holds rules.
func domain(name string) archtest.Ban {
	return archtest.Ban{From: "sso-bridge/internal/" + name, Never: slices.Concat([]string{"pkg/server", "pkg/sqldb", "pkg/redisdb", "net/http"}, transports, stores),
		But: driver, Why: "the domain knows no transport and no engine"}
}

// listeners are the packages that answer requests.
func listeners(name string) archtest.Ban {
	return archtest.Ban{From: "sso-bridge/internal/" + name,
		Never: slices.Concat([]string{"sso-bridge/internal/sqlstore", "sso-bridge/internal/memstore", "sso-bridge/internal/redisstore", "sso-bridge/internal/app"}, stores),
		But:   driver, Why: "handlers ask services, never a store"}
}

var layers = []archtest.Ban{
	domain("connection"), domain("failure"), domain("identity"), domain("idpmetadata"), domain("idpsource"), domain("spkeys"), domain("installation"), domain("limits"), domain("login"), domain("operator"),
	listeners("httpapi"), listeners("innerapi"),
	{From: "sso-bridge/internal/webui", Never: append([]string{"net/http"}, append(transports, stores...)...), But: driver, Why: "pages are templates and view models"},
	{From: "sso-bridge/internal/control", Never: append([]string{"sso-bridge/internal/sqlstore", "sso-bridge/internal/memstore", "sso-bridge/internal/app"}, stores...),
		But: driver, Why: "what a command asks goes to a service, never to a store"},
	{From: "sso-bridge/internal/sqlstore", Never: append([]string{"sso-bridge/internal/memstore", "sso-bridge/internal/redisstore"}, transports...), Why: "storage packages know neither each other nor HTTP"},
	{From: "sso-bridge/internal/memstore", Never: append([]string{"sso-bridge/internal/sqlstore", "sso-bridge/internal/redisstore"}, transports...), Why: "storage packages know neither each other nor HTTP"},
	{From: "sso-bridge/internal/redisstore", Never: append([]string{"sso-bridge/internal/sqlstore", "sso-bridge/internal/memstore", "pkg/sqldb"}, transports...), Why: "storage packages know neither each other nor HTTP"},
}

// Each package and every arrow of the workspace that leaves it.
var rows = []archtest.Row{
	{Package: "cmd/devidp"},
	{Package: "cmd/sso-bridge", May: []string{"sso-bridge/internal/cli"}},
	{Package: "internal/app", May: []string{"pkg/audit", "pkg/backup", "pkg/bundle", "pkg/clientip", "pkg/config", "pkg/control", "pkg/datadir", "pkg/doctor", "pkg/egress", "pkg/envelope", "pkg/fault", "pkg/innerclient", "pkg/jobs", "pkg/keyset", "pkg/lifecycle", "pkg/limits", "pkg/ownkeys", "pkg/ratelimit", "pkg/ratelimit/redislimit", "pkg/redisdb", "pkg/replay", "pkg/replay/redisreplay", "pkg/schema", "pkg/seal", "pkg/secret", "pkg/serve", "pkg/server", "pkg/settings", "pkg/sqlaudit", "pkg/sqldb", "pkg/telemetry", "pkg/trace", "pkg/trip", "sso-bridge/internal/connection", "sso-bridge/internal/control", "sso-bridge/internal/coreclient", "sso-bridge/internal/doctor", "sso-bridge/internal/failure", "sso-bridge/internal/httpapi", "sso-bridge/internal/identity", "sso-bridge/internal/idpfetch", "sso-bridge/internal/idpsource", "sso-bridge/internal/innerapi", "sso-bridge/internal/installation", "sso-bridge/internal/limits", "sso-bridge/internal/login", "sso-bridge/internal/memstore", "sso-bridge/internal/oauth2rp", "sso-bridge/internal/oidcrp", "sso-bridge/internal/operator", "sso-bridge/internal/redisstore", "sso-bridge/internal/samlsp", "sso-bridge/internal/spkeys", "sso-bridge/internal/sqlstore", "sso-bridge/internal/webui"}},
	{Package: "internal/attacktest", May: []string{"sso-bridge/internal/failure"}},
	{Package: "internal/cli", May: []string{"pkg/audit", "pkg/backup", "pkg/bundle", "pkg/command", "pkg/config", "pkg/control", "pkg/datadir", "pkg/doctor", "pkg/schema", "pkg/telemetry", "sso-bridge/internal/app", "sso-bridge/internal/connection", "sso-bridge/internal/control", "sso-bridge/internal/doctor", "sso-bridge/internal/operator"}},
	{Package: "internal/connection", May: []string{"sso-bridge/internal/idpmetadata", "pkg/audit", "pkg/canon", "pkg/fault", "pkg/seal", "pkg/secret", "pkg/wire"}},
	{Package: "internal/control", May: []string{"sso-bridge/internal/login", "sso-bridge/internal/operator", "pkg/backup", "pkg/control", "pkg/ownkeys"}},
	{Package: "internal/coreclient", May: []string{"sso-bridge/internal/connection", "pkg/envelope", "pkg/innerclient", "pkg/keyset", "pkg/wire"}},
	{Package: "internal/doctor", May: []string{"pkg/doctor", "pkg/egress", "sso-bridge/internal/connection", "sso-bridge/internal/operator"}},
	{Package: "internal/failure", May: []string{"pkg/ssocode"}},
	{Package: "internal/flight", May: []string{"sso-bridge/internal/failure"}},
	{Package: "internal/httpapi", May: []string{"sso-bridge/internal/connection", "sso-bridge/internal/failure", "sso-bridge/internal/limits", "sso-bridge/internal/login", "sso-bridge/internal/webui", "pkg/fault", "pkg/limits", "pkg/page", "pkg/secret", "pkg/server", "pkg/ssocode", "pkg/wire"}},
	{Package: "internal/identity", May: []string{"sso-bridge/internal/connection", "sso-bridge/internal/failure", "pkg/canon"}},
	{Package: "internal/idpfetch", May: []string{"sso-bridge/internal/idpsource", "pkg/egress"}},
	{Package: "internal/idpmetadata", May: []string{"sso-bridge/internal/xmlscan"}},
	{Package: "internal/idpsource", May: []string{"sso-bridge/internal/connection", "sso-bridge/internal/failure", "sso-bridge/internal/flight", "sso-bridge/internal/idpmetadata", "pkg/audit", "pkg/canon", "pkg/fault"}},
	{Package: "internal/idptest", May: []string{"sso-bridge/internal/failure"}},
	{Package: "internal/innerapi", May: []string{"sso-bridge/internal/connection", "sso-bridge/internal/login", "pkg/audit", "pkg/envelope", "pkg/fault", "pkg/server", "pkg/wire"}},
	{Package: "internal/installation", May: []string{"pkg/audit", "pkg/fault", "pkg/seal", "pkg/secret"}},
	{Package: "internal/limits", May: []string{"pkg/limits"}},
	{Package: "internal/login", May: []string{"pkg/audit", "pkg/canon", "pkg/envelope", "pkg/fault", "pkg/keyset", "pkg/secret", "pkg/ssocode", "pkg/trace", "sso-bridge/internal/connection", "sso-bridge/internal/failure", "sso-bridge/internal/identity"}},
	{Package: "internal/memstore", May: []string{"sso-bridge/internal/login", "pkg/secret"}},
	{Package: "internal/oauth2rp", May: []string{"sso-bridge/internal/connection", "sso-bridge/internal/failure", "sso-bridge/internal/identity", "sso-bridge/internal/login", "pkg/egress", "pkg/ssocode", "pkg/wire"}},
	{Package: "internal/oidcrp", May: []string{"sso-bridge/internal/connection", "sso-bridge/internal/failure", "sso-bridge/internal/flight", "sso-bridge/internal/identity", "sso-bridge/internal/login", "pkg/egress", "pkg/secret", "pkg/ssocode", "pkg/wire"}},
	{Package: "internal/operator", May: []string{"pkg/audit", "pkg/backup", "pkg/bundle", "pkg/fault", "pkg/ownkeys", "pkg/seal", "sso-bridge/internal/connection", "sso-bridge/internal/failure", "sso-bridge/internal/idpmetadata", "sso-bridge/internal/idpsource", "sso-bridge/internal/login", "sso-bridge/internal/spkeys"}},
	{Package: "internal/redisstore", May: []string{"sso-bridge/internal/login", "pkg/redisdb", "pkg/secret"}},
	{Package: "internal/samlsp", May: []string{"sso-bridge/internal/connection", "sso-bridge/internal/failure", "sso-bridge/internal/identity", "sso-bridge/internal/idpmetadata", "sso-bridge/internal/login", "sso-bridge/internal/spkeys", "sso-bridge/internal/xmlscan", "pkg/fault", "pkg/secret", "pkg/ssocode"}},
	{Package: "internal/spkeys", May: []string{"pkg/audit", "pkg/canon", "pkg/fault", "pkg/jobs", "pkg/seal"}},
	{Package: "internal/sqlstore", May: []string{"migrations", "sso-bridge/internal/connection", "sso-bridge/internal/failure", "sso-bridge/internal/idpmetadata", "sso-bridge/internal/idpsource", "sso-bridge/internal/installation", "sso-bridge/internal/login", "sso-bridge/internal/spkeys", "pkg/audit", "pkg/schema", "pkg/seal", "pkg/secret", "pkg/sqlaudit", "pkg/sqldb", "pkg/sqllease", "pkg/sqlseal", "pkg/ssocode"}},
	{Package: "internal/storetest", May: []string{"sso-bridge/internal/connection", "sso-bridge/internal/failure", "sso-bridge/internal/idpmetadata", "sso-bridge/internal/idpsource", "sso-bridge/internal/installation", "sso-bridge/internal/login", "sso-bridge/internal/spkeys", "sso-bridge/internal/sqlstore", "pkg/audit", "pkg/canon", "pkg/faulttest", "pkg/jobs", "pkg/seal", "pkg/secret", "pkg/sqldb", "pkg/ssocode", "pkg/testserver"}},
	{Package: "internal/webui", May: []string{"sso-bridge/internal/connection", "sso-bridge/internal/login", "pkg/page", "pkg/ssocode"}},
	{Package: "internal/xmlscan"},
}

func TestArrowsAndLayers(t *testing.T) {
	packages := archtest.Load(t)
	archtest.Arrows(t, "sso-bridge", packages, rows)
	archtest.Bans(t, packages, layers)
}
