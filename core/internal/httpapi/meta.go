// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// compatible is the API version that existing clients ask for; ours follows as build
// metadata, which they ignore.
const compatible = "1.14.2"

// health answers while the process runs and touches nothing.
func (a *api) health(c *fiber.Ctx) error {
	return c.JSON(struct {
		OK bool `json:"ok"`
	}{true})
}

func (a *api) version(c *fiber.Ctx) error {
	return c.JSON(struct {
		Version string `json:"version"`
		Edition string `json:"edition"`
	}{compatible + "+" + a.Version, edition})
}

const readyRetry = 5 * time.Second

// ready says whether every store can be asked, never which cannot.
func (a *api) ready(c *fiber.Ctx) error {
	if !a.Ready() {
		return fault.ErrUnavailable.RetryAfter(readyRetry)
	}
	return c.JSON(struct {
		Ready bool `json:"ready"`
	}{true})
}
