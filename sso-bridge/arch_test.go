// SPDX-License-Identifier: Apache-2.0

package ssobridge_test

import (
	"slices"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/archtest"
)

var (
	transports = []string{"github.com/gofiber", "github.com/valyala"}
	stores     = []string{"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/redis"}
	// An id of google/uuid can be a column; the interface for it opens nothing.
	driver = []string{"database/sql/driver"}
)

// What must not be reachable, one block for each part (docs/architecture.md).
var bans = slices.Concat(
	[]archtest.Ban{{From: "sso-bridge", Never: []string{"core"}, Why: "the two services meet in signed messages and over HTTP, never in code"}},
	// OpenID Connect.
	[]archtest.Ban{
		{From: "sso-bridge/internal/oidcrp", Never: slices.Concat(transports, stores, []string{"pkg/server", "pkg/sqldb", "pkg/redisdb"}), But: driver,
			Why: "a protocol takes values: no request of a browser, no engine"},
		{From: "sso-bridge/internal/oidcrp", Never: []string{"github.com/crewjam/saml", "sso-bridge/internal/oauth2rp"}, Why: "protocols know nothing of each other"},
	},
	// OAuth 2.0 and identities.
	[]archtest.Ban{
		{From: "sso-bridge/internal/oauth2rp", Never: slices.Concat(transports, stores, []string{"pkg/server", "pkg/sqldb", "pkg/redisdb"}), But: driver,
			Why: "a protocol takes values: no request of a browser, no engine"},
		{From: "sso-bridge/internal/oauth2rp", Never: []string{"github.com/crewjam/saml", "github.com/coreos/go-oidc", "sso-bridge/internal/oidcrp"}, Why: "protocols know nothing of each other"},
		{From: "sso-bridge/internal/identity", Never: slices.Concat(transports, stores, []string{"pkg/server", "pkg/sqldb", "pkg/redisdb", "pkg/egress", "net/http"}), But: driver,
			Why: "an identity is judged by values alone, whatever protocol brought them"},
		{From: "sso-bridge/cmd/devidp", Never: []string{"sso-bridge/internal", "pkg"}, Why: "a provider that shares code with the bridge would share its mistakes"},
	},
)

func TestArchitecture(t *testing.T) {
	packages := archtest.Load(t)
	archtest.Bans(t, packages, bans)
	archtest.TestsOnly(t, packages)
}

func TestDependencyFloors(t *testing.T) { archtest.Floors(t) }
