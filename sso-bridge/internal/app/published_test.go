// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idptest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

// rootOf gives the certificate with which a provider serves.
func rootOf(t *testing.T, p *idptest.Provider) string {
	t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(p.URL, "https://"), &tls.Config{RootCAs: p.Roots()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.ConnectionState().PeerCertificates[0].Raw}))
}

func TestCommandsOnADiscoveryDocument(t *testing.T) {
	idp := idptest.New(t)
	base := given(t)
	base["EGRESS_ALLOW"], base["EGRESS_CA_FILE"] = "127.0.0.1", filepath.Join(t.TempDir(), "roots.pem")
	write(t, base["EGRESS_CA_FILE"], rootOf(t, idp), 0o600)
	base["CONNECTIONS_FILE"] = filepath.Join(t.TempDir(), "connections.yaml")
	write(t, base["CONNECTIONS_FILE"], `version: 1
connections:
  - id: corp
    name: Corp
    preset: generic-oidc
    intents: [device_flow]
    domains: [corp.example]
    enable: force
    reason: a test
    oidc: { issuer: "`+idp.URL+`", client_id: dify-sso, client_secret: secret }
`, 0o600)
	s, err := load(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), s, app.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	if err := a.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	by, ref := a.Operator.As(audit.Caller{User: "ann"}), operator.MetadataRef{ID: "corp"}

	t.Run("nothing was read yet, and refresh pins", func(t *testing.T) {
		m, err := by.Metadata(t.Context(), ref)
		if err != nil || m.Current != nil || m.Source != idp.URL+"/.well-known/openid-configuration" {
			t.Errorf("%+v, %v", m, err)
		}
		m, err = by.RefreshMetadata(t.Context(), ref)
		if err != nil || m.Current == nil || m.Current.Issuer != idp.URL || !strings.HasPrefix(m.Current.Endpoints.Token, idp.URL) || m.Pending != nil {
			t.Errorf("%+v, %v", m, err)
		}
	})
	t.Run("OIDC-37 a move waits, and serves once it is accepted", func(t *testing.T) {
		there := idp.Canary().URL + "/moved"
		idp.Discovery(func(d map[string]any) { d["token_endpoint"] = there })
		m, err := by.RefreshMetadata(t.Context(), ref)
		if err != nil || m.Pending == nil || m.Pending.Endpoints.Token != there || m.Current.Endpoints.Token == there || len(m.Changes) != 1 || !m.Changes[0].Destructive {
			t.Fatalf("%+v, %v", m, err)
		}
		m, err = by.AcceptMetadata(t.Context(), ref)
		if err != nil || m.Pending != nil || m.Current.Endpoints.Token != there || m.Current.DecidedBy != "cli:ann" {
			t.Errorf("%+v, %v", m, err)
		}
		if _, err := by.AcceptMetadata(t.Context(), ref); !errors.Is(err, idpsource.ErrNotPending) {
			t.Error(err)
		}
	})
	t.Run("a document that cannot be read is said why", func(t *testing.T) {
		idp.Replace(idptest.Discovery, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
		_, err := by.RefreshMetadata(t.Context(), ref)
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || !errors.Is(err, idpsource.ErrUnreachable) || len(f.Details()) != 1 || !strings.Contains(f.Details()[0].Msg, "status: 404.") {
			t.Errorf("%v", err)
		}
	})
}
