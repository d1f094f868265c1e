// SPDX-License-Identifier: Apache-2.0

package idpsource_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

func addKey(w *world) {
	w.idp.set(func() {
		w.idp.facts.Certificates = append(slices.Clip(w.idp.facts.Certificates), certificate("new", 4))
	})
}

func removeKey(w *world) {
	w.idp.set(func() { w.idp.facts.Certificates = w.idp.facts.Certificates[:1] })
}

func TestChangesOfMetadata(t *testing.T) {
	t.Run("SSO-82 a key added is applied", func(t *testing.T) {
		w := newWorld(t)
		_, before := w.load()
		addKey(w)
		w.refresh()
		facts, digest := w.load()
		if len(facts.Certificates) != 3 || digest == before || w.events() != "loaded applied" || w.fieldOf("applied", "previous_digest") != before {
			t.Errorf("%d certificates, %s", len(facts.Certificates), w.events())
		}
		w.pending(0)
	})
	for _, tc := range []struct {
		name, diff string
		change     func(*world)
	}{
		{"SSO-82 a key removed is held", "certificate removed", removeKey},
		{"SSO-82 an address moved is held", "redirect changed", func(w *world) { w.idp.facts.Redirect = "https://evil.example/sso" }},
		{"SSO-82 SAML-52 another entity id is held", "entity_id changed", func(w *world) { w.idp.facts.EntityID = "https://evil.example" }},
		{"SSO-82 a binding changed is held", "redirect removed, post added", func(w *world) { w.idp.facts.Redirect, w.idp.facts.Post = "", "https://idp.example/sso" }},
		{"SSO-82 a key replaced is held", "certificate removed, certificate added", func(w *world) { addKey(w); w.idp.facts.Certificates = w.idp.facts.Certificates[1:] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			before, _ := w.load()
			tc.change(w)
			w.refresh()
			w.refresh() // it waits once, however often it is read
			if now, _ := w.load(); now.Digest() != before.Digest() {
				t.Error("what was good does not serve any more")
			}
			s := w.status()
			if s.Pending == nil || changed(s.Pending.Diff) != tc.diff || w.events() != "loaded held" || s.Failure != "" {
				t.Errorf("%+v, %s", s.Pending, w.events())
			}
			w.pending(1)
			if !strings.Contains(w.log.String(), "waits for a decision") {
				t.Error("the log does not warn")
			}
		})
	}
	for _, tc := range []struct {
		name, reason string
		arm          func(*world)
	}{
		{"SSO-82 unreachable: the last good one serves", "did not answer", func(w *world) { w.idp.server.Close() }},
		{"SSO-82 2 MB: the last good one serves", "1 MiB", func(w *world) {
			w.idp.handle = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "text/xml")
				_, _ = io.WriteString(rw, strings.Repeat(" ", 2_000_000))
			}
		}},
		{"SSO-82 SAML-52 a redirect to http: the last good one serves", "redirects", func(w *world) {
			w.idp.handle = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, w.canary.Plain, http.StatusMovedPermanently)
			}
		}},
		{"SSO-82 503: the last good one serves", "503", func(w *world) {
			w.idp.handle = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) }
		}},
		{"SSO-82 a document that is over: the last good one serves", "validUntil", func(w *world) { w.idp.terms = `validUntil="2020-01-01T00:00:00Z"` }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			before, _ := w.load()
			w.idp.mu.Lock()
			tc.arm(w)
			w.idp.mu.Unlock()
			w.refresh()
			w.clock.Advance(400 * 24 * time.Hour) // without limit
			if now, _ := w.load(); now.Digest() != before.Digest() {
				t.Error("what was good does not serve any more")
			}
			s := w.status()
			if !strings.Contains(s.Failure, tc.reason) || !s.Current.CheckedAt.Equal(s.Current.FetchedAt) || w.events() != "loaded" || w.canary.Count() != 0 {
				t.Errorf("%q, %s", s.Failure, w.events())
			}
			if got := s.Current.DueAt.Sub(s.Current.FetchedAt); got < idpsource.RefreshEvery+idpsource.RefreshLeast || got > idpsource.RefreshEvery+idpsource.RefreshLeast+time.Second {
				t.Errorf("asked again after %s", got)
			}
			if !strings.Contains(w.log.String(), "the last good one serves") || strings.Contains(w.log.String(), "app=1") {
				t.Error(w.log.String())
			}
		})
	}
	for name, of := range map[string]func(w *world) string{
		"SSO-82 http: the last good one serves":                func(*world) string { return "http://idp.example/metadata" },
		"SSO-82 an internal address: the last good one serves": func(*world) string { return "https://internal.example/metadata" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *egress.Options) { o.Resolver = resolver("10.1.2.3") })
			w.load()
			// The name means another network than when the document was read.
			v := *w.status().Current
			v.ID, v.Source = strings.Repeat("9", 36), of(w)
			if err := w.d.IdPSource.Begin(t.Context(), v); err != nil {
				t.Fatal(err)
			}
			w.serving.Config.SAML.MetadataURL = v.Source
			w.refresh()
			facts, _ := w.load()
			if s := w.status(); facts.Digest() != v.Digest || !strings.Contains(s.Failure, "egress guard") || w.canary.Count() != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestRefreshing(t *testing.T) {
	t.Run("what the source calls its version is sent back, and not modified is enough", func(t *testing.T) {
		w := newWorld(t)
		w.idp.set(func() { w.idp.etag = `"v1"` })
		w.load()
		w.refresh()
		s := w.status()
		if w.idp.asked.Get("If-None-Match") != `"v1"` || !s.Current.CheckedAt.Equal(s.Current.FetchedAt.Add(idpsource.RefreshEvery)) || w.events() != "loaded" {
			t.Errorf("%v %+v", w.idp.asked, s.Current)
		}
	})
	t.Run("a document that says the same in other words is none", func(t *testing.T) {
		w := newWorld(t)
		_, before := w.load()
		w.idp.set(func() { slices.Reverse(w.idp.facts.Certificates); w.idp.etag = `"v2"` })
		w.refresh()
		if _, digest := w.load(); digest != before || w.events() != "loaded" || w.status().Current.ETag != `"v2"` {
			t.Errorf("%s, %+v", w.events(), w.status().Current)
		}
	})
	for _, tc := range []struct {
		terms string
		want  time.Duration
	}{
		{"", 24 * time.Hour},
		{`cacheDuration="PT6H"`, 6 * time.Hour},
		{`cacheDuration="PT5S"`, time.Hour},
		{`cacheDuration="P7D"`, 24 * time.Hour},
		{`validUntil="` + "2026-11-27T15:00:00Z" + `" cacheDuration="PT6H"`, 3*time.Hour - 123456*time.Microsecond},
		{`validUntil="2026-11-27T12:00:01Z"`, time.Hour},
	} {
		t.Run("due by "+tc.terms, func(t *testing.T) {
			w := newWorld(t)
			w.idp.set(func() { w.idp.terms = tc.terms })
			w.load()
			if got := w.status().Current.DueAt.Sub(w.clock.Now()); got != tc.want {
				t.Errorf("asked again after %s", got)
			}
			w.clock.Advance(tc.want - time.Microsecond)
			if n, err := w.RefreshDue(t.Context()); n != 0 || err != nil {
				t.Errorf("%d were due, %v", n, err)
			}
		})
	}
	t.Run("an address that no revision names is kept and not asked", func(t *testing.T) {
		w := newWorld(t)
		w.load()
		removeKey(w)
		w.refresh()
		w.pending(1)
		w.views[0].HeadRevision.Config.SAML = &connection.SAMLConfig{MetadataURL: "https://idp.example/elsewhere"}
		w.views[0].ServingRevision = nil
		before := w.idp.fetches()
		w.clock.Advance(idpsource.RefreshEvery)
		if n, err := w.RefreshDue(t.Context()); n != 0 || err != nil || w.idp.fetches() != before {
			t.Errorf("%d, %v", n, err)
		}
		w.pending(0)
		if s := w.status(); s.Current == nil || s.Pending == nil {
			t.Errorf("%+v", s)
		}
	})
	t.Run("when certificates end", func(t *testing.T) {
		w := newWorld(t)
		w.connection("other", connection.SAMLConfig{MetadataURL: "https://idp.example/never-read"})
		typed := w.idp.facts
		typed.Certificates = typed.Certificates[:1]
		w.views[1].ServingRevision.Config.SAML.IdP = &typed
		w.load()
		got, err := w.Expiries(t.Context())
		if err != nil || len(got) != 2 || !got["corp"].Equal(storetest.Start.Truncate(time.Second).AddDate(5, 0, 0)) || !got["other"].Equal(storetest.Start.Truncate(time.Second).AddDate(3, 0, 0)) {
			t.Errorf("%v %v", got, err)
		}
	})
}

func TestUnknownKey(t *testing.T) {
	refetch := func(w *world, digest string) bool {
		w.t.Helper()
		facts, got, again, err := w.Refetch(w.t.Context(), w.serving, digest)
		if err != nil || got != facts.Digest() {
			w.t.Fatal(got, err)
		}
		return again
	}
	t.Run("SSO-61 the address is asked once in half a minute", func(t *testing.T) {
		w := newWorld(t)
		_, digest := w.load()
		for range 50 {
			if refetch(w, digest) {
				t.Fatal("another document serves")
			}
		}
		if n := w.idp.fetches(); n != 2 {
			t.Errorf("%d fetches", n)
		}
		addKey(w)
		if refetch(w, digest) {
			t.Error("asked too early")
		}
		w.clock.Advance(idpsource.RestFor)
		for range 2 {
			if !refetch(w, digest) {
				t.Error("the new key did not come")
			}
		}
		if n := w.idp.fetches(); n != 3 || w.events() != "loaded applied" {
			t.Errorf("%d fetches, %s", n, w.events())
		}
	})
	t.Run("SSO-61 a key that takes the place of another is held, and the refetch changes nothing", func(t *testing.T) {
		w := newWorld(t)
		_, digest := w.load()
		removeKey(w)
		addKey(w)
		if refetch(w, digest) || w.events() != "loaded held" {
			t.Error(w.events())
		}
	})
	t.Run("SSO-61 an address that fails is none of the login's failures", func(t *testing.T) {
		w := newWorld(t)
		_, digest := w.load()
		w.idp.set(func() { w.idp.handle = http.NotFound })
		if refetch(w, digest) || w.status().Failure == "" {
			t.Error("the failure is not noted")
		}
	})
	t.Run("the first refetch may be the first load", func(t *testing.T) {
		w := newWorld(t)
		if !refetch(w, "") || w.events() != "loaded" {
			t.Error(w.events())
		}
	})
}
