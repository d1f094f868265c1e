// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	stdjson "encoding/json"
	"net/http"
	"net/url"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// An app's description is its runtime's. Who asks, and for what, is judged here; the rest is
// for a runtime that declares it (docs/specs/v1.0/server/apps.md, Import and export).

type importRequest struct {
	Mode           *string `json:"mode" api:"required;enum=yaml-content|yaml-url"`
	YAMLContent    *string `json:"yaml_content,omitempty" doc:"required with yaml-content"`
	YAMLURL        *string `json:"yaml_url,omitempty" doc:"required with yaml-url; http or https" api:"format=uri"`
	Name           *string `json:"name,omitempty"`
	Description    *string `json:"description,omitempty"`
	AppID          *string `json:"app_id,omitempty" doc:"the app to change; absent makes one" api:"format=uuid"`
	IconType       *string `json:"icon_type,omitempty"`
	Icon           *string `json:"icon,omitempty"`
	IconBackground *string `json:"icon_background,omitempty"`
}

var importSample = importRequest{Mode: new("yaml-content"), YAMLContent: new("kind: app\nversion: 0.5.0\n"), Name: new("Helper")}

// importAnswer is an import as its runtime tells of it, in our names.
type importAnswer struct {
	ID     string           `json:"id" doc:"of one that is pending: what it is confirmed by, within 15 minutes"`
	Status run.ImportStatus `json:"status" api:"enum=completed|completed-with-warnings|pending|failed"`
	AppID  string           `json:"app_id,omitempty" doc:"the app, once there is one here"`
	Error  string           `json:"error,omitempty" doc:"what went wrong, or is left to do"`
}

var importedSample = importAnswer{ID: "01a21f12-39ce-76ff-929f-aef1eef7d6b5", Status: run.ImportCompleted, AppID: "01a21f13-8d2c-7f10-8b1e-1f4c2b7a9d10"}

func answerOf(i run.Import) importAnswer {
	return importAnswer{ID: i.ID, Status: i.Status, AppID: i.AppID, Error: i.Error}
}

// importApp takes the description of an app of the workspace, or of one that is to be.
func (a *api) importApp(c *fiber.Ctx) error {
	var req importRequest
	if err := decodeStrict(c, &req); err != nil {
		return err
	}
	if err := req.judge(); err != nil {
		return err
	}
	var app *apps.App
	if req.AppID != nil {
		var err error
		if app, err = a.built(c, *req.AppID); err != nil {
			return err
		}
	}
	who := callerOf(c)
	done, err := a.Run.Import(c.UserContext(), runCaller(who), who.Place.Workspace.ID, app, req.description())
	if err != nil {
		return err
	}
	return c.JSON(answerOf(done))
}

// built gives an app of the workspace of the path that a body, or an import, names. Whom an
// app's own path would refuse is refused alike.
func (a *api) built(c *fiber.Ctx, id string) (*apps.App, error) {
	who := callerOf(c)
	place, err := a.Apps.Place(c.UserContext(), who.Subject.AccountID, id)
	if err != nil {
		return nil, err
	}
	if place.App.WorkspaceID != who.Place.Workspace.ID {
		return nil, apps.ErrNotFound
	}
	return &place.App, authz.MayReach(authz.Rule{Roles: builders}, place)
}

// description is what is told a runtime: of content and address the one that is meant.
func (r importRequest) description() run.Description {
	d := run.Description{
		Mode: *r.Mode, YAMLContent: r.YAMLContent, Name: r.Name, Description: r.Description, IconType: r.IconType, Icon: r.Icon, IconBackground: r.IconBackground,
	}
	if d.Mode == "yaml-url" {
		d.YAMLContent, d.YAMLURL = nil, r.YAMLURL
	}
	return d
}

func (r importRequest) judge() error {
	var problems wire.Problems
	switch mode := requireText(&problems, r.Mode, "mode"); {
	case mode == "yaml-content":
		requireText(&problems, r.YAMLContent, "yaml_content")
	case mode == "yaml-url":
		text := requireText(&problems, r.YAMLURL, "yaml_url")
		if u, err := url.Parse(text); text != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
			problems.Add("value_error", "must be an http or https address", "yaml_url")
		}
	case mode != "":
		problems.Add("enum", "must be yaml-content or yaml-url", "mode")
	}
	return problems.Fault(errInvalidParam)
}

// confirmImport goes on with an import that the caller has begun in this workspace.
func (a *api) confirmImport(c *fiber.Ctx) error {
	who := callerOf(c)
	done, err := a.Run.ConfirmImport(c.UserContext(), runCaller(who), who.Place.Workspace.ID, param(c, "import"), func(id string) (*apps.App, error) { return a.built(c, id) })
	if err != nil {
		return err
	}
	return c.JSON(answerOf(done))
}

type exportQuery struct {
	IncludeSecret bool   `json:"include_secret" doc:"with the secrets of the app; for owner and admin" api:"default=false"`
	WorkflowID    string `json:"workflow_id" doc:"a version of the app's workflow"`
}

type exportAnswer struct {
	Data string `json:"data" doc:"the description, YAML"`
}

var exportSample = exportAnswer{Data: "kind: app\nversion: 0.5.0\n"}

// exportApp gives an app's description.
func (a *api) exportApp(c *fiber.Ctx) error {
	query, err := wire.Query(string(c.Request().URI().QueryString()))
	if err != nil {
		return asInvalidParam(err)
	}
	var problems wire.Problems
	secrets := trueOrFalse(&problems, query, "include_secret")
	if id, ok := query.Get("workflow_id"); ok && id != "" && !canon.IsID(id) {
		problems.Add("uuid_parsing", "must be a UUID", "workflow_id")
	}
	if err := problems.Fault(errInvalidParam); err != nil {
		return err
	}
	who := callerOf(c)
	if secrets && !who.App.Role.Manages() {
		return workspace.ErrRole
	}
	version, _ := query.Get("workflow_id")
	text, err := a.Run.Export(c.UserContext(), runCaller(who), who.App.App, run.ExportOptions{Secrets: secrets, WorkflowID: version})
	if err != nil {
		return err
	}
	// A text of many MiB is written without the escapes for HTML: six bytes for one.
	var answer bytes.Buffer
	e := stdjson.NewEncoder(&answer)
	e.SetEscapeHTML(false)
	if err := e.Encode(exportAnswer{Data: text}); err != nil {
		return err
	}
	return passOn(c, http.StatusOK, bytes.TrimSuffix(answer.Bytes(), []byte("\n")))
}

type dependenciesAnswer struct {
	Leaked []stdjson.RawMessage `json:"leaked_dependencies" doc:"objects of the runtime's own"`
}

var dependenciesSample = dependenciesAnswer{Leaked: []stdjson.RawMessage{}}

// checkDependencies says what an app needs and its runtime lacks.
func (a *api) checkDependencies(c *fiber.Ctx) error {
	who := callerOf(c)
	leaked, err := a.Run.Dependencies(c.UserContext(), runCaller(who), who.App.App)
	if err != nil {
		return err
	}
	return c.JSON(dependenciesAnswer{Leaked: leaked})
}
