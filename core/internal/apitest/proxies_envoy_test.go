// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/token"
)

// There is no Envoy where these tests run. What the sample says is read out of it and
// done by a few lines here; that Envoy reads the names alike is not tested.
type pxEnvoyFile struct {
	Static struct {
		Listeners []struct {
			Chains []struct {
				Filters []struct {
					Config pxManager `yaml:"typed_config"`
				} `yaml:"filters"`
			} `yaml:"filter_chains"`
		} `yaml:"listeners"`
	} `yaml:"static_resources"`
}

type pxManager struct {
	UseRemote   bool `yaml:"use_remote_address"`
	Normalize   bool `yaml:"normalize_path"`
	HTTPOptions struct {
		Underscores string `yaml:"headers_with_underscores_action"`
	} `yaml:"common_http_protocol_options"`
	Routes struct {
		Hosts []struct {
			Remove []string `yaml:"request_headers_to_remove"`
			Routes []struct {
				Match struct {
					Prefix string `yaml:"prefix"`
				} `yaml:"match"`
				Own map[string]pxFilter `yaml:"typed_per_filter_config"`
			} `yaml:"routes"`
		} `yaml:"virtual_hosts"`
	} `yaml:"route_config"`
	Filters []struct {
		Name   string   `yaml:"name"`
		Config pxFilter `yaml:"typed_config"`
	} `yaml:"http_filters"`
}

type pxMatch struct {
	Patterns []struct {
		Exact  string `yaml:"exact"`
		Prefix string `yaml:"prefix"`
	} `yaml:"patterns"`
}

func (m pxMatch) has(name string) bool {
	name = strings.ToLower(name)
	for _, p := range m.Patterns {
		if p.Exact == name || p.Prefix != "" && strings.HasPrefix(name, p.Prefix) {
			return true
		}
	}
	return false
}

type pxFilter struct {
	Mutations struct {
		Request []struct {
			Remove string `yaml:"remove"`
			Append struct {
				Header struct {
					Key   string `yaml:"key"`
					Value string `yaml:"value"`
				} `yaml:"header"`
				Action string `yaml:"append_action"`
			} `yaml:"append"`
		} `yaml:"request_mutations"`
	} `yaml:"mutations"`

	FailureAllowed bool `yaml:"failure_mode_allow"`
	StatusOnError  struct {
		Code string `yaml:"code"`
	} `yaml:"status_on_error"`
	Allowed pxMatch `yaml:"allowed_headers"`
	HTTP    struct {
		Prefix string `yaml:"path_prefix"`
		Ask    struct {
			Add []struct {
				Key   string `yaml:"key"`
				Value string `yaml:"value"`
			} `yaml:"headers_to_add"`
		} `yaml:"authorization_request"`
		Answer struct {
			Upstream pxMatch `yaml:"allowed_upstream_headers"`
			Client   pxMatch `yaml:"allowed_client_headers"`
		} `yaml:"authorization_response"`
	} `yaml:"http_service"`
}

// mutate does what the header_mutation filter does to a request.
func (f pxFilter) mutate(h http.Header) {
	for _, m := range f.Mutations.Request {
		if m.Remove != "" {
			h.Del(m.Remove)
		} else {
			h.Set(m.Append.Header.Key, m.Append.Header.Value)
		}
	}
}

func pxEnvoyManager(t testing.TB, key string) pxManager {
	t.Helper()
	var file pxEnvoyFile
	if err := yaml.Unmarshal([]byte(pxSample(t, "envoy.yaml", "${FORWARD_AUTH_KEY}", key)), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Static.Listeners) != 1 || len(file.Static.Listeners[0].Chains) != 1 || len(file.Static.Listeners[0].Chains[0].Filters) != 1 {
		t.Fatalf("%+v", file)
	}
	return file.Static.Listeners[0].Chains[0].Filters[0].Config
}

func TestEnvoySample(t *testing.T) {
	m := pxEnvoyManager(t, faKey)
	var names []string
	for _, f := range m.Filters {
		names = append(names, f.Name)
	}
	if want := []string{"envoy.filters.http.header_mutation", "envoy.filters.http.ext_authz", "envoy.filters.http.router"}; !slices.Equal(names, want) {
		t.Fatalf("filters %v", names)
	}
	strip, ask := m.Filters[0].Config, m.Filters[1].Config
	t.Run("API-33 every identity header of a client goes before core is asked", func(t *testing.T) {
		var removed []string
		for _, r := range strip.Mutations.Request {
			removed = append(removed, r.Remove)
		}
		for _, name := range append(slices.Clone(faHeaders), "X-Auth-Require-Scope", "X-Inner-Api-Key") {
			if !slices.Contains(removed, strings.ToLower(name)) {
				t.Errorf("%s stays", name)
			}
			if strings.HasPrefix(name, "X-Auth-") && !ask.HTTP.Answer.Upstream.has(name) {
				t.Errorf("core's %s is not handed on", name)
			}
		}
		if m.HTTPOptions.Underscores != "REJECT_REQUEST" || !m.UseRemote || !m.Normalize {
			t.Errorf("%+v", m.HTTPOptions)
		}
	})
	t.Run("API-33 every route asks for a scope that there is", func(t *testing.T) {
		scopes := []string{strip.Mutations.Request[len(strip.Mutations.Request)-1].Append.Header.Value}
		for _, r := range m.Routes.Hosts[0].Routes {
			own := r.Own["envoy.filters.http.header_mutation"].Mutations.Request
			if len(own) != 1 || own[0].Append.Header.Key != "x-auth-require-scope" || own[0].Append.Action != "OVERWRITE_IF_EXISTS_OR_ADD" {
				t.Fatalf("%s: %+v", r.Match.Prefix, own)
			}
			scopes = append(scopes, own[0].Append.Header.Value)
		}
		for _, s := range scopes {
			if !token.KnownScope(s) {
				t.Errorf("%q", s)
			}
		}
	})
	t.Run("API-33 an outage lets nobody pass and reads as one", func(t *testing.T) {
		if ask.FailureAllowed || ask.StatusOnError.Code != "ServiceUnavailable" || ask.HTTP.Prefix != faEnvoy || !ask.Allowed.has("X-Auth-Require-Scope") {
			t.Errorf("%+v", ask)
		}
	})
}

// pxEnvoy does what the sample says.
func pxEnvoy(t testing.TB, inner, api string) string {
	t.Helper()
	m := pxEnvoyManager(t, faKey)
	strip, f := m.Filters[0].Config, m.Filters[1].Config
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strip.mutate(r.Header)
		for _, route := range m.Routes.Hosts[0].Routes {
			if strings.HasPrefix(r.URL.Path, route.Match.Prefix) {
				route.Own["envoy.filters.http.header_mutation"].mutate(r.Header)
				break
			}
		}
		headers := []string{"Authorization", r.Header.Get("Authorization")}
		for name := range r.Header {
			if f.Allowed.has(name) {
				headers = append(headers, name, r.Header.Get(name))
			}
		}
		for _, add := range f.HTTP.Ask.Add {
			headers = append(headers, add.Key, add.Value)
		}
		verdict := faSend(t, inner, r.Method, f.HTTP.Prefix+r.RequestURI, headers...)
		switch {
		case verdict.Status >= 500:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case verdict.Status != http.StatusOK:
			for name, values := range verdict.Header {
				if f.HTTP.Answer.Client.has(name) {
					w.Header()[name] = values
				}
			}
			w.WriteHeader(verdict.Status)
			_, _ = io.WriteString(w, verdict.Body)
			return
		}
		onward, _ := http.NewRequestWithContext(r.Context(), r.Method, api+r.RequestURI, r.Body)
		onward.Header = r.Header.Clone()
		for name, values := range verdict.Header {
			if f.HTTP.Answer.Upstream.has(name) {
				onward.Header[name] = values
			}
		}
		for _, name := range m.Routes.Hosts[0].Remove {
			onward.Header.Del(name)
		}
		res, err := http.DefaultTransport.RoundTrip(onward)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = res.Body.Close() }()
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestExtAuthzAsTheSampleAsks(t *testing.T) {
	u := pxServe(t)
	s := apitest.Start(t, unlimited("bearer.token=3/1h"), faProxied)
	live, id := tkLogin(t, s, s.SignedIn(t), "laptop")
	gateway := pxEnvoy(t, s.Inner, u.URL)
	both := pxEnvoy(t, faStub(t), u.URL)
	ask := func(base, method, path string, headers ...string) apitest.Answer {
		return faSend(t, base, method, path, append(headers, "Connection", "close")...)
	}
	forged := []string{"X-Auth-Subject", "root", "X-Auth-Scopes", "root", "X-Auth-Require-Scope", "apps:run", "X-Inner-Api-Key", "root"}

	t.Run("API-33 the API learns who calls and reads nothing that a client made up", func(t *testing.T) {
		a := ask(gateway, "DELETE", "/v1//things/%2e?scope=nonsense", append(forged, "Authorization", "Bearer "+live)...)
		wantAnswer(t, a, 200, "")
		got := u.last(t)
		if faWho(got.header) != faIs(t, s, id) || got.method != "DELETE" || got.path != "/v1//things/%2e?scope=nonsense" {
			t.Fatalf("%+v", got)
		}
		for name, values := range got.header {
			if joined := strings.Join(values, ""); strings.Contains(joined, "root") || strings.Contains(joined, live) || strings.Contains(joined, faKey) {
				t.Errorf("%s reaches the API", name)
			}
		}
	})
	t.Run("API-33 missing, dead and used up", func(t *testing.T) {
		before := u.count()
		pxRefused(t, u, before, ask(gateway, "POST", "/v1", forged...), 401, "unauthorized", `Bearer realm="api"`)
		pxRefused(t, u, before, ask(gateway, "PUT", "/v1", append(forged, "Authorization", "Bearer "+unknownToken)...), 401, "invalid_token", `Bearer realm="api", error="invalid_token"`)
		for range 2 {
			wantAnswer(t, ask(gateway, "GET", "/v1", "Authorization", "Bearer "+live), 200, "")
		}
		a := ask(gateway, "GET", "/v1", "Authorization", "Bearer "+live)
		pxRefused(t, u, before+2, a, 429, "too_many_requests", "")
		tkRefusedBy(t, a, "3")
	})
	t.Run("API-33 the gateway's scope and not the client's", func(t *testing.T) {
		wantAnswer(t, ask(both, "GET", "/v1", append(forged, "Authorization", "Bearer "+faExternal)...), 200, "")
		before := u.count()
		a := ask(both, "GET", "/workspace/1", append(forged, "Authorization", "Bearer "+faExternal)...)
		pxRefused(t, u, before, a, 403, "insufficient_scope", `Bearer realm="api", error="insufficient_scope", scope="workspace:read"`)
		if a := ask(both, "GET", "/v1", "Authorization", "Bearer "+faOdd); a.Status != 503 || u.count() != before {
			t.Fatalf("%d", a.Status)
		}
	})
}
