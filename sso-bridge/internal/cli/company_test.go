// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/backup"
	wire "github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/control"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

var key = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func certificate(t *testing.T, serial int64, end time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: now.Add(-time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key().PublicKey, key())
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func print(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// company is a bridge with a SAML connection, corp, one of OpenID, okta, and one of OAuth
// 2.0 that no list shows, hub, and services that remember what they were asked.
type company struct {
	operator.Connector
	operator.Logins

	keys   []spkeys.Key
	status idpsource.Status
	asked  []string
	order  login.TestOrder
	sizes  []int
	last   string
	source string // of the last status
	serves *connection.Revision
	report login.Report
	config connection.SAMLConfig
	oidc   connection.OIDCConfig
}

func (c *company) note(words ...string) { c.asked = append(c.asked, strings.Join(words, " ")) }

var errProof = fault.New(fault.Conflict, "key_not_proven", "Nothing shows that the provider has the key.")

func (c *company) view(id string) connection.View {
	protocol := connection.SAML
	switch id {
	case "okta":
		protocol = connection.OIDC
	case "hub":
		protocol = connection.OAuth2
	}
	v := connection.View{Connection: connection.Connection{ID: id, Name: "Corp", Protocol: protocol, Preset: "none", State: connection.Draft, ManagedBy: connection.ByAPI, Head: strings.Repeat("a", 64)}}
	v.HeadRevision = connection.Revision{ConnectionID: id, Hash: v.Head, Seq: 1, Config: connection.Config{Protocol: protocol, Callback: connection.CallbackOwn}}
	switch protocol {
	case connection.SAML:
		v.HeadRevision.Config.SAML, v.ServingRevision = &c.config, c.serves
	case connection.OIDC:
		v.HeadRevision.Config.OIDC = &c.oidc
	case connection.OAuth2:
		v.HeadRevision.Config.OAuth2 = &connection.OAuth2Config{}
	}
	return v
}

func (c *company) Show(_ context.Context, id string) (connection.View, error) {
	if id != "corp" && id != "okta" && id != "hub" {
		return connection.View{}, connection.ErrUnknown
	}
	return c.view(id), nil
}

func (c *company) List(context.Context) ([]connection.View, error) {
	return []connection.View{c.view("corp"), c.view("okta")}, nil
}

func (c *company) ForTest(_ context.Context, id, _ string) (connection.Serving, error) {
	v := c.view(id)
	return connection.Serving{Connection: v.Connection, Revision: v.HeadRevision}, nil
}

type attempts struct{ c *company }

func (a attempts) BeginTest(_ context.Context, o login.TestOrder) (login.Begun, error) {
	a.c.order = o
	return login.Begun{Reference: "7K2QD-9XM4P", StartURL: "https://sso.example/sso/start/x", ExpiresAt: now}, nil
}
func (a attempts) List(context.Context, login.Filter, int) ([]login.Report, error) { return nil, nil }
func (a attempts) Show(context.Context, string) (login.Report, error)              { return a.c.report, nil }

type signers struct{ c *company }

func (s signers) List(_ context.Context, id string) ([]spkeys.Key, error) {
	s.c.note("list", id)
	return s.c.keys, nil
}
func (s signers) Stage(_ context.Context, id, by string) (spkeys.Key, error) {
	s.c.note("stage", id, by)
	return spkeys.Key{}, nil
}
func (s signers) Promote(_ context.Context, id, by string, force bool, reason string) (spkeys.Key, error) {
	if !force {
		return spkeys.Key{}, errProof.Hinted("Force it with a reason.")
	}
	s.c.note("promote", id, by, reason)
	return spkeys.Key{}, nil
}
func (s signers) Retire(_ context.Context, id, key, by string) (spkeys.Key, error) {
	s.c.note("retire", id, key, by)
	return spkeys.Key{}, nil
}

type sources struct{ c *company }

func (s sources) Status(_ context.Context, _, source string) (idpsource.Status, error) {
	s.c.source = source
	return s.c.status, nil
}
func (s sources) did(what string, c connection.Serving, by string) (idpsource.Status, error) {
	s.c.note(what, c.ID, by)
	return s.c.status, nil
}
func (s sources) Refresh(_ context.Context, c connection.Serving, by string) (idpsource.Status, error) {
	return s.did("refresh", c, by)
}
func (s sources) Accept(_ context.Context, c connection.Serving, seen, by string) (idpsource.Status, error) {
	return s.did("accept"+seen, c, by)
}
func (s sources) Reject(_ context.Context, c connection.Serving, by string) (idpsource.Status, error) {
	return s.did("reject", c, by)
}

type noKeys struct{}

func (noKeys) RotateSecretKey(context.Context, audit.Actor) (ownkeys.Rotation, error) {
	return ownkeys.Rotation{}, nil
}
func (noKeys) Snapshot(context.Context) (backup.Snapshot, error) {
	return backup.Snapshot{}, errors.New("there is none")
}

func (noKeys) Bundle(context.Context) (operator.Bundle, error) {
	return operator.Bundle{}, errors.New("there are none")
}

func (noKeys) RotateSealingKey(context.Context, audit.Actor) (operator.SealingKey, error) {
	return operator.SealingKey{}, nil
}

// sized notes how long the connections are that arrive.
type sized struct {
	operator.Operations
	c *company
}

func (s sized) CreateConnection(_ context.Context, o operator.Change) (operator.Connection, error) {
	s.c.sizes, s.c.last = append(s.c.sizes, len(o.Connection)), o.Connection
	return operator.Connection{}, errors.New("no more than that")
}

// serve has the company behind the control socket of an installation.
func (p *place) serveCompany(c *company) {
	p.t.Helper()
	p.must(github...) // there is an installation
	service, err := operator.New(operator.Deps{
		Connections: c, Logins: attempts{c}, Keys: noKeys{}, Signers: signers{c}, Sources: sources{c}, Public: "https://sso.example", Now: func() time.Time { return now },
	})
	if err != nil {
		p.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s, err := control.NewServer(func(by wire.Caller) operator.Operations { return sized{service.As(by), c} }, wire.Deps{Log: log, Now: time.Now, Version: "1.0.0"})
	if err != nil {
		p.t.Fatal(err)
	}
	l, err := wire.Listen(p.path("data/control.sock"), log)
	if err != nil {
		p.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	p.t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-done); err != nil {
			p.t.Error(err)
		}
	})
}

// me is the actor that a command of this process is.
var me = "cli:" + wire.UserName(os.Geteuid())

func facts(text string, certificates ...*x509.Certificate) *idpsource.Version {
	v := &idpsource.Version{
		Digest: strings.Repeat(text, 64), FetchedAt: now.Add(-time.Hour), CheckedAt: now, DueAt: now.Add(24 * time.Hour),
		Facts: idpmetadata.IdP{EntityID: "https://idp.example/" + text, Redirect: "https://idp.example/sso"},
	}
	for _, c := range certificates {
		v.Facts.Certificates = append(v.Facts.Certificates, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return v
}

// file writes a file for a command.
func (p *place) file(text string) string {
	p.t.Helper()
	path := p.path("connection.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}
