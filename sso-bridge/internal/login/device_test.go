// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

func TestALoginOfADevice(t *testing.T) {
	w := newWorld(t)
	b, handle := w.leave("acme")
	if b.ExpiresAt != start.Add(15*time.Minute) || !strings.HasPrefix(b.StartURL, public+"/sso/start/") {
		t.Errorf("%+v", b)
	}
	w.clock.Advance(time.Minute)
	location := w.Finish(t.Context(), answer("acme", handle))

	t.Run("JWS-12 the assertion copies digest, nonce and binding from the envelope", func(t *testing.T) {
		got, want := w.assertion(location), envelope.ExternalSubjectClaims{
			Connection: "acme", ConnectionName: "Connection acme", Attempt: b.Reference,
			UserCodeDigest: order("").UserCodeDigest, Nonce: order("").Nonce, Binding: order("").Binding,
			SubjectType: "external_sso", Issuer: "https://idp.example", Subject: "ada-subject", Email: "ada@acme.example", EmailVerified: true,
			Name: "Ada Lovelace", AuthTime: start.Unix() - 10, AMR: []string{"pwd"}, ACR: "urn:plain",
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("SSO-90 one reference joins trace, audit and log", func(t *testing.T) {
		r, err := w.Show(t.Context(), b.Reference)
		if err != nil || r.State != "succeeded" || r.Connection != "acme" || r.RequestID != "request-of-core" || r.SubjectHash == "" || r.Address != "192.0.2.0/24" ||
			r.Browser == nil || r.Browser.Family != "Firefox" || r.ResponseBytes != 123 || len(r.Steps) != 6 || r.Issuer != "https://idp.example" {
			t.Errorf("%+v, %v", r, err)
		}
		for _, event := range []string{"sso.attempt_started", "sso.attempt_succeeded"} {
			if got := w.events(event, b.Reference); len(got) != 1 {
				t.Errorf("%s: %v", event, got)
			}
		}
		if !strings.Contains(w.log.String(), b.Reference) {
			t.Error("the log does not name it")
		}
	})
	t.Run("SSO-90 SSO-48 neither trace, audit nor log holds a secret or a claim's value", func(t *testing.T) {
		r, _ := w.Show(t.Context(), b.Reference)
		trace, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		events, _ := json.Marshal(w.events("", ""))
		all := string(trace) + string(events) + w.log.String()
		last := w.oidc.last
		for name, value := range map[string]string{
			"handle": handle, "ticket": ticketOf(b).Reveal(), "verifier": last.Material.Verifier.Reveal(), "nonce": last.Material.Nonce.Reveal(),
			"core's nonce": order("").Nonce, "subject": "ada-subject", "e-mail": "ada@", "name": "Lovelace", "binding": order("").Binding,
		} {
			if strings.Contains(all, value) {
				t.Errorf("the %s stands in it", name)
			}
		}
	})
	t.Run("SSO-68 verifier, nonce and handle are the attempt's own", func(t *testing.T) {
		m := w.oidc.last.Material
		if len(m.Verifier.Reveal()) != 43 || len(m.Nonce.Reveal()) != 22 || len(handle) != 43 || m.RequestedAt != start {
			t.Errorf("%+v", m.RequestedAt)
		}
		if w.oidc.last.RedirectURI != public+"/sso/oidc/callback/acme" {
			t.Error(w.oidc.last.RedirectURI)
		}
	})
}

// traceFields are all that a trace may have.
var traceFields = strings.Fields(`reference attempt_id request_id intent connection protocol preset revision created_at started_at returned_at finished_at state code
	public_code steps browser address response_bytes xml_elements signed_parts algorithms certificate_fingerprint certificate_not_after
	certificate_expired name_id_format metadata_digest issuer clock_skew_s auth_age_s acr claim_names claim_sizes group_count overage subject_hash
	email_domain_hash expected got provider_host provider_status last_good cause mend`)

func TestATraceHasNoOtherField(t *testing.T) {
	t.Run("SSO-90 the fields of a report are those of the specification", func(t *testing.T) {
		var walk func(of reflect.Type)
		walk = func(of reflect.Type) {
			for f := range of.NumField() {
				field := of.Field(f)
				if field.Anonymous {
					walk(field.Type)
					continue
				}
				name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				if !slices.Contains(traceFields, name) {
					t.Errorf("%s is none", name)
				}
			}
		}
		walk(reflect.TypeFor[login.Report]())
	})
}

func TestOrdersThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, o := range map[string]login.Order{
		"an unknown connection":         order("nobody"),
		"an intent of a later version":  {Intent: connection.AccountLogin, Connection: "acme"},
		"a test, which core never asks": {Intent: connection.Test, Connection: "acme"},
	} {
		t.Run("SSO-44 "+name, func(t *testing.T) {
			if _, err := w.Begin(t.Context(), o); fault.Of(err).Kind() != fault.NotFound {
				t.Error(err)
			}
		})
	}
	if list, err := w.List(t.Context(), login.Filter{}, 10); err != nil || len(list) != 0 {
		t.Errorf("something was begun: %v, %v", list, err)
	}
}

func TestStartTickets(t *testing.T) {
	t.Run("SSO-47 a ticket spent twice", func(t *testing.T) {
		w := newWorld(t)
		b, _ := w.leave("acme")
		d, err := w.Start(t.Context(), ticketOf(b), firefox)
		if codeOf(err) != failure.StartLinkUsed || d.URL != "" || d.Reference == b.Reference {
			t.Errorf("%+v, %v", d, err)
		}
		w.refused(public+"/sso/error/"+d.Reference, failure.StartLinkUsed)
		if r, _ := w.Show(t.Context(), b.Reference); r.State != "started" {
			t.Errorf("the first one suffered: %s", r.State)
		}
	})
	t.Run("SSO-47 a ticket after 120 seconds", func(t *testing.T) {
		w := newWorld(t)
		b := w.begin("acme")
		w.clock.Advance(2 * time.Minute)
		if d, err := w.Start(t.Context(), ticketOf(b), firefox); codeOf(err) != failure.StartLinkUsed || d.URL != "" {
			t.Errorf("%+v, %v", d, err)
		}
	})
	t.Run("SSO-47 a ticket that nobody has drawn", func(t *testing.T) {
		w := newWorld(t)
		for _, text := range []string{"", "short", secret.Random(), strings.Repeat("-", 43), secret.Random() + "A"} {
			if _, err := w.Start(t.Context(), secret.New(text), firefox); codeOf(err) != failure.StartLinkUsed {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
	t.Run("SSO-47 50 at once are one start", func(t *testing.T) {
		w := newWorld(t)
		b := w.begin("acme")
		var mu sync.Mutex
		var left, late int
		atOnce(50, func(int) {
			d, err := w.Start(t.Context(), ticketOf(b), firefox)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && d.URL != "":
				left++
			case codeOf(err) == failure.StartLinkUsed:
				late++
			default:
				t.Error(err)
			}
		})
		if left != 1 || late != 49 {
			t.Errorf("%d left, %d came late", left, late)
		}
	})
	t.Run("SSO-47 the provider cannot be reached: the attempt is over and says so", func(t *testing.T) {
		w := newWorld(t)
		w.oidc.send = func(login.Request) (login.Destination, error) {
			return login.Destination{}, failure.New(failure.OIDCDiscovery).With("host", "idp.example")
		}
		b := w.begin("acme")
		d, err := w.Start(t.Context(), ticketOf(b), firefox)
		if codeOf(err) != failure.OIDCDiscovery || d.Reference != b.Reference {
			t.Errorf("%+v, %v", d, err)
		}
		w.refused(public+"/sso/error/"+d.Reference, failure.OIDCDiscovery)
		page, err := w.Failure(t.Context(), d.Reference)
		if err != nil || !page.Known || page.Public != "sso_provider_unreachable" || page.Intent != connection.DeviceFlow {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

// atOnce calls act n times at once.
func atOnce(n int, act func(i int)) {
	var wait sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wait.Go(func() {
			<-begin
			act(i)
		})
	}
	close(begin)
	wait.Wait()
}

func TestPagesOfReferences(t *testing.T) {
	w := newWorld(t)
	b, handle := w.leave("acme")
	_ = w.Finish(t.Context(), answer("acme", handle))
	for name, reference := range map[string]string{
		"unknown": "00000-00000", "malformed": "../etc", "empty": "", "of a success": b.Reference, "of a login under way": w.begin("acme").Reference,
	} {
		t.Run("SSO-90 a reference "+name+" has no page", func(t *testing.T) {
			if page, err := w.Failure(t.Context(), reference); err != nil || page.Known || page.Public != "sso_failed" {
				t.Errorf("%+v, %v", page, err)
			}
		})
	}
	if _, err := w.Show(t.Context(), "00000-00000"); !errors.Is(err, login.ErrAttemptNotFound) {
		t.Error(err)
	}
}

func TestReports(t *testing.T) {
	w := newWorld(t)
	b := w.begin("acme")
	w.clock.Advance(16 * time.Minute)
	if r, err := w.Show(t.Context(), b.Reference); err != nil || r.State != "expired" {
		t.Errorf("%s, %v", r.State, err)
	}
	_, handle := w.leave("other")
	w.refuse = failure.New(failure.EmailMissing).With("claim", "email")
	reference := w.refused(w.Finish(t.Context(), answer("other", handle)), failure.EmailMissing)
	list, err := w.List(t.Context(), login.Filter{Connection: "other", Code: failure.EmailMissing}, 10)
	if err != nil || len(list) != 1 || list[0].Reference != reference || list[0].Mend == "" || list[0].Cause == "" {
		t.Errorf("%+v, %v", list, err)
	}
	w.faults.Plan(faulttest.Fault{Method: "List"}, faulttest.Fault{Method: "ByReference"})
	if _, err := w.List(t.Context(), login.Filter{}, 10); fault.Of(err).Kind() != fault.Unavailable {
		t.Error(err)
	}
	if _, err := w.Show(t.Context(), reference); fault.Of(err).Kind() != fault.Unavailable {
		t.Error(err)
	}
}

func TestWhatATraceKeepsOfABrowser(t *testing.T) {
	for agent, want := range map[string]login.Browser{
		firefox.UserAgent: {Family: "Firefox", Major: "140"},
		"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36":                   {Family: "Chrome", Major: "139"},
		"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36 Edg/139.0.3405.86": {Family: "Edge", Major: "139"},
		"Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                         {Family: "Safari", Major: "18"},
		"Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/139.0.7258.60 Mobile/15E148 Safari/604.1":          {Family: "Chrome", Major: "139"},
		"curl/8.5.0 <script>": {Family: "other"},
	} {
		if got := login.BrowserOf(agent); got == nil || *got != want {
			t.Errorf("%s: %+v", agent, got)
		}
	}
	for address, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "2001:db8:1:2:3::4": "2001:db8:1::/48", "::ffff:192.0.2.77": "192.0.2.0/24", "fe80::1%eth0": "fe80::/48",
		"192.0.2.0/24": "192.0.2.0/24", "": "", "unknown": "", "192.0.2.77, 10.0.0.1": "",
	} {
		if got := login.NetworkOf(address); got != want {
			t.Errorf("%s: %q", address, got)
		}
	}
}
