// SPDX-License-Identifier: Apache-2.0

package idpsource

import (
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// Reader puts another reader in the place of idpmetadata.Parse.
func (s *Service) Reader(parse func([]byte, string, time.Time) (idpmetadata.IdP, idpmetadata.Terms, error)) {
	s.parse = parse
}
