// SPDX-License-Identifier: Apache-2.0

package httpapi

import "github.com/gofiber/fiber/v2"

// edition is what existing clients know a self-hosted installation by.
const edition = "SELF_HOSTED"

// systemFeatures is what a sign-in page of one's own asks first. On the Community
// Edition nobody but core signs people in.
type systemFeatures struct {
	Edition       string     `json:"edition"`
	SSOEnforced   bool       `json:"sso_enforced_for_signin"`
	EmailPassword bool       `json:"enable_email_password_login"`
	WebAppAuth    webAppAuth `json:"webapp_auth"`
}

// webAppAuth tells of sign-in by an identity provider.
type webAppAuth struct {
	Enabled   bool             `json:"enabled"`
	AllowSSO  bool             `json:"allow_sso"`
	SSOConfig webAppAuthConfig `json:"sso_config"`
}

// webAppAuthConfig names the protocol, empty without one.
type webAppAuthConfig struct {
	Protocol string `json:"protocol"`
}

func (a *api) systemFeatures(c *fiber.Ctx) error {
	return c.JSON(systemFeatures{Edition: edition, EmailPassword: true})
}
