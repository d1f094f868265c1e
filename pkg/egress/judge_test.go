// SPDX-License-Identifier: Apache-2.0

package egress_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
)

// names answers each look-up with the next list, the last one for ever.
type names struct {
	answers [][]netip.Addr
	asked   int
}

func (n *names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	i := min(n.asked, len(n.answers)-1)
	n.asked++
	if i < 0 {
		return nil, errors.New("no such host")
	}
	return n.answers[i], nil
}

func addrs(list ...string) []netip.Addr {
	out := make([]netip.Addr, len(list))
	for i, a := range list {
		out[i] = netip.MustParseAddr(a)
	}
	return out
}

func client(t *testing.T, o egress.Options) *egress.Client {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	c, err := egress.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func phase(err error) egress.Phase {
	var e *egress.Error
	if errors.As(err, &e) {
		return e.Phase
	}
	return ""
}

func TestAddressesThatAreRefused(t *testing.T) {
	c := client(t, egress.Options{Resolver: &names{}})
	for _, tc := range []struct{ name, address string }{
		{"OIDC-08 http", "http://idp.example/"},
		{"OIDC-08 http to a loopback that nobody allowed", "http://127.0.0.1/"},
		{"OIDC-08 file", "file:///etc/passwd"},
		{"OIDC-08 no host", "https:///x"},
		{"OIDC-08 opaque", "https:idp.example"},
		{"OIDC-08 user information", "https://a:b@idp.example/"},
		{"OIDC-08 fragment", "https://idp.example/#x"},
		{"OIDC-08 empty fragment", "https://idp.example/#"},
		{"OIDC-08 octal", "https://0177.0.0.1/"},
		{"OIDC-08 decimal", "https://2130706433/"},
		{"OIDC-08 hexadecimal", "https://0x7f000001/"},
		{"OIDC-08 hexadecimal part", "https://127.0.0.0x1/"},
		{"OIDC-08 short form", "https://127.1/"},
		{"OIDC-08 zone", "https://[fe80::1%25eth0]/"},
		{"OIDC-08 final dot", "https://localhost./"},
		{"OIDC-08 full-width digits", "https://１２７.0.0.1/"},
		{"OIDC-08 port 0", "https://idp.example:0/"},
		{"OIDC-08 loopback", "https://127.0.0.1/"},
		{"OIDC-08 loopback of six", "https://[::1]/"},
		{"OIDC-08 mapped", "https://[::ffff:127.0.0.1]/"},
		{"OIDC-08 mapped, in hexadecimal", "https://[::ffff:a9fe:a9fe]/"},
		{"OIDC-08 compatible", "https://[::127.0.0.1]/"},
		{"OIDC-08 NAT64", "https://[64:ff9b::a00:1]/"},
		{"OIDC-08 metadata service", "https://169.254.169.254/latest"},
		{"OIDC-08 unspecified", "https://0.0.0.0/"},
		{"OIDC-08 unspecified of six", "https://[::]/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := c.Acceptable(tc.address); phase(err) != egress.Refused {
				t.Errorf("acceptable, or another failure: %v", err)
			}
			if _, err := c.Get(t.Context(), tc.address, nil); phase(err) != egress.Refused {
				t.Errorf("called, or another failure: %v", err)
			}
		})
	}
	for _, address := range []string{"https://idp.example", "https://IDP.example:8443/a?b=c", "https://192.1.1.1/", "https://[2606:4700::1]/"} {
		if err := c.Acceptable(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestRangesThatAreRefused(t *testing.T) {
	for _, a := range []string{
		"0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.2", "169.254.1.1", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1",
		"192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:20::1", "2001:db8::1",
		"2002:a00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
	} {
		t.Run("OIDC-08 a name that means "+a, func(t *testing.T) {
			// One good address before it does not help: every result is judged.
			c := client(t, egress.Options{Resolver: &names{answers: [][]netip.Addr{addrs("1.1.1.1", a)}}})
			if _, err := c.Get(t.Context(), "https://idp.example/", nil); phase(err) != egress.Refused {
				t.Errorf("not refused: %v", err)
			}
		})
	}
}

func TestAllowedAddresses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		allow   []string
		address string
		want    bool
	}{
		{"an address", []string{"10.1.2.3"}, "https://10.1.2.3/", true},
		{"an address opens no other", []string{"10.1.2.3"}, "https://10.1.2.4/", false},
		{"a range", []string{"10.0.0.0/8"}, "https://10.1.2.4/", true},
		{"the mapped form of an allowed one", []string{"10.0.0.0/8"}, "https://[::ffff:10.1.2.4]/", true},
		{"a range of six", []string{"fd12::/16"}, "https://[fd12::1]/", true},
		{"http to an allowed loopback", []string{"127.0.0.1"}, "http://127.0.0.1:8080/", true},
		{"http to another allowed address", []string{"10.1.2.3"}, "http://10.1.2.3/", false},
		{"http to localhost", []string{"localhost"}, "http://localhost:8080/", true},
		{"http to a name", []string{"idp.corp"}, "http://idp.corp/", false},
		{"the metadata service is in no range", []string{"169.254.0.0/16", "0.0.0.0/0"}, "https://169.254.169.254/", false},
		{"the metadata service by its exact address", []string{"169.254.169.254"}, "https://169.254.169.254/", true},
		{"the metadata service behind NAT64", []string{"64:ff9b::/96"}, "https://[64:ff9b::a9fe:a9fe]/", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := client(t, egress.Options{Allow: tc.allow}).Acceptable(tc.address); (err == nil) != tc.want {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a name does not open the metadata service", func(t *testing.T) {
		c := client(t, egress.Options{Allow: []string{"idp.corp"}, Resolver: &names{answers: [][]netip.Addr{addrs("169.254.169.254")}}})
		if _, err := c.Get(t.Context(), "https://idp.corp/", nil); phase(err) != egress.Refused {
			t.Error(err)
		}
	})
	t.Run("localhost that means another host", func(t *testing.T) {
		c := client(t, egress.Options{Allow: []string{"localhost"}, Resolver: &names{answers: [][]netip.Addr{addrs("1.1.1.1")}}})
		if _, err := c.Get(t.Context(), "http://localhost/", nil); phase(err) != egress.Refused {
			t.Error(err)
		}
	})
	for _, bad := range []string{"", "https://idp", "10.0.0.0/33", "a b", "fe80::1%eth0", "0177.0.0.1"} {
		if _, err := egress.New(egress.Options{Allow: []string{bad}, Now: time.Now}); err == nil {
			t.Errorf("an entry %q was taken", bad)
		}
	}
}
