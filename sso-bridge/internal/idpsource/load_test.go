// SPDX-License-Identifier: Apache-2.0

package idpsource_test

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
)

func TestFirstLoad(t *testing.T) {
	t.Run("SSO-82 the first document is pinned and claims its entity id", func(t *testing.T) {
		w := newWorld(t)
		facts, digest := w.load()
		if facts.EntityID != entityID || len(facts.Certificates) != 2 || digest != facts.Digest() {
			t.Errorf("%+v", facts)
		}
		w.load()
		if w.idp.fetches() != 1 || w.events() != "loaded" || w.fieldOf("loaded", "entity_id") != entityID {
			t.Errorf("%d fetches, %s", w.idp.fetches(), w.events())
		}
		var owner string
		if err := w.d.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) (err error) {
			owner, err = tx.IssuerOwner(ctx, entityID)
			return err
		}); err != nil || owner != "corp" {
			t.Errorf("the issuer belongs to %q, %v", owner, err)
		}
	})
	t.Run("what is configured is not fetched", func(t *testing.T) {
		w := newWorld(t)
		typed := idpmetadata.IdP{EntityID: "https://typed.example", Post: "https://typed.example/sso", Certificates: []string{certificate("a", 3)}}
		c := w.connection("other", connection.SAMLConfig{IdP: &typed})
		facts, digest, err := w.Load(t.Context(), c)
		if err != nil || digest != "" || facts.EntityID != typed.EntityID {
			t.Errorf("%+v %q %v", facts, digest, err)
		}
		if facts, digest, again, err := w.Refetch(t.Context(), c, ""); err != nil || again || digest != "" || facts.EntityID != typed.EntityID {
			t.Errorf("%+v %q %v %v", facts, digest, again, err)
		}
		if _, err := w.Refresh(t.Context(), c, "cli:x"); !strings.Contains(err.Error(), "metadata_configured") {
			t.Error(err)
		}
		if w.idp.fetches() != 0 {
			t.Error("something was fetched")
		}
	})
	t.Run("a connection without a SAML provider is a mistake of ours", func(t *testing.T) {
		w := newWorld(t)
		if _, _, err := w.Load(t.Context(), connection.Serving{}); failure.Of(err).Code != failure.Internal {
			t.Error(err)
		}
	})
	t.Run("SSO-82 logins that come at once share one fetch", func(t *testing.T) {
		w := newWorld(t)
		release, inside := make(chan struct{}), make(chan struct{}, 1)
		w.idp.set(func() {
			text := w.idp.document()
			w.idp.handle = func(rw http.ResponseWriter, _ *http.Request) {
				inside <- struct{}{}
				<-release
				rw.Header().Set("Content-Type", "application/xml")
				_, _ = io.WriteString(rw, text)
			}
		})
		var wait sync.WaitGroup
		var loaded atomic.Int32
		for range 20 {
			wait.Go(func() {
				if _, _, err := w.Load(context.Background(), w.serving); err != nil {
					t.Error(err)
				}
				loaded.Add(1)
			})
		}
		<-inside
		close(release)
		wait.Wait()
		if w.idp.fetches() != 1 || loaded.Load() != 20 || w.events() != "loaded" {
			t.Errorf("%d fetches, %s", w.idp.fetches(), w.events())
		}
	})
	t.Run("a first load that failed is not repeated for half a minute", func(t *testing.T) {
		w := newWorld(t)
		w.idp.set(func() { w.idp.handle = http.NotFound })
		for range 5 {
			if f := w.refused(w.serving); f["status"] != "404" || f["phase"] != "status" || f["host"] != "127.0.0.1" {
				t.Fatal(f)
			}
		}
		if n := w.idp.fetches(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		if s := w.status(); s.Current != nil || !strings.Contains(s.Failure, "404") {
			t.Errorf("%+v", s)
		}
		w.clock.Advance(idpsource.RestFor)
		w.idp.set(func() { w.idp.handle = nil })
		w.load()
		if s := w.status(); s.Current == nil || s.Failure != "" {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a person who asks does not wait for it", func(t *testing.T) {
		w := newWorld(t)
		w.idp.set(func() { w.idp.handle = http.NotFound })
		w.refused(w.serving)
		if _, err := w.Refresh(t.Context(), w.serving, "cli:x"); err == nil || !strings.Contains(err.Error(), "metadata_unreachable") {
			t.Error(err)
		}
		w.idp.set(func() { w.idp.handle = nil })
		if s, err := w.Refresh(t.Context(), w.serving, "cli:x"); err != nil || s.Current == nil {
			t.Errorf("%+v %v", s, err)
		}
	})
	t.Run("SAML-52 another entity id than the connection names", func(t *testing.T) {
		w := newWorld(t)
		w.serving.Config.SAML.IdPEntityID = "https://idp.example/other"
		if f := w.refused(w.serving); f["cause"] != "entity_id_other" {
			t.Error(f)
		}
		w.serving.Config.SAML.IdPEntityID = ""
		w.load()
		w.serving.Config.SAML.IdPEntityID = "https://idp.example/other"
		if f := w.refused(w.serving); f["cause"] != "entity_id_other" {
			t.Error(f)
		}
	})
	t.Run("SSO-82 an entity id that another connection has or had", func(t *testing.T) {
		w := newWorld(t)
		w.load()
		other := w.connection("other", connection.SAMLConfig{MetadataURL: w.source()})
		for _, gone := range []*time.Time{nil, {}} {
			w.serving.DeletedAt = gone
			if err := w.d.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) error {
				return tx.Save(ctx, w.serving.Connection)
			}); err != nil {
				t.Fatal(err)
			}
			if f := w.refused(other); f["cause"] != "issuer_taken" {
				t.Error(f)
			}
			w.clock.Advance(idpsource.RestFor)
		}
		if w.events() != "loaded" {
			t.Error(w.events())
		}
	})
}

type resolver string

func (r resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(string(r))}, nil
}

func TestHostileMetadata(t *testing.T) {
	away := func(status int) func(*world) {
		return func(w *world) {
			w.idp.handle = func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, w.canary.URL, status) }
		}
	}
	body := func(change func(*world, string) string) func(*world) {
		return func(w *world) {
			w.idp.handle = func(rw http.ResponseWriter, _ *http.Request) {
				w.idp.mu.Lock()
				text := change(w, w.idp.document())
				w.idp.mu.Unlock()
				rw.Header().Set("Content-Type", "text/xml")
				_, _ = io.WriteString(rw, text)
			}
		}
	}
	address := func(of func(*world) string) func(*world) {
		return func(w *world) { w.serving.Config.SAML.MetadataURL = of(w) }
	}
	for _, tc := range []struct {
		name         string
		arm          func(*world)
		phase, cause string
	}{
		{"SAML-52 an address http", address(func(w *world) string { return strings.Replace(w.canary.Plain, "127.0.0.1", "idp.example", 1) }), "refused", ""},
		{"SAML-52 an address file", address(func(*world) string { return "file:///etc/passwd" }), "refused", ""},
		{"SAML-52 an address of a private network", address(func(*world) string { return "https://10.0.0.1/metadata" }), "refused", ""},
		{"SAML-52 a cloud's metadata service", address(func(*world) string { return "https://169.254.169.254/latest" }), "refused", ""},
		{"SAML-52 a name that means a private network", address(func(*world) string { return "https://idp.example/metadata" }), "refused", ""},
		{"SAML-52 an address with a user", address(func(w *world) string { return strings.Replace(w.canary.URL, "https://", "https://a:b@", 1) }), "refused", ""},
		{"SAML-52 a redirect inwards, 302", away(http.StatusFound), "redirect", ""},
		{"SAML-52 a redirect inwards, 307", away(http.StatusTemporaryRedirect), "redirect", ""},
		{"SAML-52 a page of HTML", func(w *world) {
			w.idp.handle = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(rw, w.idp.document())
			}
		}, "content_type", ""},
		{"SAML-52 50 MB that are announced", func(w *world) {
			w.idp.handle = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "text/xml")
				rw.Header().Set("Content-Length", "50000000")
				_, _ = rw.Write(make([]byte, 1<<16))
			}
		}, "too_large", ""},
		{"SAML-52 50 MB that are not", func(w *world) {
			w.idp.handle = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "text/xml")
				for range 50_000_000 >> 16 {
					if _, err := rw.Write(make([]byte, 1<<16)); err != nil {
						return
					}
				}
			}
		}, "too_large", ""},
		{"SSO-82 2 MB", body(func(_ *world, text string) string { return text + strings.Repeat(" ", 2_000_000) }), "too_large", ""},
		{"1 MiB and 1 byte", body(func(_ *world, text string) string { return text + strings.Repeat(" ", 1<<20+1-len(text)) }), "too_large", ""},
		{"SAML-52 an external entity", body(func(w *world, text string) string {
			return `<!DOCTYPE x [<!ENTITY e SYSTEM "` + w.canary.Plain + `">]>` + strings.Replace(text, "<IDPSSO", "&e;<IDPSSO", 1)
		}), "document", "xml"},
		{"SAML-52 an external DTD", body(func(w *world, text string) string { return `<!DOCTYPE x SYSTEM "` + w.canary.Plain + `">` + text }), "document", "xml"},
		{"SAML-52 a second IdP descriptor", body(func(w *world, text string) string {
			return strings.Replace(text, "</EntityDescriptor>", `<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"/></EntityDescriptor>`, 1)
		}), "document", "several_idp"},
		{"SAML-52 an endpoint javascript:", func(w *world) { w.idp.facts.Redirect = "javascript:alert(1)" }, "document", "address"},
		{"SAML-52 an endpoint http", func(w *world) { w.idp.facts.Redirect = "http://idp.example/sso" }, "document", "address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(o *egress.Options) { o.Resolver = resolver("10.0.0.1") })
			w.idp.set(func() { tc.arm(w) })
			if f := w.refused(w.serving); f["phase"] != tc.phase || f["cause"] != tc.cause {
				t.Error(f)
			}
			if w.canary.Count() != 0 {
				t.Error("an address was called that nobody may call")
			}
			if w.events() != "" {
				t.Error(w.events())
			}
		})
	}
	t.Run("300 KiB", func(t *testing.T) {
		w := newWorld(t)
		w.idp.set(func() {
			body(func(_ *world, text string) string { return text + strings.Repeat(" ", 300<<10-len(text)) })(w)
		})
		w.load()
	})
}
