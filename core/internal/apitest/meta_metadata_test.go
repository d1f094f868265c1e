// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
)

const (
	mtServer   = "/.well-known/oauth-authorization-server"
	mtResource = "/.well-known/oauth-protected-resource"
	mtAPI      = "/openapi/v1"
	mtContext  = "/openapi/v1/oauth/device/approval-context"
	mtCSRF     = "/console/api/csrf-token"
)

func TestMetadata(t *testing.T) {
	const https = "https://sso.example.com"
	loopback := apitest.Start(t, unlimited())
	servers := map[string]*apitest.Server{loopback.URL: loopback, https: apitest.Start(t, unlimited(), apitest.Set("CONSOLE_API_URL", https))}
	for public, s := range servers {
		for _, path := range []string{"", mtAPI} {
			t.Run("M-13 "+path+" of "+strings.SplitN(public, ":", 2)[0], func(t *testing.T) {
				want := strings.ReplaceAll(`{"issuer":"<public>`+path+`","device_authorization_endpoint":"<public>/openapi/v1/oauth/device/code",`+
					`"token_endpoint":"<public>/openapi/v1/oauth/device/token","introspection_endpoint":"<public>/openapi/v1/oauth/introspect",`+
					`"revocation_endpoint":"<public>/openapi/v1/oauth/revoke","grant_types_supported":["urn:ietf:params:oauth:grant-type:device_code"],`+
					`"response_types_supported":[],"scopes_supported":["full"],"token_endpoint_auth_methods_supported":["none"],`+
					`"revocation_endpoint_auth_methods_supported":["none"],"introspection_endpoint_auth_methods_supported":["client_secret_basic"],`+
					`"ui_locales_supported":["en","zh-Hans"]}`, "<public>", public)
				mtDocument(t, s, mtServer+path, want)
			})
			t.Run("M-14 "+path+" of "+strings.SplitN(public, ":", 2)[0], func(t *testing.T) {
				mtDocument(t, s, mtResource+path, `{"resource":"`+public+path+`","authorization_servers":["`+public+path+`"],"scopes_supported":["full"],`+
					`"bearer_methods_supported":["header"],"resource_name":"dify-sso"}`)
			})
		}
		for _, presented := range []string{"", "Bearer garbage", "Basic eDp5"} {
			t.Run("M-14 a 401 of each bearer route points to them: "+presented, func(t *testing.T) {
				want := `Bearer realm="api", resource_metadata="` + public + `/.well-known/oauth-protected-resource/openapi/v1"`
				if strings.HasPrefix(presented, "Bearer") {
					want += `, error="invalid_token"`
				}
				for _, route := range httpapi.Routes() {
					if route.Caller != "bearer" {
						continue
					}
					a := s.Call(t, route.Method, htPath(route.Path), "", "Authorization", presented, "Host", "evil.example")
					if got := a.Header.Get("WWW-Authenticate"); a.Status != http.StatusUnauthorized || got != want {
						t.Errorf("%s %s: %d %s", route.Method, route.Path, a.Status, got)
					}
				}
			})
		}
	}
	t.Run("M-13 M-14 no other address has a document", func(t *testing.T) {
		for _, path := range []string{mtServer + "/", mtServer + "/openapi", mtServer + "/openapi/v1/", mtResource + "/x", "/.well-known/openid-configuration", "/.well-known/", mtAPI + mtServer} {
			wantAnswer(t, loopback.Call(t, http.MethodGet, path, ""), http.StatusNotFound, "not_found")
		}
	})
}

// mtDocument wants a body byte for byte, which others may keep for five minutes.
func mtDocument(t *testing.T, s *apitest.Server, path, want string) {
	t.Helper()
	for _, authorization := range []string{"", "Bearer garbage"} {
		a := s.Call(t, http.MethodGet, path, "", "Authorization", authorization)
		if a.Status != http.StatusOK || a.Body != want {
			t.Errorf("%d\n%s instead of\n%s", a.Status, a.Body, want)
		}
		h := a.Header
		if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "public, max-age=300" || h.Get("Pragma") != "" || len(a.Cookies) > 0 || h.Get("Vary") != "" {
			t.Errorf("%v", h)
		}
	}
}

var mtPointer = regexp.MustCompile(`resource_metadata="([^"]+)"`)

// A client that knows one address of the API learns the rest, and logs in.
func TestAClientThatLearnsFromMetadata(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited(), oaClients)
	b := s.SignedIn(t)
	learn := func(t *testing.T, address string, into any) {
		t.Helper()
		if !strings.HasPrefix(address, s.URL+"/") {
			t.Fatalf("led to %s", address)
		}
		a := s.Call(t, http.MethodGet, strings.TrimPrefix(address, s.URL), "")
		if err := json.Unmarshal([]byte(a.Body), into); err != nil || a.Status != http.StatusOK {
			t.Fatalf("%s: %d %v", address, a.Status, err)
		}
	}
	t.Run("M-25 M-13 M-14 golang.org/x/oauth2 is configured by a 401 alone", func(t *testing.T) {
		refused := s.Call(t, http.MethodGet, htAccount, "")
		pointer := mtPointer.FindStringSubmatch(refused.Header.Get("WWW-Authenticate"))
		if pointer == nil {
			t.Fatalf("%v", refused.Header)
		}
		var resource struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
		}
		learn(t, pointer[1], &resource)
		// RFC 9728 section 3.3: what was asked has to be below what is described.
		if !strings.HasPrefix(s.URL+htAccount, resource.Resource+"/") || len(resource.Servers) != 1 {
			t.Fatalf("%+v", resource)
		}
		issuer, err := url.Parse(resource.Servers[0])
		if err != nil {
			t.Fatal(err)
		}
		var server struct {
			Issuer     string   `json:"issuer"`
			Device     string   `json:"device_authorization_endpoint"`
			Token      string   `json:"token_endpoint"`
			Introspect string   `json:"introspection_endpoint"`
			Revoke     string   `json:"revocation_endpoint"`
			Grants     []string `json:"grant_types_supported"`
			Auth       []string `json:"token_endpoint_auth_methods_supported"`
		}
		// RFC 8414 section 3.1: between the host and the path of the issuer.
		learn(t, issuer.Scheme+"://"+issuer.Host+mtServer+issuer.Path, &server)
		if server.Issuer != resource.Servers[0] || !slices.Equal(server.Auth, []string{"none"}) || !slices.Contains(server.Grants, grantType) {
			t.Fatalf("%+v", server)
		}
		// The method "none" is a client id in the form (RFC 6749 section 2.3.1).
		cfg := &oauth2.Config{ClientID: "difyctl", Endpoint: oauth2.Endpoint{DeviceAuthURL: server.Device, TokenURL: server.Token, AuthStyle: oauth2.AuthStyleInParams}}
		da, err := cfg.DeviceAuth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		allow(t, b, apitest.Codes{User: da.UserCode})
		da.Interval = 1
		token, err := cfg.DeviceAccessToken(t.Context(), da)
		if err != nil || !token.Valid() || time.Until(token.Expiry) < 13*24*time.Hour {
			t.Fatalf("%v", err)
		}
		res, err := cfg.Client(t.Context(), token).Get(s.URL + htAccount)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("the token is served with %s", res.Status)
		}
		form := url.Values{"token": {token.AccessToken}}
		introspect, revoke := strings.TrimPrefix(server.Introspect, s.URL), strings.TrimPrefix(server.Revoke, s.URL)
		if a := s.Form(t, introspect, form, oaBasic("gateway", oaSecret)...); a.JSON(t)["active"] != true {
			t.Fatalf("introspection: %s", a.Body)
		}
		wantAnswer(t, s.Form(t, revoke, form), http.StatusOK, "")
		oaWantInactive(t, s.Form(t, introspect, form, oaBasic("gateway", oaSecret)...))
	})
}
