// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
)

// BridgePublic is the public address of the bridge of a server of the Enterprise Edition.
const BridgePublic = "https://bridge.example.com"

// Enterprise makes a server one of the Enterprise Edition. Nothing listens where its
// bridge should be, unless a later option names another SSO_BRIDGE_URL.
func Enterprise(t testing.TB) Option {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyset.json")
	f, err := keyset.NewFile("first", time.Now())
	if err == nil {
		err = keyset.Create(path, f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(s *Server) {
		s.Keyset = path
		s.settings["ENTERPRISE_ENABLED"] = "true"
		s.settings["KEYSET_FILE"] = path
		s.settings["SSO_BRIDGE_URL"] = "http://127.0.0.1:9"
		s.settings["SSO_BRIDGE_PUBLIC_URL"] = BridgePublic
	}
}

// Keys gives the key set as its file is now.
func (s *Server) Keys(t testing.TB) *keyset.Set {
	t.Helper()
	set, err := keyset.Load(s.Keyset, s.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// AsBridge gives the Authorization with which the bridge makes one request of the second
// listener.
func (s *Server) AsBridge(t testing.TB, method, uri, body string) string {
	t.Helper()
	bridge, err := envelope.NewInner(envelope.Deps{
		Keys: keyset.NewRing(s.Keys(t)), Audience: envelope.BridgeToCore, Issuer: BridgePublic, Now: s.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	header, err := bridge.Authorization(method, uri, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return header
}
