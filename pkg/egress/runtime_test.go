// SPDX-License-Identifier: Apache-2.0

package egress_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
)

func runtime(t *testing.T, o egress.RuntimeOptions) *egress.Runtime {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Connect == 0 {
		o.Connect = 5 * time.Second
	}
	if o.Header == 0 {
		o.Header = 5 * time.Second
	}
	if o.Local == nil {
		o.Local = func() []netip.Addr { return addrs("10.9.9.9", "fe80::9") }
	}
	r, err := egress.NewRuntime(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.CloseIdle)
	return r
}

// by is how a runtime is called.
type by func(r *egress.Runtime, req *http.Request) (*http.Response, error)

func get(t *testing.T, r *egress.Runtime, address string) (int, error) {
	t.Helper()
	return getBy(t, (*egress.Runtime).Do, r, address)
}

func getBy(t *testing.T, call by, r *egress.Runtime, address string) (int, error) {
	t.Helper()
	base, err := r.Base(address)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := call(r, q)
	if err != nil {
		return 0, err
	}
	defer func() { _ = a.Body.Close() }()
	_, err = io.Copy(io.Discard, a.Body)
	return a.StatusCode, err
}

var ownListeners = []string{"127.0.0.1:5001", ":5002", "core.example:443"}

func TestRuntimesThatMayBeCalled(t *testing.T) {
	for _, tc := range []struct {
		name    string
		allowed []string
		address string
		want    error
	}{
		{"a public name", nil, "https://dify.example", nil},
		{"a path", nil, "http://dify.example/base/", nil},
		{"a private address", nil, "http://10.0.0.5:5001", nil},
		{"a private address of six", nil, "http://[fd00::5]:8080", nil},
		{"file", nil, "file:///etc/passwd", egress.ErrAddress},
		{"no host", nil, "http:///x", egress.ErrAddress},
		{"another scheme", nil, "ftp://dify.example:21", egress.ErrAddress},
		{"no address at all", nil, "http://[::1", egress.ErrAddress},
		{"no scheme", nil, "dify.example", egress.ErrAddress},
		{"user information", nil, "http://a:b@dify.example", egress.ErrAddress},
		{"a query", nil, "http://dify.example/?", egress.ErrAddress},
		{"a fragment", nil, "http://dify.example/#", egress.ErrAddress},
		{"octal", nil, "http://0177.0.0.1/", egress.ErrAddress},
		{"decimal", nil, "http://2130706433/", egress.ErrAddress},
		{"hexadecimal", nil, "http://0x7f000001/", egress.ErrAddress},
		{"a zone", nil, "http://[fe80::1%25eth0]/", egress.ErrAddress},
		{"a final dot", nil, "http://localhost./", egress.ErrAddress},
		{"port 0", nil, "http://dify.example:0/", egress.ErrAddress},
		{"no port after the colon", nil, "http://dify.example:/", egress.ErrAddress},

		{"API-32 loopback", nil, "http://127.0.0.1:8080", egress.ErrUnnamed},
		{"API-32 another loopback", nil, "http://127.8.9.10", egress.ErrUnnamed},
		{"API-32 loopback of six", nil, "http://[::1]:8080", egress.ErrUnnamed},
		{"API-32 localhost", nil, "http://localhost:8080", egress.ErrUnnamed},
		{"API-32 mapped loopback", nil, "http://[::ffff:127.0.0.1]", egress.ErrUnnamed},
		{"API-32 compatible loopback", nil, "http://[::127.0.0.1]", egress.ErrUnnamed},
		{"API-32 loopback behind NAT64", nil, "http://[64:ff9b::7f00:1]", egress.ErrUnnamed},
		{"API-32 loopback behind 6to4", nil, "http://[2002:7f00:1::]", egress.ErrUnnamed},
		{"API-32 link-local", nil, "http://169.254.1.1", egress.ErrUnnamed},
		{"API-32 link-local of six", nil, "http://[fe80::1]", egress.ErrUnnamed},
		{"API-32 a metadata service", nil, "http://169.254.169.254", egress.ErrUnnamed},
		{"API-32 a metadata service of six", nil, "http://[fd00:ec2::254]", egress.ErrUnnamed},
		{"API-32 a metadata service outside of link-local", nil, "http://100.100.100.200", egress.ErrUnnamed},
		{"API-32 a mapped metadata service", nil, "http://[::ffff:a9fe:a9fe]", egress.ErrUnnamed},
		{"API-32 a metadata service behind NAT64", nil, "http://[64:ff9b::a9fe:a9fe]", egress.ErrUnnamed},
		{"API-32 unspecified", nil, "http://0.0.0.0:8080", egress.ErrUnnamed},
		{"API-32 unspecified of six", nil, "http://[::]:8080", egress.ErrUnnamed},
		{"API-32 multicast", nil, "http://224.0.0.1", egress.ErrUnnamed},
		{"API-32 multicast of six", nil, "http://[ff02::1]", egress.ErrUnnamed},
		{"API-32 broadcast", nil, "http://255.255.255.255", egress.ErrUnnamed},
		{"API-32 Teredo", nil, "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]", egress.ErrUnnamed},

		{"API-32 own listener", nil, "http://127.0.0.1:5001", egress.ErrOwn},
		{"API-32 own listener, mapped", nil, "http://[::ffff:127.0.0.1]:5001", egress.ErrOwn},
		{"API-32 own listener through NAT64", nil, "http://[64:ff9b::7f00:1]:5001", egress.ErrOwn},
		{"API-32 own listener through NAT64 that is named without the port", []string{"64:ff9b::7f00:1"}, "http://[64:ff9b::7f00:1]:5001", egress.ErrOwn},
		{"API-32 own listener at every address", nil, "http://10.9.9.9:5002", egress.ErrOwn},
		{"API-32 another machine at a port of ours", nil, "http://10.0.0.5:5002", nil},
		{"API-32 another address of this machine, where we do not listen", nil, "http://10.9.9.9:5001", nil},
		{"API-32 an own name is not every address of this machine", []string{"127.0.0.1"}, "http://127.0.0.1:443", nil},
		{"API-32 another service of this machine", nil, "http://10.9.9.9:5003", nil},
		{"API-32 own public name", nil, "https://core.example", egress.ErrOwn},
		{"API-32 own public name in capitals", nil, "https://CORE.example:443/x", egress.ErrOwn},
		{"API-32 own public name at another port", nil, "https://core.example:8443", nil},
		{"API-32 an entry without port does not open an own listener", []string{"127.0.0.1"}, "http://127.0.0.1:5001", egress.ErrOwn},
		{"API-32 nor localhost", []string{"localhost"}, "http://localhost:5001", egress.ErrOwn},
		{"API-32 nor a range", []string{"127.0.0.0/8"}, "http://127.0.0.1:5002", egress.ErrOwn},
		{"API-32 one with the port does", []string{"127.0.0.1:5001"}, "http://127.0.0.1:5001", nil},
		{"API-32 and no other port", []string{"127.0.0.1:5001"}, "http://127.0.0.1:5002", egress.ErrOwn},
		{"API-32 nor does another name with the port", []string{"dify.example:5001"}, "http://127.0.0.1:5001", egress.ErrOwn},
		{"API-32 the public name with its port", []string{"core.example:443"}, "https://core.example", nil},

		{"API-32 loopback that is named", []string{"127.0.0.1"}, "http://127.0.0.1:8080", nil},
		{"API-32 names that loopback alone", []string{"127.0.0.1"}, "http://127.0.0.2:8080", egress.ErrUnnamed},
		{"API-32 loopback that is named with a port", []string{"127.0.0.1:8080"}, "http://127.0.0.1:8080", nil},
		{"API-32 names that port alone", []string{"127.0.0.1:8080"}, "http://127.0.0.1:8081", egress.ErrUnnamed},
		{"API-32 localhost where its address is named", []string{"127.0.0.1"}, "http://localhost:8080", nil},
		{"API-32 localhost that is named", []string{"localhost"}, "http://localhost:8080", nil},
		{"API-32 localhost does not name the address", []string{"localhost"}, "http://127.0.0.1:8080", egress.ErrUnnamed},
		{"API-32 a range of loopback", []string{"127.0.0.0/8"}, "http://127.0.0.1:8080", nil},
		{"API-32 everything does not name loopback", []string{"0.0.0.0/0", "::/0"}, "http://127.0.0.1:8080", egress.ErrUnnamed},
		{"API-32 nor does a range that reaches into it", []string{"112.0.0.0/4"}, "http://127.0.0.1:8080", egress.ErrUnnamed},
		{"API-32 loopback of six in brackets", []string{"[::1]:8080"}, "http://[::1]:8080", nil},
		{"API-32 loopback of six in brackets, at every port", []string{"[::1]"}, "http://[::1]:8080", nil},
		{"API-32 a mapped range", []string{"::ffff:10.0.0.0/104"}, "http://10.1.2.3", nil},
		{"API-32 link-local that is named", []string{"169.254.1.0/24"}, "http://169.254.1.1", nil},
		{"API-32 a range does not name a metadata service", []string{"169.254.0.0/16", "100.64.0.0/10"}, "http://169.254.169.254", egress.ErrUnnamed},
		{"API-32 nor that one", []string{"169.254.0.0/16", "100.64.0.0/10"}, "http://100.100.100.200", egress.ErrUnnamed},
		{"API-32 its exact address does", []string{"169.254.169.254"}, "http://169.254.169.254", nil},

		{"API-32 outside of the list", []string{"dify.example"}, "http://other.example", egress.ErrOutside},
		{"API-32 a private address outside of the list", []string{"10.0.0.0/24"}, "http://10.0.1.1", egress.ErrOutside},
		{"API-32 behind NAT64 outside of the list", []string{"64:ff9b::/96"}, "http://[64:ff9b::a00:1]", egress.ErrOutside},
		{"API-32 a name on the list", []string{"dify.example"}, "http://DIFY.example:8080", nil},
		{"API-32 a name at another port", []string{"dify.example:8080"}, "http://dify.example:8081", egress.ErrOutside},
		{"API-32 a name whose address may be on the list", []string{"10.0.0.0/24"}, "http://other.example", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := runtime(t, egress.RuntimeOptions{Allowed: tc.allowed, Own: ownListeners}).Acceptable(tc.address)
			if !errors.Is(err, tc.want) || (tc.want != nil) != (phase(err) == egress.Refused) {
				t.Errorf("%v, not %v", err, tc.want)
			}
		})
	}
	for _, bad := range []string{"", "http://dify", "10.0.0.0/33", "a b", "fe80::1%eth0", "0177.0.0.1", "dify.example:0", "dify.example:http", "dify.example:65536", "10.0.0.1:070", "[fe80::1%eth0]:80"} {
		if egress.RuntimeHosts([]string{"dify.example", bad}) == nil {
			t.Errorf("an entry %q was taken", bad)
		}
	}
}

func TestNamesOfRuntimes(t *testing.T) {
	for _, tc := range []struct {
		name    string
		allowed []string
		answers []string
		port    string
		want    error
	}{
		{"API-32 a name that means loopback", nil, []string{"127.0.0.1"}, "80", egress.ErrUnnamed},
		{"API-32 a name that means it beside a good one", nil, []string{"10.0.0.5", "127.0.0.1"}, "80", egress.ErrUnnamed},
		{"API-32 a name that means link-local", nil, []string{"169.254.169.254"}, "80", egress.ErrUnnamed},
		{"API-32 a name that means link-local of a network card", nil, []string{"fe80::1%eth0"}, "80", egress.ErrAddress},
		{"API-32 a name that means mapped loopback", nil, []string{"::ffff:127.0.0.1"}, "80", egress.ErrUnnamed},
		{"API-32 a name that means an own listener", []string{"127.0.0.1"}, []string{"127.0.0.1"}, "5001", egress.ErrOwn},
		{"API-32 a name that means another of this machine's addresses", nil, []string{"10.9.9.9"}, "5002", egress.ErrOwn},
		{"API-32 a name on the list does not name loopback", []string{"dify.example"}, []string{"127.0.0.1"}, "80", egress.ErrUnnamed},
		{"API-32 nor a metadata service", []string{"dify.example"}, []string{"169.254.169.254"}, "80", egress.ErrUnnamed},
		{"API-32 a name whose address is not on the list", []string{"10.0.0.0/24"}, []string{"10.0.1.5"}, "80", egress.ErrOutside},
		{"API-32 one of two is not on the list", []string{"10.0.0.0/24"}, []string{"10.0.0.5", "10.0.1.5"}, "80", egress.ErrOutside},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := runtime(t, egress.RuntimeOptions{Allowed: tc.allowed, Own: ownListeners, Resolver: &names{answers: [][]netip.Addr{addrs(tc.answers...)}}})
			if _, err := get(t, r, "http://dify.example:"+tc.port); !errors.Is(err, tc.want) || phase(err) != egress.Refused {
				t.Errorf("%v, not %v", err, tc.want)
			}
		})
	}
	t.Run("API-32 a name on the list is called wherever else it leads", func(t *testing.T) {
		r := runtime(t, egress.RuntimeOptions{Allowed: []string{"dify.example"}, Connect: 20 * time.Millisecond, Resolver: &names{answers: [][]netip.Addr{addrs("192.0.2.1")}}})
		if _, err := get(t, r, "http://dify.example"); err == nil || phase(err) == egress.Refused {
			t.Error(err)
		}
	})
	t.Run("API-32 a name is looked up once and its judged address is called", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(json))
		t.Cleanup(s.Close)
		u, _ := url.Parse(s.URL)
		n := &names{answers: [][]netip.Addr{addrs("127.0.0.1"), addrs("10.255.255.1")}}
		r := runtime(t, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}, Resolver: n})
		if status, err := get(t, r, "http://dify.example:"+u.Port()); status != 200 || err != nil || n.asked != 1 {
			t.Errorf("%d %v, asked %d times", status, err, n.asked)
		}
	})
}

func TestNoRuntimesWithoutWhatIsNeeded(t *testing.T) {
	whole := egress.RuntimeOptions{Now: time.Now, Connect: time.Second, Header: time.Second}
	for name, without := range map[string]func(o *egress.RuntimeOptions){
		"a clock":                    func(o *egress.RuntimeOptions) { o.Now = nil },
		"time for a connection":      func(o *egress.RuntimeOptions) { o.Connect = 0 },
		"time for a head":            func(o *egress.RuntimeOptions) { o.Header = 0 },
		"the port of an own address": func(o *egress.RuntimeOptions) { o.Own = []string{"127.0.0.1"} },
	} {
		o := whole
		without(&o)
		if _, err := egress.NewRuntime(o); err == nil {
			t.Errorf("made without %s", name)
		}
	}
	if _, err := egress.NewRuntime(whole); err != nil {
		t.Error(err)
	}
}

func TestRuntimeCalls(t *testing.T) {
	for name, call := range map[string]by{"do": (*egress.Runtime).Do, "follow": (*egress.Runtime).Follow} {
		t.Run(name, func(t *testing.T) { runtimeCalls(t, call) })
	}
}

func runtimeCalls(t *testing.T, call by) {
	get := func(t *testing.T, r *egress.Runtime, address string) (int, error) {
		t.Helper()
		return getBy(t, call, r, address)
	}
	serve := func(t *testing.T, h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	allowed := []string{"127.0.0.1"}
	t.Run("identity encoding, and no cookie comes back", func(t *testing.T) {
		base := serve(t, func(w http.ResponseWriter, q *http.Request) {
			if q.Header.Get("Accept-Encoding") != "identity" || q.Header.Get("Cookie") != "" {
				t.Errorf("sent %v", q.Header)
			}
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		})
		r := runtime(t, egress.RuntimeOptions{Allowed: allowed})
		for range 2 {
			if status, err := get(t, r, base); status != 200 || err != nil {
				t.Error(status, err)
			}
		}
	})
	for status := 300; status < 309; status++ {
		t.Run("API-32 a redirect is not followed", func(t *testing.T) {
			base := serve(t, func(w http.ResponseWriter, q *http.Request) {
				if q.URL.Path != "/" && q.URL.Path != "" {
					t.Error("followed")
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			})
			if _, err := get(t, runtime(t, egress.RuntimeOptions{Allowed: allowed}), base); phase(err) != egress.Redirect {
				t.Error(err)
			}
		})
	}
	for name, said := range map[string][]string{"an encoding that nobody asked for": {"gzip"}, "two lines of encodings": {"identity", "identity"}} {
		t.Run(name, func(t *testing.T) {
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Encoding"] = said })
			if _, err := get(t, runtime(t, egress.RuntimeOptions{Allowed: allowed}), base); phase(err) != egress.Encoding {
				t.Error(err)
			}
		})
	}
	t.Run("a peer that changes the protocol has answered nothing", func(t *testing.T) {
		r := runtime(t, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}})
		_, err := get(t, r, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Upgrade", "x")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}))
		if phase(err) != egress.Protocol {
			t.Error(err)
		}
	})
	t.Run("API-32 the environment's proxy is ignored", func(t *testing.T) {
		proxy := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
		t.Setenv("HTTP_PROXY", proxy)
		t.Setenv("http_proxy", proxy)
		r := runtime(t, egress.RuntimeOptions{Resolver: &names{answers: [][]netip.Addr{addrs("127.0.0.1")}}})
		if _, err := get(t, r, "http://dify.example"); phase(err) != egress.Refused {
			t.Error(err)
		}
	})
	t.Run("no head in time", func(t *testing.T) {
		over := make(chan struct{})
		base := serve(t, func(http.ResponseWriter, *http.Request) { <-over })
		t.Cleanup(func() { close(over) })
		if _, err := get(t, runtime(t, egress.RuntimeOptions{Allowed: allowed, Header: 20 * time.Millisecond}), base); phase(err) != egress.Timeout {
			t.Error(err)
		}
	})
	t.Run("a certificate of nobody we trust", func(t *testing.T) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(json))
		s.Config.ErrorLog = quiet
		s.StartTLS()
		t.Cleanup(s.Close)
		if _, err := get(t, runtime(t, egress.RuntimeOptions{Allowed: allowed}), s.URL); phase(err) != egress.TLS {
			t.Error(err)
		}
		if status, err := get(t, runtime(t, egress.RuntimeOptions{Allowed: allowed, Roots: roots(s)}), s.URL); status != 200 || err != nil {
			t.Error(status, err)
		}
	})
}
