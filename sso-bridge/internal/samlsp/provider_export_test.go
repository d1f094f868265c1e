// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// ReadWith lets tests say what a response holds.
func (p *Provider) ReadWith(read func(response string, e Expected, now time.Time, t *login.Trace) (Assertion, error)) {
	p.read = read
}
