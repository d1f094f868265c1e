// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/pkg/config"
)

// judgeCallers checks what other services authenticate with.
func (s *Settings) judgeCallers(problems *config.Problems) {
	clients, err := authz.NewClients(s.IntrospectionClients)
	if err != nil {
		problems.Add("INTROSPECTION_CLIENTS", "must be a comma list: %s", err)
	}
	s.clients = clients
}
