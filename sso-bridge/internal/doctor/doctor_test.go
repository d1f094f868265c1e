// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/doctor"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	examine "github.com/dify-sso/dify-sso/sso-bridge/internal/doctor"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

const canary = "kanarie"

// provider answers by path; who is not there is an error of the guard.
type provider map[string]any

func (p provider) Get(_ context.Context, address string, _ http.Header) (egress.Response, error) {
	switch said := p[strings.TrimPrefix(address, "https://idp.example.com")].(type) {
	case string:
		return egress.Response{Status: http.StatusOK, Body: []byte(said), Date: time.Now()}, nil
	case int:
		return egress.Response{Status: said, Body: []byte(canary)}, nil
	case time.Time:
		return egress.Response{Status: http.StatusOK, Body: []byte("x"), Date: said}, nil
	case error:
		return egress.Response{}, said
	}
	return egress.Response{}, errors.New(canary)
}

func oidc(change ...func(c *operator.Connection)) operator.Connection {
	c := operator.Connection{Document: connection.Document{ID: "okta", Name: "Okta", State: connection.Enabled}}
	c.Head.Config.OIDC = &connection.OIDCConfig{Issuer: "https://idp.example.com"}
	for _, f := range change {
		f(&c)
	}
	return c
}

func saml(change ...func(c *operator.Connection)) operator.Connection {
	c := oidc(change...)
	c.Head.Config.OIDC, c.Head.Config.SAML = nil, &connection.SAMLConfig{MetadataURL: "https://idp.example.com/metadata"}
	return c
}

func failed(phase egress.Phase) error { return &egress.Error{Phase: phase, Host: canary} }

func TestProviders(t *testing.T) {
	const discovery = "/.well-known/openid-configuration"
	now := time.Now()
	certified := func(end time.Time, key time.Time) func(c *operator.Connection) {
		return func(c *operator.Connection) {
			c.SAML = &operator.SAML{Keys: []operator.SigningKey{{State: "current", NotAfter: key}}}
			c.SAML.Provider.Current = &operator.Facts{}
			certificate(c, &end)
		}
	}
	good := provider{discovery: `{"jwks_uri":"https://idp.example.com/keys"}`, "/keys": `{"keys":[{}]}`, "/metadata": "x", "/token": 405}
	with := func(path string, said any) provider {
		p := provider{}
		for k, v := range good {
			p[k] = v
		}
		p[path] = said
		return p
	}
	for name, tc := range map[string]struct {
		c     operator.Connection
		p     provider
		id    string
		want  doctor.Status
		words string
	}{
		"discovery":                  {oidc(), good, examine.ProviderReachable, doctor.OK, "discovery document can be read"},
		"its keys":                   {oidc(), good, examine.ProviderKeys, doctor.OK, "keys can be read"},
		"its clock":                  {oidc(), with("/keys", 500), doctor.Clock, doctor.OK, "agrees"},
		"a clock that is wrong":      {saml(), with("/metadata", now.Add(-time.Hour)), doctor.Clock, doctor.Fail, "behind"},
		"no discovery document":      {oidc(), with(discovery, "<html>"), examine.ProviderReachable, doctor.Fail, "no discovery document"},
		"an error in its place":      {oidc(), with(discovery, 404), examine.ProviderReachable, doctor.Fail, "answers with an error"},
		"no keys":                    {oidc(), with("/keys", `{"keys":[]}`), examine.ProviderKeys, doctor.Fail, "holds no keys"},
		"keys that are an error":     {oidc(), with("/keys", 500), examine.ProviderKeys, doctor.Fail, "answers with an error"},
		"a name that is not known":   {oidc(), with(discovery, failed(egress.DNS)), examine.ProviderReachable, doctor.Fail, "does not resolve"},
		"the guard":                  {oidc(), with(discovery, failed(egress.Refused)), examine.ProviderReachable, doctor.Fail, "egress guard"},
		"no connection":              {oidc(), with(discovery, failed(egress.Connect)), examine.ProviderReachable, doctor.Fail, "nothing takes the connection"},
		"TLS":                        {oidc(), with(discovery, failed(egress.TLS)), examine.ProviderReachable, doctor.Fail, "TLS with it fails"},
		"silence":                    {oidc(), with(discovery, failed(egress.Timeout)), examine.ProviderReachable, doctor.Fail, "in time"},
		"a redirect":                 {oidc(), with(discovery, failed(egress.Redirect)), examine.ProviderReachable, doctor.Fail, "elsewhere"},
		"too much":                   {oidc(), with(discovery, failed(egress.TooLarge)), examine.ProviderReachable, doctor.Fail, "too_large"},
		"what is no error of egress": {oidc(), with(discovery, nil), examine.ProviderReachable, doctor.Fail, "the call has failed"},
		"one that is not enabled":    {oidc(func(c *operator.Connection) { c.State = connection.Draft }), with(discovery, failed(egress.DNS)), examine.ProviderReachable, doctor.Warn, "does not resolve"},
		"one that is disabled":       {oidc(func(c *operator.Connection) { c.State = connection.Disabled }), good, examine.ProviderReachable, doctor.Skipped, "disabled"},
		"what show warns of":         {oidc(func(c *operator.Connection) { c.Warnings = []string{"The head does not serve."} }), good, examine.ProviderSetUp, doctor.Warn, "head does not serve"},
		"metadata":                   {saml(), good, examine.ProviderReachable, doctor.OK, "metadata answers"},
		"metadata that is an error":  {saml(), with("/metadata", 403), examine.ProviderReachable, doctor.Fail, "answers with an error"},
		"certificates":               {saml(certified(now.Add(90*24*time.Hour), now.Add(90*24*time.Hour))), good, examine.ProviderCertificate, doctor.OK, "good until"},
		"the provider's end soon":    {saml(certified(now.Add(29*24*time.Hour), now.Add(90*24*time.Hour))), good, examine.ProviderCertificate, doctor.Warn, "of the provider ends on"},
		"the provider's has ended":   {saml(certified(now.Add(-time.Hour), now.Add(90*24*time.Hour))), good, examine.ProviderCertificate, doctor.Fail, "of the provider ended on"},
		"our key ends soon":          {saml(certified(now.Add(90*24*time.Hour), now.Add(59*24*time.Hour))), good, examine.ProviderCertificate, doctor.Warn, "our key"},
		"endpoints that were named": {oidc(func(c *operator.Connection) {
			c.Head.Config.OIDC.Endpoints = &connection.OIDCEndpoints{Token: "https://idp.example.com/token", JWKS: "https://idp.example.com/keys"}
		}), good, examine.ProviderReachable, doctor.OK, "token endpoint answers"},
		"a token endpoint is an error": {oidc(func(c *operator.Connection) {
			c.Head.Config.OIDC, c.Head.Config.OAuth2 = nil, &connection.OAuth2Config{TokenURL: "https://idp.example.com/token"}
		}), with("/token", 502), examine.ProviderReachable, doctor.Fail, "answers with an error"},
		"by hand": {oidc(func(c *operator.Connection) { c.Head.Config.OIDC, c.Head.Config.SAML = nil, &connection.SAMLConfig{} }), good, examine.ProviderReachable, doctor.Skipped, "by hand"},
	} {
		t.Run(name, func(t *testing.T) {
			found := examine.Providers(t.Context(), operator.Connections{Data: []operator.Connection{tc.c}}, tc.p, now)
			says(t, found, tc.id, tc.want, tc.words)
			if strings.Contains(fmt.Sprint(found), canary) {
				t.Errorf("PPL-12 what the other side has said is repeated: %+v", found)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		says(t, examine.Providers(t.Context(), operator.Connections{}, good, now), examine.ProviderReachable, doctor.Skipped, "no connections yet")
	})
	t.Run("more than are called", func(t *testing.T) {
		many := operator.Connections{}
		for range 51 {
			many.Data = append(many.Data, saml())
		}
		says(t, examine.Providers(t.Context(), many, good, now), examine.ProviderReachable, doctor.Skipped, "more connections")
	})
}

// certificate gives the provider of a connection one that ends.
func certificate(c *operator.Connection, end *time.Time) {
	c.SAML.Provider.Current.Certificates = append(c.SAML.Provider.Current.Certificates, operator.Certificate{NotAfter: end})
}

func says(t *testing.T, found []doctor.Finding, id string, want doctor.Status, words string) {
	t.Helper()
	seen := false
	for _, f := range found {
		seen = seen || f.Check == id && f.Status == want && strings.Contains(f.Text, words)
		if !slices.ContainsFunc(examine.Catalogue(), func(e doctor.Entry) bool { return e.ID == f.Check }) {
			t.Errorf("%q is no check of the catalogue", f.Check)
		}
		if f.Text == "" || (f.Status == doctor.Warn || f.Status == doctor.Fail) != (f.Next != "") {
			t.Errorf("no sentence, or nothing to do next: %+v", f)
		}
	}
	if !seen {
		t.Errorf("no %s that is %s and says %q in %+v", id, want, words, found)
	}
}

func TestStoresApart(t *testing.T) {
	says(t, examine.Apart(false, false), examine.StoresApart, doctor.OK, "no rights")
	says(t, examine.Apart(true, false), examine.StoresApart, doctor.Warn, "SQL role")
	says(t, examine.Apart(false, true), examine.StoresApart, doctor.Warn, "Redis user")
	says(t, examine.Apart(true, true), examine.StoresApart, doctor.Warn, "is core.")
}

func TestRefusalsOfTheBridge(t *testing.T) {
	for body, want := range map[string]bool{`{"code":"not_found","message":"x","status":404}`: true, `{"code":"x","status":400}`: false, `<html>`: false, `{}`: false} {
		if examine.IsRefusal(http.StatusNotFound, []byte(body)) != want {
			t.Error(body)
		}
	}
	if examine.IsRefusal(http.StatusOK, []byte(`{"code":"x","status":200}`)) {
		t.Error("an answer that refuses nothing is taken")
	}
}

// A real call through the guard: loopback is not called unless it is allowed.
func TestThroughTheGuard(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	c := saml(func(*operator.Connection) {})
	c.Head.Config.SAML.MetadataURL = s.URL
	for allow, words := range map[string]string{"": "egress guard", "127.0.0.1": "answers with an error"} {
		o := egress.Options{Now: time.Now}
		if allow != "" {
			o.Allow = []string{allow}
		}
		client, err := egress.New(o)
		if err != nil {
			t.Fatal(err)
		}
		says(t, examine.Providers(t.Context(), operator.Connections{Data: []operator.Connection{c}}, client, time.Now()), examine.ProviderReachable, doctor.Fail, words)
		client.Close()
	}
}

// The reference of an operator has every check, by its id.
func TestTheDoctorsPageIsWhole(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "operating", "doctor.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range examine.Catalogue() {
		if !strings.Contains(string(page), "| `"+e.ID+"` | "+e.What+" |") {
			t.Errorf("docs/operating/doctor.md lacks the row | `%s` | %s |", e.ID, e.What)
		}
	}
}
