// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"maps"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/attacktest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
)

// expected turns the terms of an attack into what the reader is asked with.
func expected(t attacktest.Terms) samlsp.Expected {
	return samlsp.Expected{
		Issuer: t.Issuer, Certificates: t.Certificates, Audience: t.Audience, Consumer: t.Consumer, RequestID: t.RequestID, RequestedAt: t.RequestedAt,
		ForceAuthn: t.ForceAuthn, Signed: t.Signed, Skew: t.Skew, Contexts: t.Contexts, RefuseExpired: t.RefuseExpired,
	}
}

func read(a attacktest.Attack) (samlsp.Assertion, error) {
	return samlsp.Read(a.Form, expected(a.Terms), a.Terms.Now, &login.Trace{})
}

// world is the corpus, made once for all tests, and the address that it names.
type world struct {
	attacks []attacktest.Attack
	// calls counts who came to that address: nobody may.
	calls *atomic.Int32
}

var corpus = sync.OnceValue(func() world {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	w := world{calls: new(atomic.Int32)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.calls.Add(1)
			_ = c.Close()
		}
	}()
	w.attacks = attacktest.Corpus("http://" + l.Addr().String())
	return w
})

// budget is what one message may allocate.
const budget = 20 << 20

// SSO-56: every message that is not marked as accepted is refused, for the cause that its
// rule gives, within the budget, and nothing calls anybody.
func TestCorpus(t *testing.T) {
	type cost struct {
		name   string
		took   time.Duration
		octets uint64
	}
	var costs []cost
	t.Run("SSO-56 every message by mutation of one login", func(t *testing.T) {
		for _, a := range corpus().attacks {
			t.Run(a.Name, func(t *testing.T) {
				var was, is runtime.MemStats
				runtime.ReadMemStats(&was)
				start := time.Now()
				got, err := read(a)
				took := time.Since(start)
				runtime.ReadMemStats(&is)
				costs = append(costs, cost{a.Name, took, is.TotalAlloc - was.TotalAlloc})
				if used := is.TotalAlloc - was.TotalAlloc; used > budget {
					t.Errorf("%d bytes were allocated", used)
				}
				if a.Want != "" {
					if err == nil {
						t.Fatalf("%q was signed in, the answer has to be %s", got.NameID.Value, a.Want)
					}
					refusal := failure.Of(err)
					if refusal.Code != a.Want {
						t.Fatalf("refused with %v, the code has to be %s", err, a.Want)
					}
					for _, text := range append([]string{err.Error(), refusal.Expected, refusal.Got}, slices.Collect(maps.Values(refusal.Facts))...) {
						for _, person := range []string{attacktest.Person, attacktest.Mallory} {
							if strings.Contains(text, person) {
								t.Errorf("a refusal names the person: %q", text)
							}
						}
					}
					if got.NameID.Value != "" || got.Attributes != nil {
						t.Errorf("a refused message gave %q", got.NameID.Value)
					}
					return
				}
				if err != nil {
					t.Fatalf("refused with %v, and it is to be accepted", err)
				}
				if want := unescaped(a.NameID); got.NameID.Value != want {
					t.Errorf("%q was signed in instead of %q", got.NameID.Value, want)
				}
				if got.Issuer != a.Terms.Issuer || got.ID == "" {
					t.Errorf("the assertion %q of %q", got.ID, got.Issuer)
				}
				for _, at := range got.Attributes {
					if at.Name == "mail" && slices.Contains(at.Values, "alice@mail.example") {
						return
					}
				}
				t.Errorf("the attributes are %v", got.Attributes)
			})
		}
	})
	t.Run("SAML-42 a time that nobody reads is at no distance", func(t *testing.T) {
		n := 0
		for _, a := range corpus().attacks {
			if !strings.HasPrefix(a.Name, "SAML-42 an end of the ") || !strings.HasSuffix(a.Name, "of one digit") && !strings.HasSuffix(a.Name, "that is empty") {
				continue
			}
			n++
			if _, err := read(a); failure.Of(err).Facts["skew_s"] != "" {
				t.Errorf("%s: it is said to be %s seconds away", a.Name, failure.Of(err).Facts["skew_s"])
			}
		}
		if n != 4 {
			t.Errorf("%d messages", n)
		}
	})
	t.Run("SAML-47 SSO-60 one answer whatever algorithm is named", func(t *testing.T) {
		var first error
		n := 0
		for _, a := range corpus().attacks {
			if !strings.HasPrefix(a.Name, "SAML-47 ") {
				continue
			}
			_, err := read(a)
			if n++; first == nil {
				first = err
			}
			if !reflect.DeepEqual(failure.Of(err), failure.Of(first)) {
				t.Errorf("%s: %#v, and another %#v", a.Name, err, first)
			}
		}
		if n < 50 {
			t.Errorf("%d messages", n)
		}
	})
	t.Run("SAML-23 SAML-46 nobody was called", func(t *testing.T) {
		if n := corpus().calls.Load(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
	slices.SortFunc(costs, func(a, b cost) int { return int(b.took - a.took) })
	t.Logf("%d messages", len(costs))
	for _, c := range costs[:min(5, len(costs))] {
		t.Logf("%v, %d KiB: %s", c.took.Round(10*time.Microsecond), c.octets>>10, c.name)
	}
	slices.SortFunc(costs, func(a, b cost) int { return int(b.octets) - int(a.octets) })
	for _, c := range costs[:min(5, len(costs))] {
		t.Logf("%d KiB, %v: %s", c.octets>>10, c.took.Round(10*time.Microsecond), c.name)
	}
}
