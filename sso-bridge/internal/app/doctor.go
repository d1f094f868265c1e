// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/doctor"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/innerclient"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/settings"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	examine "github.com/dify-sso/dify-sso/sso-bridge/internal/doctor"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
)

// Examination is what "sso-bridge doctor" looks at beside the providers. It changes nothing: no key
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
	checks = append(checks, doctor.Check{ID: examine.StoresApart, Run: e.apart})
	peer := e.CoreInner.Scheme + "://" + e.CoreInner.Host + "/readyz"
	checks = append(checks,
		doctor.Check{ID: doctor.KeysetPeer, Run: func(ctx context.Context) []doctor.Finding {
			return doctor.Peer(ctx, doctor.AskReady, peer, "core", "CORE_INNER_URL", e.keys.Fingerprint())
		}},
		doctor.Check{ID: doctor.KeysetSigned, Run: e.signed})
	processes, err := doctor.Processes(ctx, e.Replicas, e.InnerListen, e.TLSCertFile != "", e.keys.Fingerprint())
	if err != nil {
		return nil, err
	}
	checks = append(checks, processes...)
	public := doctor.Public{Setting: "SSO_BRIDGE_PUBLIC_URL", URL: e.Public, Path: examine.Probe(), Ours: ours, Now: e.Now}
	return append(checks,
		doctor.Check{ID: doctor.AddressOurs, Run: public.Look},
		said(doctor.CertificateOwn, func() []doctor.Finding {
			if cert == nil {
				return doctor.JudgeOwn(nil, certErr, e.Now())
			}
			return doctor.JudgeOwn(cert.Leaf(), certErr, e.Now())
		}),
		said(doctor.CertificateRoots, func() []doctor.Finding {
			return doctor.JudgeRoots(map[string]string{"REDIS_CA_FILE": e.RedisCAFile, "CORE_CA_FILE": e.CoreCAFile, "EGRESS_CA_FILE": e.EgressCAFile}, e.Now())
		}),
		said(doctor.Proxies, func() []doctor.Finding {
			return doctor.JudgeProxies(e.Public, "SSO_BRIDGE_PUBLIC_URL", len(e.TrustedProxies), e.TLSCertFile != "")
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
func ours(status int, body []byte) (warn bool, wrong string) {
	if !examine.IsRefusal(status, body) {
		return false, "What answers at SSO_BRIDGE_PUBLIC_URL is not the bridge."
	}
	return false, ""
}

// stored is the database, and what of it has to fit this process.
func (e Examination) stored() doctor.Database {
	d := doctor.Database{
		Program: Program, Open: e.open, MaxConns: e.DatabaseMaxConns, Migrator: sqlstore.NewMigrator, Canary: e.canary,
		Rights: doctor.Rights{
			Ours:     func(table string) bool { return strings.HasPrefix(table, "sso_") },
			ReadOnly: []string{"sso_goose_db_version"}, Appended: []string{"sso_audit_events"},
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
	present, former, err := k.Derive("sso.installation.canary")
	if err != nil {
		return nil, false, err
	}
	state, err := sqlstore.Installation{DB: db}.Read(ctx)
	switch {
	case err != nil:
		return k.Sealing.IDs(), false, err
	case state.Canary == "":
		return k.Sealing.IDs(), false, doctor.ErrNoCanary
	}
	previous, err = seal.Canary{Keys: k.Sealing, Place: "sso_installation/1/canary", Key: present, Previous: former}.Fits(state.Canary)
	return k.Sealing.IDs(), previous, err
}

// Usable reports whether an App can be built on the database without changing it.
func (e Examination) Usable(ctx context.Context) bool { return e.stored().Usable(ctx) }

// signed sends core a request that is empty, which core refuses for what is not in it
// after it has taken the signature: nothing is done.
func (e Examination) signed(ctx context.Context) []doctor.Finding {
	const whose, setting = "core", "CORE_INNER_URL"
	inner, err := envelope.NewInner(envelope.Deps{Keys: keyset.NewRing(e.keys), Audience: envelope.BridgeToCore, Issuer: e.Public.String(), Now: e.Now})
	if err != nil {
		return doctor.Signed(whose, setting, 0, "", err)
	}
	client, err := innerclient.New(innerclient.Deps{Base: e.CoreInner, Inner: inner, Roots: e.coreRoots, Agent: Program})
	if err != nil {
		return doctor.Signed(whose, setting, 0, "", err)
	}
	defer client.CloseIdle()
	a, err := client.Once(ctx, http.MethodPost, "/inner/api/identities/unlink", []byte("{}"), nil)
	return doctor.Signed(whose, setting, a.Status, a.Code(), err)
}

// apart asks both stores for something of core's.
func (e Examination) apart(ctx context.Context) []doctor.Finding {
	if e.Embedded() {
		return []doctor.Finding{{Check: examine.StoresApart, Status: doctor.Skipped, Text: "Everything is kept in a DATA_DIR of the bridge's own."}}
	}
	if settings.Loopback(e.Public.Hostname()) {
		return []doctor.Finding{{Check: examine.StoresApart, Status: doctor.Skipped, Text: "SSO_BRIDGE_PUBLIC_URL is of this machine alone, so nobody is to be kept apart."}}
	}
	failed := func() []doctor.Finding {
		return []doctor.Finding{{Check: examine.StoresApart, Status: doctor.Skipped, Text: "The stores could not be asked: see their own checks."}}
	}
	db, err := e.open(ctx)
	if err != nil {
		return failed()
	}
	defer func() { _ = db.Close() }()
	sql, err := readsCore(ctx, db)
	if err != nil {
		return failed()
	}
	o := e.redis()
	o.PoolSize = 1
	store, err := redisdb.New(o)
	if err != nil {
		return failed()
	}
	defer func() { _ = store.Close() }()
	redis, err := usesCore(ctx, store)
	if err != nil {
		return failed()
	}
	return examine.Apart(sql, redis)
}

// Connections calls every provider through the egress guard.
func (e Examination) Connections(ctx context.Context, list operator.Connections) []doctor.Finding {
	o := e.egress
	o.Now = e.Now
	client, err := egress.New(o)
	if err != nil {
		return []doctor.Finding{{Check: examine.ProviderReachable, Status: doctor.Fail, Text: "EGRESS_ALLOW or EGRESS_PROXY_URL cannot be read."}}
	}
	defer client.Close()
	return examine.Providers(ctx, list, client, e.Now())
}
