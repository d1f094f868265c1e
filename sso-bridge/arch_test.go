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
	// SAML.
	[]archtest.Ban{
		{From: "sso-bridge/internal/samlsp", Never: slices.Concat(transports, stores, []string{"pkg/server", "pkg/sqldb", "pkg/redisdb", "pkg/egress"}), But: driver,
			Why: "a protocol takes values: no request of a browser, no engine, and nothing is fetched because a message says so"},
		{From: "sso-bridge/internal/samlsp", Never: []string{"sso-bridge/internal/oidcrp", "sso-bridge/internal/oauth2rp", "github.com/coreos/go-oidc"}, Why: "protocols know nothing of each other"},
		{From: "sso-bridge/internal/spkeys", Never: []string{"sso-bridge/internal/idpsource", "sso-bridge/internal/idpmetadata", "sso-bridge/internal/samlsp", "pkg/egress"}, Why: "our keys know nothing of providers, and leave for nowhere"},
		{From: "sso-bridge/internal/xmlscan", Never: []string{"sso-bridge", "pkg", "net/http"}, Why: "what judges foreign bytes stands on the standard library alone"},
	},
)

// speaksSAML are the packages from which a SAML library may be reached: the one that holds
// it, those that start the program, the provider for development, and what forges
// messages for tests.
var speaksSAML = []string{"internal/samlsp", "internal/app", "internal/cli", "cmd/sso-bridge", "internal/attacktest", "cmd/devidp"}

// libraries keeps the libraries of SAML behind samlsp, whose rules say what of them is
// used: a second reader, beside the strict one, would be the one that is attacked.
func libraries() (list []archtest.Ban) {
	for _, r := range rows {
		if !slices.Contains(speaksSAML, r.Package) {
			list = append(list, archtest.Ban{From: "sso-bridge/" + r.Package, Never: []string{"github.com/crewjam/saml", "github.com/russellhaering/goxmldsig"},
				Why: "SAML's libraries are samlsp's alone"})
		}
	}
	return list
}

func TestArchitecture(t *testing.T) {
	packages := archtest.Load(t)
	archtest.Bans(t, packages, slices.Concat(bans, libraries()))
	archtest.TestsOnly(t, packages)
}

func TestDependencyFloors(t *testing.T) {
	t.Run("SUP-01 no dependency is below its floor", func(t *testing.T) { archtest.Floors(t) })
}
