// SPDX-License-Identifier: Apache-2.0

package app

import (
	"log/slog"
	"time"

	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/settings"
)

// TLS reports whether both listeners serve https.
func (s *Settings) TLS() bool { return s.TLSCertFile != "" }

func (s *Settings) tls() settings.TLS {
	return settings.TLS{CertFile: s.TLSCertFile, KeyFile: s.TLSKeyFile, PublicKey: "CONSOLE_API_URL", Public: s.Public}
}

// Certificate reads the pair that the settings name; nil where they name none. It
// returns config.Problems, and adds a warning of a pair that serves nobody well.
func (s *Settings) Certificate(now func() time.Time, log *slog.Logger) (*server.Certificate, error) {
	cert, warnings, err := s.tls().Load(now, log, len(s.TrustedProxies) > 0)
	s.Warnings = append(s.Warnings, warnings...)
	return cert, err
}
