// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// devicePath is the only place that the cookies of a company sign-in go to.
const devicePath = base + "/oauth/device"

// approvalCookie holds the approval grant.
const approvalCookie = "device_approval_grant"

// flowCookie holds the browser's half of a login. __Host- would need the path /, where
// the cookie has no business; what __Secure- leaves to a sub-domain, planting a cookie,
// gives nothing: core's MAC over it comes back with the login or nothing is believed.
func (a *api) flowCookie() string {
	if a.https {
		return "__Secure-device_sso_flow"
	}
	return "device_sso_flow"
}

// ssoFlow gives the flow of this browser.
func (a *api) ssoFlow(c *fiber.Ctx) (sso.Flow, bool) {
	return sso.ParseFlow(onlyCookie(c, a.flowCookie()))
}

// approvalGrant gives the value of the approval grant's cookie, verified or not.
func approvalGrant(c *fiber.Ctx) secret.Text { return onlyCookie(c, approvalCookie) }

// setDeviceCookie writes a cookie of the device branch with its attributes in one fixed
// order; a life of zero clears it.
func (a *api) setDeviceCookie(c *fiber.Ctx, name string, value secret.Text, life time.Duration) {
	var b strings.Builder
	b.WriteString(name + "=" + value.Reveal() + "; Path=" + devicePath + "; Max-Age=" + strconv.Itoa(int(life.Seconds())) + "; HttpOnly")
	if a.https {
		b.WriteString("; Secure")
	}
	b.WriteString("; SameSite=Lax")
	c.Response().Header.Add(fiber.HeaderSetCookie, b.String())
}

func (a *api) clearDeviceCookie(c *fiber.Ctx, name string) {
	a.setDeviceCookie(c, name, secret.Text{}, 0)
}
