// SPDX-License-Identifier: Apache-2.0

//go:build unix

package app_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/attacktest"
)

// BenchmarkConsumerService posts a response to the whole consumer service on embedded
// stores, from the handler to the signed assertion, and has the library read the same
// message, in turn and in the same run. of-bare is how their rates compare, cpu-of-bare
// how their CPU times do. "make bench" runs it and writes docs/performance.md.
//
// What is durable waits for the disk: the attempt is written twice, once before a byte of
// the message is read and once with its success. "in memory" is without that.
func BenchmarkConsumerService(b *testing.B) {
	message := attacktest.One()
	text, err := base64.StdEncoding.DecodeString(message.Form)
	if err != nil {
		b.Fatal(err)
	}
	consumerAt, err := url.Parse(attacktest.Consumer)
	if err != nil {
		b.Fatal(err)
	}
	clock, dsigClock := saml.TimeNow, saml.Clock
	saml.TimeNow, saml.Clock = func() time.Time { return attacktest.Now }, dsig.NewFakeClockAt(attacktest.Now)
	defer func() { saml.TimeNow, saml.Clock = clock, dsigClock }()
	bare := saml.ServiceProvider{EntityID: attacktest.Audience, AcsURL: *consumerAt, IDPMetadata: &saml.EntityDescriptor{
		EntityID: attacktest.Issuer, IDPSSODescriptors: []saml.IDPSSODescriptor{{SSODescriptor: saml.SSODescriptor{RoleDescriptor: saml.RoleDescriptor{
			KeyDescriptors: []saml.KeyDescriptor{{Use: "signing", KeyInfo: saml.KeyInfo{X509Data: saml.X509Data{
				X509Certificates: []saml.X509Certificate{{Data: attacktest.Provider().Base64()}},
			}}}},
		}}}},
	}}
	for _, stores := range []struct {
		name string
		wrap func(*app.Stores)
	}{
		{"embedded", func(*app.Stores) {}},
		{"in memory", func(s *app.Stores) { s.Attempts = &oneAttempt{} }},
	} {
		b.Run(stores.name, func(b *testing.B) {
			c := newConsumer(b, quiet(), stores.wrap)
			var ours, theirs cost
			for b.Loop() {
				c.again(b)
				form := c.form(message.Form)
				ours.add(func() { c.admitted(b, form) })
				theirs.add(func() {
					if _, err := bare.ParseXMLResponse(text, []string{attacktest.RequestID}, *consumerAt); err != nil {
						b.Fatal(err)
					}
				})
			}
			b.ReportMetric(0, "ns/op") // of both, and of the attempt that was begun again
			b.ReportMetric(ours.wall.Seconds()*1e6/float64(b.N), "ours-µs/op")
			b.ReportMetric(theirs.wall.Seconds()*1e6/float64(b.N), "bare-µs/op")
			b.ReportMetric(float64(theirs.wall)/float64(ours.wall), "of-bare")
			b.ReportMetric(float64(theirs.cpu)/float64(ours.cpu), "cpu-of-bare")
		})
	}
	c := newConsumer(b, quiet(), func(*app.Stores) {})
	for _, name := range []string{"values", "references", "elements", "namespaces"} {
		b.Run("largest of "+name, func(b *testing.B) {
			message := largest(b, name)
			form := c.form(message)
			var spent cost
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				c.again(b)
				b.StartTimer()
				spent.add(func() { c.admitted(b, form) })
			}
			b.ReportMetric(spent.cpu.Seconds()*1e3/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(len(message)), "base64-B")
		})
	}
}

// quiet is a log at its default level that goes nowhere.
func quiet() *slog.Logger { return slog.New(slog.NewJSONHandler(io.Discard, nil)) }

// cost is time of the clock, and of all processors for this process.
type cost struct{ wall, cpu time.Duration }

func (c *cost) add(do func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for another who alone
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start, before := time.Now(), used()
	do()
	c.cpu += used() - before
	c.wall += time.Since(start)
}

func (c *consumer) form(message string) string {
	return "SAMLResponse=" + url.QueryEscape(message) + "&RelayState=" + c.handle
}

// admitted posts a form with which somebody signs in.
func (c *consumer) admitted(t testing.TB, form string) {
	status, location := c.post("/sso/saml/acs/corp", form)
	if status != http.StatusSeeOther || !strings.Contains(location, "sso_assertion=") {
		t.Fatalf("%d to %s", status, location)
	}
}

// largest is a message that is signed twice and accepted, at the limit of the field's
// 256 KiB, and at another limit of the reader as well where its name is one.
func largest(t testing.TB, of string) string {
	t.Helper()
	const conditions, statement = `</saml:Conditions>`, `</saml:AttributeStatement>`
	var before, more string
	room := 192<<10 - len(attacktest.Login{NameID: attacktest.Person, Signed: attacktest.Both, Key: attacktest.Provider(), KeyInfo: true}.Text()) - 200
	switch of {
	case "values":
		const n = 900
		before, more = statement, `<saml:Attribute Name="x">`+strings.Repeat(`<saml:AttributeValue>`+strings.Repeat("x", room/n-45)+`</saml:AttributeValue>`, n)+`</saml:Attribute>`
	case "references":
		before, more = statement, `<saml:Attribute Name="x"><saml:AttributeValue>`+strings.Repeat("&amp;", room/5-20)+`</saml:AttributeValue></saml:Attribute>`
	case "elements":
		const n = 1880
		before, more = conditions, `<saml:Advice>`+strings.Repeat(`<e a="`+strings.Repeat("x", room/n-10)+`"/>`, n)+`</saml:Advice>`
	case "namespaces":
		var spaces, used strings.Builder
		const n = 56 // of 64, at most 32 of one element
		for i := range n {
			if i == n/2 {
				spaces.WriteString(`><e`)
			}
			fmt.Fprintf(&spaces, ` xmlns:n%d="urn:n"`, i)
		}
		const elements = 1000
		for i := range elements {
			fmt.Fprintf(&used, `<n%d:e a="`+strings.Repeat("x", room/elements-20)+`"/>`, i%n)
		}
		before, more = conditions, `<saml:Advice`+spaces.String()+`>`+used.String()+`</e></saml:Advice>`
	}
	form := attacktest.Login{NameID: attacktest.Person, Signed: attacktest.Both, Key: attacktest.Provider(), KeyInfo: true, Edit: func(text string) string {
		if before == statement {
			return strings.Replace(text, before, more+before, 1)
		}
		return strings.Replace(text, before, before+more, 1)
	}}.Form()
	if len(form) > 256<<10 || len(form) < 240<<10 {
		t.Fatalf("%s: %d bytes", of, len(form))
	}
	return form
}
