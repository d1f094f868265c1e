// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	stdjson "encoding/json"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/openapi"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// errWorkspaceMismatch: a request names an app and a workspace that is not the app's.
var errWorkspaceMismatch = fault.New(fault.Unprocessable, "workspace_mismatch", "The app is in another workspace than the request says.")

type appInfoJSON struct {
	ID                string    `json:"id" api:"format=uuid"`
	Name              string    `json:"name"`
	Description       string    `json:"description"`
	Mode              string    `json:"mode" doc:"agent, channel and rag-pipeline are not run" api:"enum=chat|agent-chat|advanced-chat|completion|workflow|agent|channel|rag-pipeline"`
	Author            string    `json:"author" doc:"may be empty"`
	Tags              []tagJSON `json:"tags"`
	UpdatedAt         string    `json:"updated_at" api:"format=date-time"`
	ServiceAPIEnabled bool      `json:"service_api_enabled" doc:"whether it can be run"`
	IsAgent           bool      `json:"is_agent" doc:"whether the mode is agent-chat or advanced-chat"`
}

// describeResponse has null for what was not asked for.
type describeResponse struct {
	Info        *appInfoJSON   `json:"info" doc:"null where it was not asked for, as the others"`
	Parameters  *appParameters `json:"parameters" doc:"what the app's runtime answers to GET /v1/parameters, with every member"`
	InputSchema *inputSchema   `json:"input_schema" doc:"what a run's body has to fit, as a JSON Schema of draft 2020-12"`
}

// appParameters is described by its members, and is the runtime's own JSON, with what is
// missing filled in. Of an app that is not set up most members are missing.
type appParameters struct {
	OpeningStatement   *string              `json:"opening_statement"`
	SuggestedQuestions []stdjson.RawMessage `json:"suggested_questions"`
	AfterAnswer        stdjson.RawMessage   `json:"suggested_questions_after_answer,omitempty" api:"holds=object"`
	SpeechToText       stdjson.RawMessage   `json:"speech_to_text,omitempty" api:"holds=object"`
	TextToSpeech       stdjson.RawMessage   `json:"text_to_speech,omitempty" api:"holds=object"`
	RetrieverResource  stdjson.RawMessage   `json:"retriever_resource,omitempty" api:"holds=object"`
	AnnotationReply    stdjson.RawMessage   `json:"annotation_reply,omitempty" api:"holds=object"`
	MoreLikeThis       stdjson.RawMessage   `json:"more_like_this,omitempty" api:"holds=object"`
	UserInputForm      []stdjson.RawMessage `json:"user_input_form" doc:"what inputs an app asks for, as its runtime says it"`
	SensitiveWords     stdjson.RawMessage   `json:"sensitive_word_avoidance,omitempty" api:"holds=object"`
	FileUpload         *map[string]any      `json:"file_upload"`
	SystemParameters   stdjson.RawMessage   `json:"system_parameters" api:"holds=object"`
	_                  openapi.Open
	raw                stdjson.RawMessage
}

// MarshalJSON implements json.Marshaler.
func (p appParameters) MarshalJSON() ([]byte, error) { return p.raw, nil }

// inputSchema is a JSON Schema, as package run writes it.
type inputSchema struct {
	Dialect    string                        `json:"$schema" api:"format=uri"`
	Type       string                        `json:"type" api:"enum=object"`
	Properties map[string]stdjson.RawMessage `json:"properties"`
	Required   []string                      `json:"required"`
	raw        stdjson.RawMessage
}

// MarshalJSON implements json.Marshaler.
func (s inputSchema) MarshalJSON() ([]byte, error) { return s.raw, nil }

type describeQuery struct {
	Fields      string `json:"fields" doc:"a comma list of info, parameters, input_schema; empty for all" api:"pattern=^$|^(info|parameters|input_schema)(,(info|parameters|input_schema))*$"`
	WorkspaceID string `json:"workspace_id" doc:"refused where it is not the app's"`
}

// describeFails is what asking an app's runtime can come to.
var describeFails = []*fault.Error{
	errWorkspaceMismatch, run.ErrUnavailable, run.ErrKeyRejected, run.ErrTimeout, run.ErrUnsupported, run.ErrQuota, run.ErrRefused, run.ErrAppUnavailable,
}

const (
	fieldInfo       = "info"
	fieldParameters = "parameters"
	fieldSchema     = "input_schema"
)

// describeApp says what an app is and what it takes. Its runtime is asked only for what the
// request asks for.
func (a *api) describeApp(c *fiber.Ctx) error {
	app := callerOf(c).App.App
	asked, err := parseDescribe(c, app)
	if err != nil {
		return err
	}
	var out describeResponse
	if asked(fieldInfo) {
		out.Info = infoOf(app)
	}
	if asked(fieldParameters) || asked(fieldSchema) {
		if err := a.describeRuntime(c.UserContext(), app, asked, &out); err != nil {
			return err
		}
	}
	return c.JSON(out)
}

func (a *api) describeRuntime(ctx context.Context, app apps.App, asked func(string) bool, out *describeResponse) error {
	p, err := a.Run.Parameters(ctx, app)
	if err != nil {
		return err
	}
	if asked(fieldParameters) {
		out.Parameters = &appParameters{raw: p.Body}
	}
	if asked(fieldSchema) {
		schema, err := run.InputSchema(app.Mode, p)
		if err != nil {
			return err
		}
		out.InputSchema = &inputSchema{raw: schema}
	}
	return nil
}

func infoOf(app apps.App) *appInfoJSON {
	return &appInfoJSON{
		ID: app.ID, Name: app.Name, Description: app.Description, Mode: string(app.Mode), Author: app.Author, Tags: tagsOf(app.Tags), UpdatedAt: stamp(app.UpdatedAt),
		ServiceAPIEnabled: app.APIEnabled, IsAgent: app.Mode == apps.AgentChat || app.Mode == apps.AdvancedChat,
	}
}

// parseDescribe reads which parts are asked for.
func parseDescribe(c *fiber.Ctx, app apps.App) (asked func(string) bool, err error) {
	query, err := wire.Query(string(c.Request().URI().QueryString()))
	if err != nil {
		return nil, asInvalidParam(err)
	}
	all := []string{fieldInfo, fieldParameters, fieldSchema}
	fields, problems, mismatch := all, wire.Problems{}, false
	for _, name := range query.Names() {
		text, _ := query.Get(name)
		switch name {
		case "fields":
			if text == "" {
				continue
			}
			fields = strings.Split(text, ",")
			if slices.ContainsFunc(fields, func(f string) bool { return !slices.Contains(all, f) }) {
				problems.Add("enum", "must be a comma list of info, parameters and input_schema", name)
			}
		case "workspace_id":
			mismatch = text != app.WorkspaceID
		default:
			problems.Add("extra_forbidden", "is not a parameter of this route", name)
		}
	}
	if err := problems.Fault(errInvalidParam); err != nil {
		return nil, err
	}
	if mismatch {
		return nil, errWorkspaceMismatch
	}
	return func(field string) bool { return slices.Contains(fields, field) }, nil
}
