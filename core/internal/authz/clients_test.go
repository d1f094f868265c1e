// SPDX-License-Identifier: Apache-2.0

package authz_test

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const (
	gatewaySecret = "a+secret/of%41thirty-two=bytes:x"
	reportSecret  = "another secret of more than thirty-two bytes"
)

func entry(id, password string) string { return id + ":" + secret.DigestOf(password).Hex() }

func basicOf(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func twoClients(t testing.TB) *authz.Clients {
	t.Helper()
	c, err := authz.NewClients([]string{entry("gateway", gatewaySecret), entry("Report_2.x-y", reportSecret), entry("weak", "short")})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClients(t *testing.T) {
	c := twoClients(t)
	for _, tc := range []struct {
		name    string
		headers []string
		want    string // empty is refused
	}{
		{"its own secret", []string{basicOf("gateway", gatewaySecret)}, "gateway"},
		{"the secret encoded as RFC 6749 asks", []string{basicOf("gateway", url.QueryEscape(gatewaySecret))}, "gateway"},
		{"the scheme in another case", []string{"bAsIc" + basicOf("gateway", gatewaySecret)[5:]}, "gateway"},
		{"another client", []string{basicOf("Report_2.x-y", reportSecret)}, "Report_2.x-y"},
		{"a blank in the secret, encoded", []string{basicOf("Report_2.x-y", strings.ReplaceAll(reportSecret, " ", "+"))}, "Report_2.x-y"},
		{"the id in another case", []string{basicOf("Gateway", gatewaySecret)}, ""},
		{"another's secret", []string{basicOf("gateway", reportSecret)}, ""},
		{"an unknown client", []string{basicOf("nobody", gatewaySecret)}, ""},
		{"the digest as secret", []string{basicOf("gateway", secret.DigestOf(gatewaySecret).Hex())}, ""},
		{"a secret that is too short", []string{basicOf("weak", "short")}, ""},
		{"no secret", []string{basicOf("gateway", "")}, ""},
		{"no colon", []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("gateway"))}, ""},
		{"no header", nil, ""},
		{"an empty header", []string{""}, ""},
		{"the scheme alone", []string{"Basic"}, ""},
		{"a bearer", []string{"Bearer " + good}, ""},
		{"another scheme before the right credentials", []string{"Bearer" + basicOf("gateway", gatewaySecret)[5:]}, ""},
		{"something after the right credentials", []string{basicOf("gateway", gatewaySecret) + "*"}, ""},
		{"something after other right credentials", []string{basicOf("Report_2.x-y", reportSecret) + "****"}, ""},
		{"not base64", []string{"Basic *" + basicOf("gateway", gatewaySecret)[6:]}, ""},
		{"base64 over two lines", []string{basicOf("gateway", gatewaySecret)[:20] + "\n" + basicOf("gateway", gatewaySecret)[20:]}, ""},
		{"without its padding", []string{strings.TrimRight(basicOf("gateway", gatewaySecret), "=")}, ""},
		{"a very long one", []string{basicOf("gateway", strings.Repeat("x", 9000))}, ""},
	} {
		t.Run("TK-20 "+tc.name, func(t *testing.T) {
			id, ok, err := c.Authenticate(tc.headers)
			if err != nil || ok != (tc.want != "") || id != tc.want {
				t.Fatalf("%q %t %v", id, ok, err)
			}
		})
	}
	t.Run("M-23 two headers", func(t *testing.T) {
		if id, ok, err := c.Authenticate([]string{basicOf("gateway", gatewaySecret), "Bearer x"}); !errors.Is(err, authz.ErrAmbiguous) || ok || id != "" {
			t.Fatal(id, ok, err)
		}
	})
	t.Run("without an entry nobody is served", func(t *testing.T) {
		none, err := authz.NewClients(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range []string{"", "gateway"} {
			if _, ok, _ := none.Authenticate([]string{basicOf(user, gatewaySecret)}); ok {
				t.Errorf("%q is served", user)
			}
		}
	})
}

func TestEntriesOfClients(t *testing.T) {
	hash := secret.DigestOf(gatewaySecret).Hex()
	for name, entries := range map[string][]string{
		"no hash": {"a"}, "an empty hash": {"a:"}, "a short hash": {"a:" + hash[2:]}, "a long hash": {"a:" + hash + "00"}, "half a byte": {"a:" + hash[1:]}, "half a byte more": {"a:" + hash + "0"}, "something after it": {"a:" + hash + "zz"},
		"a secret in place of its hash": {"a:canary-in-clear-of-thirty-two-bytes"}, "no id": {":" + hash}, "an id with a blank": {"a b:" + hash},
		"a long id": {strings.Repeat("a", 65) + ":" + hash}, "an id twice": {"a:" + hash, "b:" + hash, "a:" + hash},
	} {
		_, err := authz.NewClients(entries)
		if !errors.Is(err, authz.ErrClients) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), hash[:8]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := authz.NewClients([]string{"a:" + strings.ToUpper(hash)}); err != nil {
		t.Errorf("digits in upper case: %v", err)
	}
}

// FuzzBasic: nobody is a client whose header does not hold the right secret, in the one
// spelling or the other, and the parser never panics.
func FuzzBasic(f *testing.F) {
	for _, s := range []string{basicOf("gateway", gatewaySecret), basicOf("gateway", url.QueryEscape(gatewaySecret)), "Basic", "Basic ", "basic Og==", "Basic Zzo=", "Bearer x", "", "Basic \x00", "Basic ====", basicOf("gateway", "%zz"+gatewaySecret)} {
		f.Add(s)
	}
	c := twoClients(f)
	f.Fuzz(func(t *testing.T, header string) {
		id, ok, err := c.Authenticate([]string{header})
		if err != nil || ok != (id != "") {
			t.Fatalf("%q: %q %t %v", header, id, ok, err)
		}
		if !ok {
			return
		}
		_, encoded, _ := strings.Cut(header, " ")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		_, password, _ := strings.Cut(string(raw), ":")
		decoded, _ := url.QueryUnescape(password)
		want := map[string]string{"gateway": gatewaySecret, "Report_2.x-y": reportSecret}[id]
		if err != nil || want == "" || password != want && decoded != want {
			t.Fatalf("%q is served as %s", header, id)
		}
	})
}
