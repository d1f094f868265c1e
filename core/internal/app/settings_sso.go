// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/x509"
	"net/url"
	"os"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/pkg/settings"
)

// ssoSettings are what the settings of the Enterprise Edition become.
type ssoSettings struct {
	bridge       *url.URL       // of its second listener, without a path
	bridgePublic *url.URL       // under which browsers reach it
	roots        *x509.CertPool // nil takes the system's
	keys         *keyset.Set    // as the file was when the settings were read
}

// edition names the settings that mean nothing without the Enterprise Edition, and says
// whether each was changed.
func (c Config) edition() []editionSetting {
	defaults := Defaults()
	return []editionSetting{
		{"SSO_BRIDGE_URL", c.BridgeURL != ""}, {"SSO_BRIDGE_PUBLIC_URL", c.BridgePublicURL != ""}, {"SSO_BRIDGE_CA_FILE", c.BridgeCAFile != ""},
		{"SSO_BRIDGE_TIMEOUT", c.BridgeTimeout != defaults.BridgeTimeout}, {"KEYSET_FILE", c.KeysetFile != ""},
		{"SSO_DEVICE_ENABLED", c.CompanyDevices != defaults.CompanyDevices}, {"SSO_ACCOUNT_ENABLED", c.CompanyAccounts != defaults.CompanyAccounts},
	}
}

type editionSetting struct {
	key     string
	changed bool
}

// judgeEdition checks the settings of the Enterprise Edition. Half of them is refused:
// whoever turns it on must not find the other edition running.
func (s *Settings) judgeEdition(problems *config.Problems) {
	if !s.Enterprise {
		for _, setting := range s.edition() {
			if setting.changed {
				s.Warnings = append(s.Warnings, setting.key+" is ignored: ENTERPRISE_ENABLED is not true")
			}
		}
		return
	}
	s.sso = &ssoSettings{}
	required := func(key, value, more string) bool {
		if value == "" {
			problems.Add(key, "is required with ENTERPRISE_ENABLED=true%s", more)
		}
		return value != ""
	}
	if required("SSO_BRIDGE_URL", s.BridgeURL, "") {
		s.judgeBridge(problems)
	}
	if required("SSO_BRIDGE_PUBLIC_URL", s.BridgePublicURL, "") {
		public, reason := settings.Origin(s.BridgePublicURL)
		if reason != "" {
			problems.Add("SSO_BRIDGE_PUBLIC_URL", "%s", reason)
		}
		s.sso.bridgePublic = public
		if public != nil && s.Public != nil && public.Hostname() == s.Public.Hostname() && !settings.Loopback(public.Hostname()) {
			s.Warnings = append(s.Warnings, "SSO_BRIDGE_PUBLIC_URL is on the host of CONSOLE_API_URL: browsers send console sessions to sso-bridge too; a host of its own keeps them from it")
		}
	}
	if s.BridgeCAFile != "" {
		roots, err := settings.Roots(s.BridgeCAFile)
		if err != nil {
			problems.Add("SSO_BRIDGE_CA_FILE", "%s", err)
		}
		s.sso.roots = roots
	}
	if s.BridgeTimeout < time.Second || s.BridgeTimeout > 30*time.Second {
		problems.Add("SSO_BRIDGE_TIMEOUT", "must be 1s to 30s")
	}
	if required("KEYSET_FILE", s.KeysetFile, ": core keyset new makes it") {
		s.judgeKeyset(problems)
	}
}

// judgeBridge takes SSO_BRIDGE_URL apart. Unlike a public address it may be plain http:
// whoever runs both in one closed network may choose so.
func (s *Settings) judgeBridge(problems *config.Problems) {
	bridge, clear, wrong := settings.Inner(s.BridgeURL, "https://sso-bridge.internal:5004")
	if wrong != "" {
		problems.Add("SSO_BRIDGE_URL", "%s", wrong)
	}
	if clear {
		s.Warnings = append(s.Warnings, "SSO_BRIDGE_URL is plain http: whoever sits between core and sso-bridge reads who signs in")
	}
	s.sso.bridge = bridge
}

// judgeKeyset reads the key set, so that its problems are listed with all others. The
// keys that core may have made itself are compared when they are known.
func (s *Settings) judgeKeyset(problems *config.Problems) {
	set, err := keyset.Load(s.KeysetFile, time.Now())
	if err != nil {
		for _, p := range keyset.Problems(err) {
			problems.Add("KEYSET_FILE", "%s", p)
		}
		return
	}
	s.sso.keys = set
	var sealing []byte
	if s.SealingKeyFile != "" {
		sealing, _ = os.ReadFile(s.SealingKeyFile) // an unreadable one is reported where it is needed
	}
	ownkeys.Apart(set, s.SecretKey, s.SecretKeyPrevious, sealing, problems)
}
