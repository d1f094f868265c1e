// SPDX-License-Identifier: Apache-2.0

package oidcrp_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idptest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/oidcrp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// office is where pins are kept and decided on.
type office struct {
	*idpsource.Service
	d      storetest.Durable
	faults *faulttest.Faults
	p      *party
}

// List implements idpsource.Connections.
func (o *office) List(context.Context) ([]connection.View, error) {
	return []connection.View{{Connection: o.p.serving.Connection, HeadRevision: o.p.serving.Revision}}, nil
}

// Fetch implements idpsource.Fetcher.
func (*office) Fetch(context.Context, string, string, idpsource.Validators) (idpsource.Reply, error) {
	return idpsource.Reply{}, errors.New("nobody reads a discovery document as metadata")
}

// kept is a relying party whose pins are in a database.
func kept(t *testing.T) (*party, *office) {
	t.Helper()
	p := newParty(t)
	o := &office{d: storetest.NewSQLite(t), faults: &faulttest.Faults{}, p: p}
	if err := o.d.Installation.Init(t.Context(), installation.State{Canary: "canary", FingerprintKey: "key"}); err != nil {
		t.Fatal(err)
	}
	row := connection.Connection{ID: "corp", Name: "corp", Protocol: connection.OIDC, Preset: "generic-oidc", State: connection.Enabled, Intents: []connection.Intent{connection.DeviceFlow},
		ManagedBy: connection.ByAPI, Head: strings.Repeat("0", 64), CreatedAt: storetest.Start, UpdatedAt: storetest.Start}
	if err := o.d.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) error { return tx.Insert(ctx, row) }); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(p.log, nil))
	recorder, err := audit.NewRecorder(o.d.Audit, log)
	if err != nil {
		t.Fatal(err)
	}
	o.Service, err = idpsource.New(idpsource.Deps{
		Store: storetest.FaultyIdPSource(o.d.IdPSource, o.faults), Connections: o, Fetcher: o, Recorder: recorder, Now: p.clock.now, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.restart(t, o)
	return p, o
}

// moves has an endpoint stand on another host, and a sign-in come when it is read.
func (p *party) moves(t *testing.T, endpoint string) {
	t.Helper()
	p.idp.Discovery(func(d map[string]any) { d[endpoint] = p.idp.Canary().URL + "/moved" })
	p.clock.add(2 * time.Hour)
	p.must(t)
}

// waits expects the endpoint to wait for a decision, or nothing for "".
func (o *office) waits(t *testing.T, endpoint string) {
	t.Helper()
	status, err := o.Status(t.Context(), "corp", o.p.oidc().DiscoveryAddress())
	if err != nil {
		t.Fatal(err)
	}
	n, err := o.Pending(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if endpoint == "" {
		if status.Pending != nil || n != 0 {
			t.Errorf("%+v waits, %d", status.Pending, n)
		}
		return
	}
	if status.Pending == nil || n != 1 || len(status.Pending.Diff) != 1 {
		t.Fatalf("%+v, %d", status.Pending, n)
	}
	c := status.Pending.Diff[0]
	if c.What != endpoint || !c.Destructive || !strings.HasPrefix(c.From, o.p.idp.URL) || c.To != o.p.idp.Canary().URL+"/moved" {
		t.Errorf("%+v", c)
	}
}

func (o *office) events(t *testing.T) string {
	t.Helper()
	names, _ := o.d.Events(t)
	return strings.ReplaceAll(strings.Join(names, " "), "sso.metadata_", "")
}

func TestEndpointThatMovesIsHeld(t *testing.T) {
	for _, endpoint := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"} {
		t.Run("OIDC-37 "+endpoint+" on a new host", func(t *testing.T) {
			p, o := kept(t)
			p.must(t)
			p.idp.Thin("email")
			p.moves(t, endpoint)
			p.counts(t, idptest.Discovery, 2)
			o.waits(t, endpoint)
			if !strings.Contains(p.log.String(), "moved to another host") {
				t.Error("the log does not warn")
			}
			p.restart(t, o)
			p.must(t) // another process does not take the move for the first document
			p.clock.add(2 * time.Hour)
			p.must(t)
			o.waits(t, endpoint)
			if p.idp.Canary().Count() != 0 {
				t.Error("the new host was called")
			}
			p.idp.Reset()
			p.clock.add(2 * time.Hour)
			p.must(t)
			o.waits(t, "") // it moved back
			if got := o.events(t); got != "loaded held withdrawn" {
				t.Error(got)
			}
		})
	}
	t.Run("OIDC-37 what stays on its host is followed, and an endpoint that is new on a known one", func(t *testing.T) {
		p, o := kept(t)
		p.idp.Discovery(func(d map[string]any) { d["userinfo_endpoint"] = nil })
		p.must(t)
		p.idp.Reset()
		p.idp.Thin("email")
		p.clock.add(2 * time.Hour)
		p.must(t)
		p.counts(t, idptest.Userinfo, 1)
		o.waits(t, "")
		if got := o.events(t); got != "loaded applied" {
			t.Error(got)
		}
	})
	t.Run("OIDC-37 an endpoint that is new on a new host waits", func(t *testing.T) {
		p, o := kept(t)
		p.idp.Discovery(func(d map[string]any) { d["userinfo_endpoint"] = nil })
		p.must(t)
		p.moves(t, "userinfo_endpoint")
		if got := o.events(t); got != "loaded held" {
			t.Error(got)
		}
	})
	t.Run("an address of more than 2048 bytes is none", func(t *testing.T) {
		p, _ := kept(t)
		p.idp.Discovery(func(d map[string]any) { d["jwks_uri"] = p.idp.URL + "/" + strings.Repeat("x", 2048) })
		p.refused(t, failure.OIDCDiscovery)
	})
}

func TestADecisionOnAMove(t *testing.T) {
	t.Run("OIDC-37 accepted it serves from the next sign-in on, in every process", func(t *testing.T) {
		p, o := kept(t)
		p.must(t)
		p.moves(t, "authorization_endpoint")
		here := p.Provider
		p.restart(t, o)
		p.must(t)
		if _, err := o.Accept(t.Context(), p.serving, "", "cli:ann"); err != nil {
			t.Fatal(err)
		}
		for _, p.Provider = range append([]*oidcrp.Provider{here}, p.Provider) {
			address, err := p.Address(t.Context(), p.request())
			if err != nil || !strings.HasPrefix(address.URL, p.idp.Canary().URL+"/moved?") {
				t.Errorf("%v, %v", address, err)
			}
		}
		p.counts(t, idptest.Discovery, 2) // the second process has read none
		o.waits(t, "")
		if got := o.events(t); got != "loaded held accepted" {
			t.Error(got)
		}
	})
	t.Run("OIDC-37 rejected it does not serve and is not held again, unless a person asks", func(t *testing.T) {
		p, o := kept(t)
		p.must(t)
		p.moves(t, "token_endpoint")
		if _, err := o.Reject(t.Context(), p.serving, "cli:ann"); err != nil {
			t.Fatal(err)
		}
		p.restart(t, o)
		p.clock.add(2 * time.Hour)
		p.must(t)
		o.waits(t, "")
		if err := p.Rediscover(t.Context(), p.serving); err != nil {
			t.Fatal(err)
		}
		o.waits(t, "token_endpoint")
		p.must(t)
		if p.idp.Canary().Count() != 0 {
			t.Error("the new host was called")
		}
		if got := o.events(t); got != "loaded held rejected held" {
			t.Error(got)
		}
	})
	t.Run("the job that reads metadata leaves discovery alone", func(t *testing.T) {
		p, o := kept(t)
		p.must(t)
		p.clock.add(48 * time.Hour)
		if n, err := o.RefreshDue(t.Context()); n != 0 || err != nil {
			t.Error(n, err)
		}
	})
	t.Run("a provider that is silent after a restart is known for a day", func(t *testing.T) {
		p, o := kept(t)
		p.must(t)
		p.restart(t, o)
		p.idp.Replace(idptest.Discovery, down)
		p.clock.add(23 * time.Hour)
		p.must(t)
		p.clock.add(2 * time.Hour)
		p.refused(t, failure.OIDCDiscovery)
	})
}

func TestPinsOfAnotherConfiguration(t *testing.T) {
	t.Run("OIDC-37 a slash more in the issuer has the same document, which is read and refused", func(t *testing.T) {
		p, _ := kept(t)
		p.must(t)
		p.oidc().Issuer += "/"
		if f := p.refused(t, failure.OIDCIssuer); f.Facts["where"] != "discovery" {
			t.Errorf("%v", f.Facts)
		}
		p.counts(t, idptest.Discovery, 2)
	})
	t.Run("what was pinned and is not acceptable here is read again", func(t *testing.T) {
		p, o := kept(t)
		pin := connection.Discovered{Issuer: p.idp.URL, Endpoints: connection.OIDCEndpoints{Authorization: p.idp.URL + "/authorize?state=1", Token: p.idp.URL + "/token", JWKS: p.idp.URL + "/keys"}}
		if _, err := o.Settle(t.Context(), "corp", p.oidc().DiscoveryAddress(), pin, false); err != nil {
			t.Fatal(err)
		}
		p.must(t)
		p.counts(t, idptest.Discovery, 1)
	})
}

func TestPinsThatDoNotAnswer(t *testing.T) {
	t.Run("OIDC-37 what a process knows serves, nothing is read, and after a day it is over", func(t *testing.T) {
		p, o := kept(t)
		p.must(t)
		o.faults.Plan(faulttest.Fault{Method: "Find.current"})
		p.idp.Discovery(func(d map[string]any) { d["token_endpoint"] = p.idp.Canary().URL + "/moved" })
		p.clock.add(23 * time.Hour)
		p.must(t)
		p.counts(t, idptest.Discovery, 1)
		p.clock.add(2 * time.Hour)
		p.refused(t, failure.StoreUnavailable)
		if p.idp.Canary().Count() != 0 {
			t.Error("the new host was called")
		}
	})
	t.Run("OIDC-37 a process that knows nothing refuses", func(t *testing.T) {
		p, o := kept(t)
		p.must(t)
		p.restart(t, o)
		o.faults.Plan(faulttest.Fault{Method: "Find.current"})
		p.refused(t, failure.StoreUnavailable)
		p.counts(t, idptest.Discovery, 1)
	})
	for _, method := range []string{"Find.pending", "Refused", "Hold", "Checked"} {
		t.Run("OIDC-37 a move that cannot be held is not followed: "+method, func(t *testing.T) {
			p, o := kept(t)
			p.must(t)
			o.faults.Plan(faulttest.Fault{Method: method})
			p.moves(t, "token_endpoint")
			if p.idp.Canary().Count() != 0 || !strings.Contains(p.log.String(), "the last good one serves") {
				t.Error("the new host was called, or nothing is said")
			}
		})
	}
	t.Run("OIDC-37 a first document that cannot be pinned does not serve", func(t *testing.T) {
		p, o := kept(t)
		o.faults.Plan(faulttest.Fault{Method: "Begin"})
		p.refused(t, failure.StoreUnavailable)
	})
}
