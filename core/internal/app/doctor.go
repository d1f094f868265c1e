// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/doctor"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/innerclient"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// Examination is what "core doctor" looks at beside the apps. It changes nothing: no key
// is made, nothing is migrated, and no lock is taken.
type Examination struct {
	*Settings
	Version  string
	Environ  []string // names the files of secrets
	Replicas []string // what a person has named
	Now      func() time.Time
}

// Checks are the checks in the order in which their findings are told.
func (e Examination) Checks(ctx context.Context) ([]doctor.Check, error) {
	cert, certErr := e.Certificate(e.Now, telemetry.NewLogger(io.Discard, 0, "json"))
	checks := []doctor.Check{
		said(doctor.Settings, func() []doctor.Finding { return doctor.JudgeSettings(e.Warnings) }),
		{ID: doctor.PostgresReachable, Run: e.stored().Look},
	}
	if !e.Embedded() {
		checks = append(checks, doctor.Check{ID: doctor.RedisReachable, Run: func(ctx context.Context) []doctor.Finding { return doctor.Redis(ctx, e.redis()) }})
	} else {
		checks[1].ID = doctor.Schema
	}
	fingerprint := ""
	if e.sso != nil {
		fingerprint = e.sso.keys.Fingerprint()
		peer := e.sso.bridge.Scheme + "://" + e.sso.bridge.Host + "/readyz"
		checks = append(checks,
			doctor.Check{ID: doctor.KeysetPeer, Run: func(ctx context.Context) []doctor.Finding {
				return doctor.Peer(ctx, doctor.AskReady, peer, "sso-bridge", "SSO_BRIDGE_URL", fingerprint)
			}},
			doctor.Check{ID: doctor.KeysetSigned, Run: e.signed})
	}
	processes, err := doctor.Processes(ctx, e.Replicas, e.InnerListen, e.TLS(), fingerprint)
	if err != nil {
		return nil, err
	}
	checks = append(checks, processes...)
	public := doctor.Public{Setting: "CONSOLE_API_URL", URL: e.Public, Path: "/openapi/v1/_version", Ours: e.ours, Now: e.Now}
	if !e.OpenAPIEnabled {
		public.Path = "/signin"
	}
	return append(checks,
		doctor.Check{ID: doctor.AddressOurs, Run: public.Look},
		said(doctor.CertificateOwn, func() []doctor.Finding {
			if cert == nil {
				return doctor.JudgeOwn(nil, certErr, e.Now())
			}
			return doctor.JudgeOwn(cert.Leaf(), certErr, e.Now())
		}),
		said(doctor.CertificateRoots, func() []doctor.Finding {
			return doctor.JudgeRoots(map[string]string{"REDIS_CA_FILE": e.RedisCAFile, "SSO_BRIDGE_CA_FILE": e.BridgeCAFile}, e.Now())
		}),
		said(doctor.Proxies, func() []doctor.Finding {
			return doctor.JudgeProxies(e.Public, "CONSOLE_API_URL", len(e.TrustedProxies), e.TLS())
		}),
		said(doctor.DataDirectory, func() []doctor.Finding { return doctor.JudgeDataDir(e.kept(), doctor.FreeSpace) }),
		said(doctor.FilesModes, func() []doctor.Finding {
			return doctor.JudgeModes(doctor.SecretFiles(&e.Config, e.Environ, map[string]string{"KEYSET_FILE": e.KeysetFile, "SEALING_KEY_FILE": e.SealingKeyFile, "TLS_KEY_FILE": e.TLSKeyFile}))
		}),
		said(doctor.FilesLimit, func() []doctor.Finding {
			return doctor.JudgeLimit(doctor.OpenFiles, e.MaxConnections, e.DatabaseMaxConns)
		}),
	), nil
}

// said is a check that waits for nobody.
func said(id string, judge func() []doctor.Finding) doctor.Check {
	return doctor.Check{ID: id, Run: func(context.Context) []doctor.Finding { return judge() }}
}

// kept is the data directory, empty in a fleet.
func (e Examination) kept() string {
	if !e.Embedded() {
		return ""
	}
	return e.DataDir
}

// ours judges what answers at the public address.
func (e Examination) ours(status int, body []byte) (warn bool, wrong string) {
	var v struct {
		Version string `json:"version"`
	}
	switch {
	case status != http.StatusOK:
		return false, "What answers at CONSOLE_API_URL is not core, or not set up to answer."
	case !e.OpenAPIEnabled:
		return false, ""
	case json.Unmarshal(body, &v) != nil || v.Version == "":
		return false, "What answers at CONSOLE_API_URL is not core."
	case !strings.HasSuffix(v.Version, "+"+e.Version):
		return true, "What answers at CONSOLE_API_URL is core of another version than this program."
	}
	return false, ""
}

// stored is the database, and what of it has to fit this process.
func (e Examination) stored() doctor.Database {
	d := doctor.Database{
		Program: Program, Open: e.open, MaxConns: e.DatabaseMaxConns, Migrator: sqlstore.NewMigrator, Canary: e.canary,
		Rights: doctor.Rights{
			Ours:     func(table string) bool { return !strings.HasPrefix(table, "sso_") },
			ReadOnly: []string{"goose_db_version"}, Appended: []string{"audit_events"},
		},
	}
	if e.Embedded() {
		d.File = e.Database()
	}
	return d
}

// open opens the database beside whoever serves on it.
func (e Examination) open(ctx context.Context) (sqldb.DB, error) {
	if e.Embedded() {
		return sqldb.OpenSQLite(ctx, e.Database())
	}
	return openPostgres(ctx, "DATABASE_URL", e.DatabaseURL, 1)
}

// canary compares our keys with those of the database.
func (e Examination) canary(ctx context.Context, db sqldb.DB) (ids []string, previous bool, err error) {
	dir, err := openData(e.Settings)
	if err != nil {
		return nil, false, err
	}
	k, err := loadKeys(e.Settings, dir) // beside a database it makes none
	if err != nil {
		return nil, false, err
	}
	state, err := sqlstore.Installation{DB: db}.Read(ctx)
	switch {
	case err != nil:
		return k.sealing.IDs(), false, err
	case state.Canary == "":
		return k.sealing.IDs(), false, doctor.ErrNoCanary
	}
	previous, err = seal.Canary{Keys: k.sealing, Place: "installation/1/canary", Key: k.canary, Previous: k.former.canary}.Fits(state.Canary)
	return k.sealing.IDs(), previous, err
}

// Usable reports whether an App can be built on the database without changing it.
func (e Examination) Usable(ctx context.Context) bool { return e.stored().Usable(ctx) }

// signed asks the bridge for its connections, as the pages of a sign-in do.
func (e Examination) signed(ctx context.Context) []doctor.Finding {
	const whose, setting = "sso-bridge", "SSO_BRIDGE_URL"
	inner, err := envelope.NewInner(envelope.Deps{Keys: keyset.NewRing(e.sso.keys), Audience: envelope.CoreToBridge, Issuer: e.Public.String(), Now: e.Now})
	if err != nil {
		return doctor.Signed(whose, setting, 0, "", err)
	}
	client, err := innerclient.New(innerclient.Deps{Base: e.sso.bridge, Inner: inner, Roots: e.sso.roots, Agent: Program})
	if err != nil {
		return doctor.Signed(whose, setting, 0, "", err)
	}
	defer client.CloseIdle()
	a, err := client.Once(ctx, http.MethodGet, "/inner/api/sso/connections?intent=device_flow", nil, nil)
	return doctor.Signed(whose, setting, a.Status, a.Code(), err)
}
