// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

// Step is a step of a login.
type Step string

// The steps. Those of company sign-in exist where it does.
const (
	StepCode      Step = "code"       // a device asks for its codes
	StepDecision  Step = "decision"   // a person allows or refuses it
	StepToken     Step = "token"      // the device asks for its token and is not told to wait
	StepConsole   Step = "console"    // a person signs in with a password
	StepSSOStart  Step = "sso_start"  // a browser is sent to the bridge
	StepSSOReturn Step = "sso_return" // it comes back from there
)

// StepEnd says how a step of a login ended.
type StepEnd string

// The ends of a step.
const (
	StepOK      StepEnd = "ok"
	StepRefused StepEnd = "refused" // for what was sent, or who sent it
	StepLimited StepEnd = "limited" // by a rate limit
	StepFailed  StepEnd = "failed"  // by us: a store, the bridge
)

// StepEnds lists every StepEnd.
var StepEnds = []StepEnd{StepOK, StepRefused, StepLimited, StepFailed}

// Steps lists the steps that there are, with company sign-in or without.
func Steps(company bool) []Step {
	list := []Step{StepCode, StepDecision, StepToken, StepConsole}
	if company {
		list = append(list, StepSSOStart, StepSSOReturn)
	}
	return list
}

// stepGuard tells how a row's step ended, whoever of the chain has answered.
func (a *api) stepGuard(step Step) fiber.Handler {
	return func(c *fiber.Ctx) error {
		err := c.Next()
		if errors.Is(err, devicegrant.ErrAuthorizationPending) || errors.Is(err, devicegrant.ErrSlowDown) {
			return err // nothing has ended
		}
		if end := endOf(c, err); end != "" {
			a.Stepped(step, end)
		}
		return err
	}
}

// endOf reads the end of a step from its failure, or from the answer that shows one.
func endOf(c *fiber.Ctx, err error) StepEnd {
	if told, ok := c.Locals(stepKey).(StepEnd); ok {
		return told
	}
	status := c.Response().StatusCode()
	if err != nil {
		status = server.Status(fault.Of(err).Kind())
	}
	switch {
	case status == http.StatusTooManyRequests:
		return StepLimited
	case status >= http.StatusInternalServerError:
		return StepFailed
	case status >= http.StatusBadRequest:
		return StepRefused
	}
	return StepOK
}

// turnedAway notes how a step ended whose answer is a redirect all the same; an empty end
// says that it has not.
func turnedAway(c *fiber.Ctx, how StepEnd) { c.Locals(stepKey, how) }

// endOfSSO is what a public code stands for.
func endOfSSO(code ssocode.Code) StepEnd {
	switch code {
	case ssocode.RateLimited:
		return StepLimited
	case ssocode.Unavailable:
		return StepFailed
	}
	return StepRefused
}
