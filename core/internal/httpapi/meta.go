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

type healthResponse struct {
	OK bool `json:"ok"`
}

// health answers while the process runs and touches nothing.
func (a *api) health(c *fiber.Ctx) error { return c.JSON(healthResponse{true}) }

type versionResponse struct {
	Version string `json:"version" doc:"that of the API, after the plus sign that of this program"`
	Edition string `json:"edition"`
}

func (a *api) version(c *fiber.Ctx) error {
	return c.JSON(versionResponse{compatible + "+" + a.Version, edition})
}

// documentPath is where the API describes itself.
const documentPath = base + "/openapi.json"

// openAPI is the API's document, which is the same for everybody and as long as this
// process runs.
func (a *api) openAPI(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, json)
	document, err := a.document()
	if err != nil {
		return err
	}
	return c.Send(document)
}

const readyRetry = 5 * time.Second

type readyResponse struct {
	Ready bool `json:"ready"`
}

// ready says whether every store can be asked, never which cannot.
func (a *api) ready(c *fiber.Ctx) error {
	if !a.Ready() {
		return fault.ErrUnavailable.RetryAfter(readyRetry)
	}
	return c.JSON(readyResponse{true})
}
