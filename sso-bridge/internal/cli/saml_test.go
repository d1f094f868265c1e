// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

func TestSigningKeys(t *testing.T) {
	p, c := install(t), &company{}
	p.serveCompany(c)
	next, current := certificate(t, 1, now.Add(spkeys.Life)), certificate(t, 2, now.Add(20*24*time.Hour))
	seen := now.Add(-time.Hour)
	c.keys = []spkeys.Key{
		{ID: "00000000-0000-0000-0000-000000000001", State: spkeys.Next, Certificate: next, NotAfter: next.NotAfter, StagedAt: now.Add(-48 * time.Hour), MetadataSeenAt: &seen},
		{ID: "00000000-0000-0000-0000-000000000002", State: spkeys.Current, Certificate: current, NotAfter: current.NotAfter, StagedAt: now.Add(-96 * time.Hour)},
	}
	t.Run("SSO-63 keys are listed with state, certificate, end and what the provider has seen", func(t *testing.T) {
		out := p.must("connection", "keys", "corp")
		for _, want := range []string{"next", "current", print(next)[:16], "2029-11-26", "2026-11-25 12:00:00", "2026-11-27 11:00:00"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %s in\n%s", want, out)
			}
		}
		var list operator.SigningKeys
		if err := json.Unmarshal([]byte(p.must("connection", "keys", "corp", "-o", "json")), &list); err != nil || len(list.Data) != 2 {
			t.Fatalf("%+v, %v", list, err)
		}
		if k := list.Data[0]; k.Fingerprint != print(next) || k.Certificate != base64.StdEncoding.EncodeToString(next.Raw) || k.TestedAt != nil {
			t.Errorf("%+v", k)
		}
	})
	t.Run("SSO-63 stage, promote and retire are done in the caller's name", func(t *testing.T) {
		c.asked = nil
		if out := p.must("connection", "keys", "stage", "corp"); !strings.Contains(out, "sso-bridge connection test corp --next-key") {
			t.Error(out)
		}
		if code, _, errs := p.run("connection", "keys", "promote", "corp"); code != 1 || !strings.Contains(errs, "Nothing shows") || !strings.Contains(errs, "Force it") {
			t.Errorf("%d %s", code, errs)
		}
		p.must("connection", "keys", "promote", "corp", "--force", "--reason", "given by hand")
		p.must("connection", "keys", "retire", "corp", print(next)[:16])
		p.must("connection", "keys", "retire", "corp", c.keys[1].ID)
		p.must("connection", "keys", "retire", "corp", "00000000") // means both, so it means none
		var did []string
		for _, one := range c.asked {
			if !strings.HasPrefix(one, "list") {
				did = append(did, one)
			}
		}
		want := []string{"stage corp " + me, "promote corp " + me + " given by hand", "retire corp " + c.keys[0].ID + " " + me, "retire corp " + c.keys[1].ID + " " + me, "retire corp 00000000 " + me}
		if strings.Join(did, "\n") != strings.Join(want, "\n") {
			t.Errorf("%q, want %q", did, want)
		}
	})
	t.Run("SSO-63 a test with the staged key, when there is one", func(t *testing.T) {
		p.must("connection", "test", "corp", "--next-key")
		if !c.order.NextKey || c.order.Connection != "corp" {
			t.Errorf("%+v", c.order)
		}
		all := c.keys
		defer func() { c.keys = all }()
		c.keys = all[1:]
		if code, _, errs := p.run("connection", "test", "corp", "--next-key"); code != 1 || !strings.Contains(errs, "no staged key") {
			t.Errorf("%d %s", code, errs)
		}
	})
	t.Run("a connection of another protocol has none", func(t *testing.T) {
		for _, args := range [][]string{{"keys", "okta"}, {"keys", "stage", "okta"}, {"keys", "promote", "okta"}, {"keys", "retire", "okta", "x"}, {"test", "okta", "--next-key"}} {
			if code, _, errs := p.run(append([]string{"connection"}, args...)...); code != 1 || !strings.Contains(errs, "does not speak SAML") {
				t.Errorf("%v: %d %s", args, code, errs)
			}
		}
		if code, _, errs := p.run("connection", "metadata", "refresh", "hub"); code != 1 || !strings.Contains(errs, "speaks OAuth 2.0") {
			t.Errorf("%d %s", code, errs)
		}
		if code, _, errs := p.run("connection", "keys", "none"); code != 1 || !strings.Contains(errs, "no such connection") {
			t.Errorf("%d %s", code, errs)
		}
	})
	t.Run("the end of a key is warned of", func(t *testing.T) {
		code, _, errs := p.run("connection", "list")
		if code != 0 || !strings.Contains(errs, "Warning: corp: Our signing certificate "+print(current)[:16]+" ends on 2026-12-17. Its successor is staged") {
			t.Errorf("%d %s", code, errs)
		}
	})
}

func TestMetadata(t *testing.T) {
	p, c := install(t), &company{}
	p.serveCompany(c)
	const source = "https://idp.example/metadata"
	old, fresh := certificate(t, 3, now.Add(7*24*time.Hour)), certificate(t, 4, now.Add(900*24*time.Hour))
	c.config.MetadataURL = source
	t.Run("SSO-82 nothing was read yet", func(t *testing.T) {
		if out := p.must("connection", "metadata", "corp"); !strings.Contains(out, source) || !strings.Contains(out, "not read yet") {
			t.Error(out)
		}
	})
	c.status.Current, c.status.Pending = facts("a", old), facts("b", fresh)
	c.status.Failure = "503 \x1b[31m"
	c.status.Pending.Diff = []idpmetadata.Change{
		{What: "entity_id", Kind: "changed", From: "https://idp.example/a", To: "https://idp.example/b", Destructive: true},
		{What: "certificate", Kind: "removed", From: print(old) + " until 2026-12-04T12:00:00Z", Destructive: true},
		{What: "certificate", Kind: "added", To: print(fresh) + " until 2029-05-15T12:00:00Z"},
	}
	t.Run("SSO-82 what serves, and what waits with its difference in words", func(t *testing.T) {
		out := p.must("connection", "metadata", "corp")
		for _, want := range []string{
			"https://idp.example/sso (redirect)", print(old) + " ends 2026-12-04", "asked again 2026-11-28 12:00:00", "failed: 503 ?[31m",
			"the entity id changes from https://idp.example/a to https://idp.example/b  (this is why it waits)",
			"the signing certificate is removed: " + print(old) + " until 2026-12-04T12:00:00Z  (this is why it waits)",
			"a signing certificate is added: " + print(fresh) + " until 2029-05-15T12:00:00Z\n", "metadata accept corp --seen bbbbbbbbbbbbbbbb, or reject corp",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		var m operator.Metadata
		if err := json.Unmarshal([]byte(p.must("connection", "metadata", "corp", "-o", "json")), &m); err != nil || m.Current == nil || m.Pending == nil || len(m.Changes) != 3 || m.Source != source {
			t.Errorf("%+v, %v", m, err)
		}
	})
	t.Run("SSO-82 refresh, accept and reject are done in the caller's name", func(t *testing.T) {
		for _, act := range []string{"refresh", "accept", "reject"} {
			c.asked = nil
			p.must("connection", "metadata", act, "corp")
			if len(c.asked) != 1 || c.asked[0] != act+" corp "+me {
				t.Errorf("%s: %q", act, c.asked)
			}
		}
		c.asked = nil
		p.must("connection", "metadata", "accept", "corp", "--seen", "bbbb")
		if len(c.asked) != 1 || c.asked[0] != "acceptbbbb corp "+me {
			t.Errorf("%q", c.asked)
		}
	})
	t.Run("show says who we are, who they are, and warns ahead", func(t *testing.T) {
		c.config.ExpiredCertificates = connection.ExpiredWarn
		out := p.must("connection", "show", "corp")
		for _, want := range []string{"https://sso.example/sso/saml/metadata/corp", "https://idp.example/a", "Warning: The provider's certificate " + print(old)[:16] + " ends on 2026-12-04", "waits for your decision", "could not be read the last time"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
	})
	t.Run("a certificate that is over is refused or not, by the connection", func(t *testing.T) {
		c.status = idpsource.Status{Current: facts("a", certificate(t, 5, now))}
		for policy, want := range map[string]string{connection.ExpiredWarn: "accepted all the same", connection.ExpiredRefuse: "is refused"} {
			c.config.ExpiredCertificates = policy
			if out := p.must("connection", "show", "corp"); !strings.Contains(out, want) {
				t.Errorf("%s: %s", policy, out)
			}
		}
	})
	t.Run("SSO-82 of two addresses that of the serving revision is meant, unless the head's is asked for", func(t *testing.T) {
		c.serves = &connection.Revision{Hash: strings.Repeat("b", 64), Seq: 1, Config: connection.Config{Protocol: connection.SAML, SAML: &connection.SAMLConfig{MetadataURL: "https://former.example/"}}}
		defer func() { c.serves = nil }()
		for want, args := range map[string][]string{"https://former.example/": nil, source: {"--head"}} {
			if out := p.must(append([]string{"connection", "metadata", "corp"}, args...)...); c.source != want || !strings.Contains(out, want) {
				t.Errorf("%s, not %s:\n%s", c.source, want, out)
			}
		}
	})
	t.Run("facts of the configuration are part of the revision", func(t *testing.T) {
		c.config.MetadataURL, c.config.IdP = "", &facts("c", fresh).Facts
		if out := p.must("connection", "metadata", "corp"); !strings.Contains(out, "pasted or typed, part of revision aaaaaaaaaaaa") || !strings.Contains(out, "https://idp.example/c") || strings.Contains(out, "idp.example/a\n") {
			t.Error(out)
		}
	})
}

func TestDiscoveryDocument(t *testing.T) {
	p, c := install(t), &company{}
	p.serveCompany(c)
	c.oidc.Issuer = "https://id.example"
	const source = "https://id.example/.well-known/openid-configuration"
	at := func(host string) *idpsource.Version {
		e := connection.OIDCEndpoints{Authorization: host + "/authorize", Token: "https://id.example/token", JWKS: "https://id.example/keys"}
		return &idpsource.Version{Facts: idpmetadata.IdP{EntityID: c.oidc.Issuer}, Endpoints: &e, Digest: strings.Repeat("d", 64), FetchedAt: now, CheckedAt: now, DueAt: now}
	}
	t.Run("what serves, and what waits with its difference in words", func(t *testing.T) {
		c.status.Current, c.status.Pending = at("https://id.example"), at("https://evil.example")
		c.status.Pending.Diff = []idpmetadata.Change{{What: "authorization_endpoint", Kind: "changed", From: "https://id.example/authorize", To: "https://evil.example/authorize", Destructive: true}}
		out := p.must("connection", "metadata", "okta")
		for _, want := range []string{
			source, "issuer      https://id.example\n", "sign-in     https://id.example/authorize\n", "token       https://id.example/token\n", "keys        https://id.example/keys\n",
			"asked again with a sign-in", "metadata accept okta --seen dddddddddddddddd, or reject okta",
			"the authorization_endpoint changes from https://id.example/authorize to https://evil.example/authorize  (this is why it waits)",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		if strings.Contains(out, "entity id") || strings.Contains(out, "userinfo") || c.source != source {
			t.Errorf("of %s:\n%s", c.source, out)
		}
		var m operator.Metadata
		if err := json.Unmarshal([]byte(p.must("connection", "metadata", "okta", "-o", "json")), &m); err != nil || m.Pending == nil || m.Pending.Endpoints == nil || m.Current.Issuer != c.oidc.Issuer || m.DueAt != nil {
			t.Errorf("%+v, %v", m, err)
		}
	})
	t.Run("show warns of it, and accept is done in the caller's name", func(t *testing.T) {
		if out := p.must("connection", "show", "okta"); !strings.Contains(out, "waits for your decision") {
			t.Error(out)
		}
		c.asked = nil
		if p.must("connection", "metadata", "accept", "okta"); len(c.asked) != 1 || c.asked[0] != "accept okta "+me {
			t.Errorf("%q", c.asked)
		}
	})
	t.Run("configured endpoints are part of the revision", func(t *testing.T) {
		c.oidc.Endpoints = at("https://other.example").Endpoints
		if out := p.must("connection", "metadata", "okta"); !strings.Contains(out, "pasted or typed, part of revision") || !strings.Contains(out, "https://other.example/authorize") || strings.Contains(out, "evil") {
			t.Error(out)
		}
	})
}

func TestPastedMetadata(t *testing.T) {
	p, c := install(t), &company{}
	p.serveCompany(c)
	create := func(size int) (int, string) {
		text := strings.Repeat("<\n\"&>", size/5+1)[:size] // each but one is escaped, in one of two places
		if err := os.WriteFile(p.path("metadata.xml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, errs := p.run("connection", "create", "--preset", "generic-saml", "--id", "corp", "--file", p.file("saml:\n  metadata_file: "+p.path("metadata.xml")+"\n"))
		return code, errs
	}
	for _, size := range []int{300 << 10, 1 << 20} {
		if code, errs := create(size); code != 1 || len(c.sizes) == 0 || c.sizes[len(c.sizes)-1] < size {
			t.Errorf("%d bytes did not arrive: %d %s, %v", size, code, errs, c.sizes)
		}
	}
	if err := os.WriteFile(p.path("cert.pem"), []byte("-----A CERTIFICATE-----"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run("connection", "create", "--preset", "generic-saml", "--file", p.file("saml:\n  idp: {entity_id: x, certificates: [one], certificate_files: ["+p.path("cert.pem")+"]}\n"))
	if !strings.Contains(c.last, `"certificates":["one","-----A CERTIFICATE-----"]`) || strings.Contains(c.last, "certificate_files") {
		t.Error(c.last)
	}
	arrived := len(c.sizes)
	if code, errs := create(1<<20 + 1); code != 2 || !strings.Contains(errs, "longer than 1 MiB") || len(c.sizes) != arrived {
		t.Errorf("%d %s", code, errs)
	}
}

func TestATraceIsRead(t *testing.T) {
	p, c := install(t), &company{}
	p.serveCompany(c)
	skew := 1.5
	c.report = login.Report{
		Reference: "7K2QD-9XM4P", State: "failed", Code: "saml_time", PublicCode: "sso_response_refused", Cause: "A cause.", Mend: "A mend.", CreatedAt: now,
		Trace: login.Trace{
			Protocol: "saml", Steps: []login.Step{{Name: "claim", Milliseconds: 1.25, OK: true}, {Name: "verify", Milliseconds: 7}}, Browser: &login.Browser{Family: "Firefox", Major: "140"},
			Algorithms: []string{"rsa-sha256", "sha256"}, ClockSkew: &skew, Got: "https://x/\x1b]0;\a", LastGood: &login.LastGood{Reference: "AAAAA-AAAAA", Diff: []string{"certificate", "skew"}},
		},
	}
	t.Run("SSO-90 a line for each field that it has, and nothing that steers the terminal", func(t *testing.T) {
		out := p.must("attempts", "show", "7K2QD-9XM4P")
		for _, want := range []string{
			"7K2QD-9XM4P: failed, saml_time (the person read sso_response_refused)\nCause: A cause.\nMend:  A mend.\n",
			"steps                   claim 1.25 ms; verify 7 ms, failed\n", "browser                 Firefox 140\n", "algorithms              rsa-sha256, sha256\n",
			"clock_skew_s            1.5\n", "got                     https://x/?]0;?\n", "last_good               AAAAA-AAAAA, since then: certificate; skew\n",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		if strings.Contains(out, "acr") || bytes.ContainsRune([]byte(out), 0x1b) {
			t.Error(out)
		}
	})
}
