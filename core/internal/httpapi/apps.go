// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

const (
	appsLimit   = 20
	maxAppName  = 200 // characters of a search
	maxAppLabel = 100 // characters of a tag in a search
)

type tagJSON struct {
	Name string `json:"name"`
}

func tagsOf(names []string) []tagJSON {
	out := make([]tagJSON, 0, len(names)) // a null array crashes the existing client
	for _, name := range names {
		out = append(out, tagJSON{Name: name})
	}
	return out
}

// appJSON is an app in a list.
type appJSON struct {
	ID            string    `json:"id" api:"format=uuid"`
	Name          string    `json:"name"`
	Description   string    `json:"description"`
	Mode          string    `json:"mode" api:"enum=chat|agent-chat|advanced-chat|completion|workflow|agent|channel|rag-pipeline"`
	Tags          []tagJSON `json:"tags" doc:"empty for callers without an account"`
	UpdatedAt     string    `json:"updated_at" api:"format=date-time"`
	CreatedByName *string   `json:"created_by_name" doc:"null where no account has made it, or the caller has none"`
	WorkspaceID   string    `json:"workspace_id" api:"format=uuid"`
	WorkspaceName string    `json:"workspace_name"`
}

func newAppJSON(m apps.Summary) appJSON {
	row := appJSON{
		ID: m.ID, Name: m.Name, Description: m.Description, Mode: string(m.Mode), Tags: tagsOf(m.Tags), UpdatedAt: stamp(m.UpdatedAt),
		WorkspaceID: m.WorkspaceID, WorkspaceName: m.WorkspaceName,
	}
	if m.CreatedByName != "" {
		row.CreatedByName = &m.CreatedByName
	}
	return row
}

type appsQuery struct {
	WorkspaceID string `json:"workspace_id" doc:"a workspace of the caller" api:"required"`
	Page        int    `json:"page" doc:"which one, from 1" api:"min=1;default=1"`
	Limit       int    `json:"limit" doc:"rows of a page" api:"min=1;max=200;default=20"`
	Mode        string `json:"mode" doc:"apps of this mode alone" api:"enum=chat|agent-chat|advanced-chat|completion|workflow|agent|channel|rag-pipeline"`
	Name        string `json:"name" doc:"an app's id, or a part of names in any case and width" api:"max=200"`
	Tag         string `json:"tag" doc:"the name of a tag" api:"max=100"`
}

// apps lists what a member may run in a workspace.
func (a *api) apps(c *fiber.Ctx) error {
	s, err := parseSearch(c, searchOpen)
	if err != nil {
		return err
	}
	who := callerOf(c)
	list, total, err := a.Apps.Usable(c.UserContext(), who.Place.Workspace.ID, who.Subject.AccountID, s.Search)
	if err != nil {
		return err
	}
	return c.JSON(s.answer(list, total, newAppJSON))
}

// search is a search with the page that it asks for.
type search struct {
	apps.Search
	page int
}

func (s search) answer(list []apps.Summary, total int, row func(apps.Summary) appJSON) pageJSON[appJSON] {
	rows := make([]appJSON, 0, len(list))
	for _, m := range list {
		rows = append(rows, row(m))
	}
	return pageJSON[appJSON]{Page: s.page, Limit: s.Limit, Total: total, HasMore: s.page*s.Limit < total, Data: rows}
}

// What becomes of a parameter that a list of apps does not know.
const (
	searchOpen   = false // it is ignored
	searchStrict = true  // it is refused, and so is tag
)

// parseSearch reads the query of a list of apps.
func parseSearch(c *fiber.Ctx, strict bool) (search, error) {
	s := search{page: 1, Search: apps.Search{Limit: appsLimit}}
	query, err := wire.Query(string(c.Request().URI().QueryString()))
	if err != nil {
		return s, asInvalidParam(err)
	}
	var problems wire.Problems
	for _, name := range query.Names() {
		text, _ := query.Get(name)
		switch {
		case name == "page":
			s.page = inRange(&problems, name, text, 1, 1<<31-1)
		case name == "limit":
			s.Limit = inRange(&problems, name, text, 1, maxLimit)
		case name == "mode":
			if s.Mode = apps.Mode(text); !s.Mode.Known() {
				problems.Add("enum", "is not a mode of apps", name)
			}
		case name == "name":
			if checkText(&problems, name, text, maxAppName) {
				s.ID, s.Folded = sought(text)
			}
		case name == "tag" && !strict:
			if checkText(&problems, name, text, maxAppLabel) {
				s.Tag = text
			}
		case strict:
			problems.Add("extra_forbidden", "is not a parameter of this route", name)
		}
	}
	s.Offset = (s.page - 1) * s.Limit
	return s, problems.Fault(errInvalidParam)
}

// sought tells an id, in either case, from a part of names.
func sought(text string) (id, folded string) {
	if id := strings.ToLower(text); canon.IsID(id) {
		return id, ""
	}
	return "", apps.Fold(text)
}

// checkText bounds a text that is sought. NUL is in no text of the registry, and Postgres
// takes it for none.
func checkText(p *wire.Problems, name, text string, longest int) bool {
	switch {
	case utf8.RuneCountInString(text) > longest:
		p.Add("too_long", "is too long", name)
	case strings.ContainsRune(text, 0):
		p.Add("value_error", "must not contain NUL", name)
	default:
		return true
	}
	return false
}
