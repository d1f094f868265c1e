// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/apps"
)

type permittedQuery struct {
	Page  int    `json:"page" doc:"which one, from 1" api:"min=1;default=1"`
	Limit int    `json:"limit" doc:"rows of a page" api:"min=1;max=200;default=20"`
	Mode  string `json:"mode" doc:"apps of this mode alone" api:"enum=chat|agent-chat|advanced-chat|completion|workflow|agent|channel|rag-pipeline"`
	Name  string `json:"name" doc:"an app's id, or a part of names in any case and width" api:"max=200"`
}

// permittedApps lists what people without an account may run, whatever its workspace.
func (a *api) permittedApps(c *fiber.Ctx) error {
	s, err := parseSearch(c, searchStrict)
	if err != nil {
		return err
	}
	list, total, err := a.Apps.Permitted(c.UserContext(), s.Search)
	if err != nil {
		return err
	}
	return c.JSON(s.answer(list, total, permittedRow))
}

// permittedRow leaves out what members alone know of an app: who has made it, and how they
// sort it.
func permittedRow(m apps.Summary) appJSON {
	m.Tags, m.CreatedByName = nil, ""
	return newAppJSON(m)
}
