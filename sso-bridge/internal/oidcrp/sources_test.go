// SPDX-License-Identifier: Apache-2.0

package oidcrp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idptest"
)

func (p *party) counts(t testing.TB, e idptest.Endpoint, want int) {
	t.Helper()
	if got := p.idp.Count(e); got != want {
		t.Errorf("%s was read %d times, want %d", e, got, want)
	}
}

func down(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }

func TestDiscoveryIsRemembered(t *testing.T) {
	p := newParty(t)
	t.Run("OIDC-37 read at the first login, kept for an hour", func(t *testing.T) {
		p.counts(t, idptest.Discovery, 0)
		p.must(t)
		p.must(t)
		p.clock.add(59 * time.Minute)
		p.must(t)
		p.counts(t, idptest.Discovery, 1)
		p.clock.add(2 * time.Minute)
		p.must(t)
		p.counts(t, idptest.Discovery, 2)
	})
	t.Run("OIDC-37 the last good one serves for a day while it cannot be read", func(t *testing.T) {
		p.idp.Replace(idptest.Discovery, down)
		p.clock.add(2 * time.Hour)
		p.must(t)
		p.must(t) // and the provider is not asked at every login
		p.counts(t, idptest.Discovery, 3)
		p.clock.add(21*time.Hour + 50*time.Minute)
		p.must(t)
		p.clock.add(20 * time.Minute)
		p.refused(t, failure.OIDCDiscovery)
		p.idp.Reset()
		p.must(t)
	})
	t.Run("OIDC-37 a document of another issuer does not take the place of the last good one", func(t *testing.T) {
		p.idp.Discovery(func(d map[string]any) { d["issuer"] = "https://evil.example"; d["token_endpoint"] = p.idp.Canary().URL })
		p.clock.add(2 * time.Hour)
		p.must(t)
		if p.idp.Canary().Count() != 0 {
			t.Error("the other document's endpoint was called")
		}
		if !strings.Contains(p.log.String(), string(failure.OIDCIssuer)) {
			t.Error("nothing in the log says why")
		}
	})
	t.Run("logins that begin at once share one call", func(t *testing.T) {
		p := newParty(t)
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() {
				if _, err := p.Address(context.Background(), p.request()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if n := p.idp.Count(idptest.Discovery); n >= 20 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestKeys(t *testing.T) {
	t.Run("SSO-70 OIDC-06 fifty unknown kids are one fetch in thirty seconds", func(t *testing.T) {
		p := newParty(t)
		n := 0
		p.idp.Token(func(tok *idptest.Token) { n++; tok.Header["kid"] = fmt.Sprintf("unknown-%d", n) })
		for range 50 {
			f := p.refused(t, failure.OIDCSignature)
			if f.Facts["keys"] != "1" || !strings.HasPrefix(f.Facts["kid"], "unknown-") {
				t.Fatalf("%v", f.Facts)
			}
		}
		p.counts(t, idptest.JWKS, 1)
		p.clock.add(31 * time.Second)
		for range 10 {
			p.refused(t, failure.OIDCSignature)
		}
		p.counts(t, idptest.JWKS, 2)
		p.idp.Reset()
		p.must(t)
		p.counts(t, idptest.JWKS, 2)
	})
	t.Run("SSO-70 OIDC-29 a key rotated just before signing is read once", func(t *testing.T) {
		p := newParty(t)
		p.must(t)
		p.clock.add(time.Minute)
		p.idp.SignWith(idptest.EC("ec-1"))
		p.must(t)
		p.must(t)
		p.counts(t, idptest.JWKS, 2)
		p.clock.add(time.Minute)
		p.idp.SignWith(idptest.Ed("ed-1"))
		p.must(t)
		p.counts(t, idptest.JWKS, 3)
	})
	t.Run("SSO-70 OIDC-29 a withdrawn key is dead in fifteen minutes", func(t *testing.T) {
		p := newParty(t)
		p.must(t)
		p.idp.Withdraw("rsa-1")
		p.clock.add(14 * time.Minute)
		p.must(t)
		p.clock.add(2 * time.Minute)
		p.refused(t, failure.OIDCSignature)
	})
	t.Run("OIDC-29 a set that cannot be read again is not used beyond its life", func(t *testing.T) {
		p := newParty(t)
		p.must(t)
		p.idp.Replace(idptest.JWKS, down)
		p.clock.add(14 * time.Minute)
		p.must(t)
		p.clock.add(2 * time.Minute)
		p.refused(t, failure.OIDCKeys)
		p.idp.Reset()
		p.must(t)
	})
	t.Run("OIDC-04 without kid every key of the type is tried", func(t *testing.T) {
		p := newParty(t)
		p.idp.SignWith(idptest.EC("ec-1"))
		p.idp.SignWith(idptest.EC("ec-2"))
		p.idp.Token(func(tok *idptest.Token) { delete(tok.Header, "kid") })
		p.must(t)
	})
	for _, algorithm := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		t.Run("OIDC-01 "+algorithm+" when the connection takes it", func(t *testing.T) {
			p := newParty(t)
			k := idptest.RSA()
			k.Algorithm, k.ID = algorithm, algorithm
			p.idp.SignWith(k)
			p.oidc().Algorithms = []string{algorithm, "HS256", "none"}
			p.must(t)
			for _, never := range []string{"HS256", "none"} {
				p.idp.Reset()
				p.idp.Token(func(tok *idptest.Token) { tok.Header["alg"], tok.Secret = never, []byte(idptest.ClientSecret) })
				p.refused(t, failure.OIDCAlgorithm)
			}
		})
	}
}

func TestProviderThatFails(t *testing.T) {
	t.Run("OIDC-33 five failures open the circuit of this connection alone", func(t *testing.T) {
		p := newParty(t)
		p.must(t)
		p.idp.Replace(idptest.TokenEndpoint, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		for range egress.CircuitFailures {
			if f := p.refused(t, failure.TokenEndpoint); f.Public != ssocode.ProviderSilent || f.Facts["status"] != "502" {
				t.Fatalf("%+v", f)
			}
		}
		calls := p.idp.Count(idptest.TokenEndpoint)
		if f := p.refused(t, failure.ProviderCircuitOpen); f.Public != ssocode.ProviderSilent || f.Facts["host"] != "127.0.0.1" {
			t.Errorf("%+v", f)
		}
		p.counts(t, idptest.TokenEndpoint, calls)
		p.idp.Reset()
		other := *p
		other.serving.ID = "other"
		other.must(t)
		p.clock.add(egress.CircuitOpen)
		p.must(t)
	})
	t.Run("OIDC-33 a person who cancels opens no circuit", func(t *testing.T) {
		p := newParty(t)
		p.idp.Replace(idptest.TokenEndpoint, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
		for range 2 * egress.CircuitFailures {
			p.refused(t, failure.TokenEndpoint)
		}
	})
	t.Run("OIDC-33 no goroutine is left", func(t *testing.T) {
		p := newParty(t, func(o *egress.Options) { o.Total = 50 * time.Millisecond })
		stuck := make(chan struct{})
		p.idp.Replace(idptest.Discovery, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-stuck:
			case <-r.Context().Done():
			}
		})
		before := runtime.NumGoroutine()
		for range 3 {
			if _, err := p.Address(t.Context(), p.request()); codeOf(err) != failure.ProviderUnreachable || failure.Of(err).Facts["phase"] != "timeout" {
				t.Fatal(err)
			}
		}
		close(stuck)
		for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+4; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			}
		}
	})
	t.Run("OIDC-33 whoever stops waiting gets an answer", func(t *testing.T) {
		p := newParty(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Address(ctx, p.request()); err != nil && codeOf(err) != failure.ProviderUnreachable {
			t.Error(err)
		}
	})
}

func TestHostileTransport(t *testing.T) {
	drip := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond) // the slowness of the provider
		}
	}
	away := func(status int, p *party) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, p.idp.Canary().URL, status) }
	}
	for _, tc := range []struct {
		name  string
		arm   func(*party)
		want  failure.Code
		cause string
	}{
		{"SSO-69 307 at the token endpoint", func(p *party) {
			p.idp.Replace(idptest.TokenEndpoint, away(http.StatusTemporaryRedirect, p))
		}, failure.TokenEndpoint, "redirect"},
		{"SSO-69 302 at discovery", func(p *party) { p.idp.Replace(idptest.Discovery, away(http.StatusFound, p)) }, failure.OIDCDiscovery, "redirect"},
		{"SSO-69 200 MB of keys", func(p *party) { p.idp.Replace(idptest.JWKS, huge) }, failure.OIDCKeys, "too_large"},
		{"SSO-69 OIDC-07 discovery drips", func(p *party) { p.idp.Replace(idptest.Discovery, drip) }, failure.ProviderUnreachable, "timeout"},
		{"SSO-69 OIDC-07 keys drip", func(p *party) { p.idp.Replace(idptest.JWKS, drip) }, failure.ProviderUnreachable, "timeout"},
		{"SSO-69 OIDC-07 the token answer drips", func(p *party) { p.idp.Replace(idptest.TokenEndpoint, drip) }, failure.TokenEndpoint, "timeout"},
		{"SSO-69 a gzip bomb", func(p *party) {
			p.idp.Replace(idptest.Discovery, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Encoding", "gzip")
			})
		}, failure.OIDCDiscovery, "encoding"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newParty(t, func(o *egress.Options) {
				if tc.cause == "timeout" {
					o.Total = time.Second // of the five; the calls before the slow one need some too
				}
			})
			tc.arm(p)
			f := p.refused(t, tc.want)
			cause := f.Facts["phase"]
			if tc.want == failure.TokenEndpoint {
				cause = f.Facts["cause"]
			}
			if f.Public != ssocode.ProviderSilent || cause != tc.cause {
				t.Errorf("%q with %v", f.Public, f.Facts)
			}
			if p.idp.Canary().Count() != 0 {
				t.Error("a redirect was followed")
			}
			if n := p.idp.Count(idptest.TokenEndpoint); n > 1 {
				t.Errorf("the code was sent %d times", n)
			}
		})
	}
	for _, allow := range [][]string{nil, {"10.0.0.0/8"}} {
		t.Run("SSO-69 OIDC-08 a name that means 127.0.0.1", func(t *testing.T) {
			p := newParty(t, func(o *egress.Options) { o.Allow, o.Resolver = allow, loopback{} })
			port := p.idp.URL[strings.LastIndex(p.idp.URL, ":"):]
			p.oidc().Issuer = "https://idp.example" + port
			_, err := p.Address(t.Context(), p.request())
			if f := failure.Of(err); f.Code != failure.ProviderUnreachable || f.Public != ssocode.ProviderSilent || f.Facts["phase"] != "refused" {
				t.Errorf("%v %v", err, f.Facts)
			}
			p.counts(t, idptest.Discovery, 0)
		})
	}
	t.Run("SSO-69 OIDC-08 an issuer in a private network", func(t *testing.T) {
		p := newParty(t)
		for _, issuer := range []string{"https://10.0.0.1", "https://169.254.169.254", "http://idp.example", "https://[::1]"} {
			p.oidc().Issuer = issuer
			if _, err := p.Address(t.Context(), p.request()); codeOf(err) != failure.ProviderUnreachable || failure.Of(err).Facts["phase"] != "refused" {
				t.Errorf("%s: %v", issuer, err)
			}
		}
	})
	t.Run("OIDC-07 what is read of 200 MB", func(t *testing.T) {
		p := newParty(t)
		var written atomic.Int64
		p.idp.Replace(idptest.Discovery, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for written.Load() < 200<<20 && r.Context().Err() == nil {
				n, err := w.Write(make([]byte, 1<<15))
				written.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
		p.refused(t, failure.OIDCDiscovery)
		// Beside the limit of 1 MiB there are the buffers of two sockets.
		if n := written.Load(); n > 16<<20 {
			t.Errorf("%d bytes left the provider", n)
		}
	})
}

// huge announces its length.
func huge(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "200000000")
	_, _ = w.Write(make([]byte, 1<<16))
}

type loopback struct{}

func (loopback) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}
