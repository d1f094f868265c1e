// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/dify-sso/dify-sso/core/internal/openapi"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// forBrowsers are routes below the API's path that browsers are sent to, because the
// cookies of a company sign-in go nowhere else.
var forBrowsers = []string{devicePath + "/sso-", devicePath + "/approve-external", devicePath + "/deny-external"}

// InDocument reports whether the routes below a path are described by the API's
// document: all that is not for people's eyes.
func InDocument(path string) bool {
	return path != approvalPath && !slices.ContainsFunc(forBrowsers, func(p string) bool { return strings.HasPrefix(path, p) }) &&
		slices.ContainsFunc([]string{base + "/", "/console/api/", wellKnown}, func(p string) bool { return strings.HasPrefix(path, p) })
}

// Document gives the API's OpenAPI document for a public origin, a version of this program
// and an edition, as GET /openapi/v1/openapi.json serves it.
func Document(public *url.URL, version string, enterprise bool) ([]byte, error) {
	d := Deps{Public: public, Version: version}
	if enterprise {
		d.Enterprise, d.SSO = true, &sso.Service{}
	}
	a := newAPI(d)
	return a.describe(a.table())
}

// describe writes the document of a table. It fails for a row that does not describe
// itself; a test asks for the document of each edition.
func (a *api) describe(rows []row) ([]byte, error) {
	d := describer{api: a, responses: map[string]*openapi.Response{}, schemas: map[string]*openapi.Schema{}}
	paths := map[string]openapi.Path{}
	seen := map[string]bool{}
	for _, r := range rows {
		if !InDocument(r.path) {
			continue
		}
		op, err := d.operation(r)
		if err != nil {
			return nil, fmt.Errorf("httpapi: route %s %s: %w", r.method, r.path, err)
		}
		if seen[op.OperationID] {
			return nil, fmt.Errorf("httpapi: route %s %s: another is called %s too", r.method, r.path, op.OperationID)
		}
		seen[op.OperationID] = true
		path := template(r.path)
		if paths[path] == nil {
			paths[path] = openapi.Path{}
		}
		paths[path][strings.ToLower(r.method)] = op
	}
	if err := d.failureSchemas(); err != nil {
		return nil, err
	}
	for name, s := range d.types.Schemas {
		if d.schemas[name] != nil {
			return nil, fmt.Errorf("httpapi: a type is called %s like a failure", name)
		}
		d.schemas[name] = s
	}
	return stdjson.Marshal(openapi.Document{
		OpenAPI: openapi.Version,
		Info: openapi.Info{
			Title: documentTitle, Version: a.documentVersion(), Description: documentText,
			License: &openapi.License{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
		},
		Servers: []openapi.Server{{URL: a.public}}, Tags: documentTags, Paths: paths,
		Components: openapi.Components{Schemas: d.schemas, Responses: d.responses, Headers: headers, SecuritySchemes: a.securitySchemes()},
	})
}

func (a *api) documentVersion() string {
	if a.Version == "" {
		return compatible
	}
	return compatible + "+" + a.Version
}

const documentTitle = "dify-sso core"

const documentText = "Device sign-in (RFC 8628), tokens and their owners, and what scripts of a signed-in browser ask. " +
	"Every GET answers HEAD too. What is not listed is 404 not_found, or 405 method_not_allowed with Allow; an installation may switch parts off, which then are 404 or 503. " +
	"Times are UTC with whole seconds; an id in a path that is no UUID reads like an unknown one. " +
	"A request that cannot be read as HTTP is answered with a Failure and 400 or 431 whatever its address."

var documentTags = []openapi.Tag{
	{Name: "meta", Description: "The service itself. Authorization is not looked at."},
	{Name: "oauth", Description: "Device authorization grant (RFC 8628), introspection (RFC 7662) and revocation (RFC 7009)."},
	{Name: "account", Description: "The person and the sessions behind a bearer."},
	{Name: "apps", Description: "Apps, and running them, behind a bearer."},
	{Name: "permitted-external-apps", Description: "Apps that people without an account may run, behind their bearer."},
	{Name: "workspaces", Description: "Workspaces and their members, behind a bearer."},
	{Name: "console", Description: "What scripts of a signed-in browser ask; a console session and, for writes, its CSRF token."},
}

func tagOf(path string) string {
	if strings.HasPrefix(path, "/console/") {
		return "console"
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path, base+"/"), "/")
	if slices.ContainsFunc(documentTags, func(t openapi.Tag) bool { return t.Name == first }) {
		return first
	}
	return "meta"
}

// The names of the security schemes.
const (
	schemeBearer = "bearer"
	schemeCookie = "consoleSession"
	schemeCSRF   = "csrfToken"
	schemeBasic  = "introspectionClient"
)

func (a *api) securitySchemes() map[string]openapi.SecurityScheme {
	return map[string]openapi.SecurityScheme{
		schemeBearer: {Type: "http", Scheme: "bearer", Description: "An access token of the device flow."},
		schemeCookie: {Type: "apiKey", In: "cookie", Name: a.cookieName(sessionCookie), Description: "The session that signing in begins. Authorization is never looked at beside it."},
		schemeCSRF:   {Type: "apiKey", In: "header", Name: "X-CSRF-Token", Description: "From GET /console/api/csrf-token, bound to the session; X-CSRFToken is taken too. Origin, where sent, is this service's."},
		schemeBasic:  {Type: "http", Scheme: "basic", Description: "An entry of INTROSPECTION_CLIENTS."},
	}
}

func security(class caller) []map[string][]string {
	one := func(names ...string) map[string][]string {
		m := map[string][]string{}
		for _, n := range names {
			m[n] = []string{}
		}
		return m
	}
	switch class {
	case bearer:
		return []map[string][]string{one(schemeBearer)}
	case cookieRead:
		return []map[string][]string{one(schemeCookie)}
	case cookieWrite:
		return []map[string][]string{one(schemeCookie, schemeCSRF)}
	case cookieLoose:
		return []map[string][]string{one(schemeCookie, schemeCSRF), one()}
	case client:
		return []map[string][]string{one(schemeBasic)}
	default:
		return []map[string][]string{}
	}
}

// events stands in operation.answers for a stream of events (text/event-stream), and mixed
// for one of two: what it lists comes with its own content type.
type (
	events struct{}
	mixed  []any
)

func isEvents(answer any) bool { _, ok := answer.(events); return ok }

const (
	eventStream = "text/event-stream"
	eventsText  = "Events as the app's runtime sends them, each \"data: \" with a JSON object whose member event names it, and a blank line; \"event: ping\" after 10 s of silence. The last is final, or is error with code, status and message."
)

// describer collects what operations share.
type describer struct {
	api       *api
	types     openapi.Types
	responses map[string]*openapi.Response
	schemas   map[string]*openapi.Schema
}

func (d *describer) operation(r row) (*openapi.Operation, error) {
	about := r.about
	if about.summary == "" || len(about.answers) == 0 && len(about.fails) == 0 {
		return nil, errors.New("does not say what it is for and what it answers (row.about)")
	}
	if (about.body != nil) != (len(r.media) > 0) {
		return nil, errors.New("takes a body that it does not describe, or describes one that it does not take (row.about.body)")
	}
	if slices.Contains(about.fails, nil) {
		return nil, errors.New("lists a failure that is none (row.about.fails)")
	}
	op := &openapi.Operation{
		Tags: []string{tagOf(r.path)}, Summary: about.summary, OperationID: operationID(r), Security: security(r.caller), Responses: map[string]*openapi.Response{},
	}
	for _, name := range pathParameters(r.path) {
		text := pathTexts[name]
		if name == "id" && strings.Contains(r.path, "/apps/") {
			text = pathTexts[appParam]
		}
		if text == "" {
			return nil, fmt.Errorf("has a parameter %s in its path of which nobody says what it is (pathTexts)", name)
		}
		op.Parameters = append(op.Parameters, openapi.Parameter{Name: name, In: "path", Description: text, Required: true, Schema: &openapi.Schema{Type: "string"}})
	}
	if about.query != nil {
		params, err := d.types.Query(about.query)
		if err != nil {
			return nil, err
		}
		op.Parameters = append(op.Parameters, params...)
	}
	if err := d.body(op, r); err != nil {
		return nil, err
	}
	for status, answer := range about.answers {
		if status < 200 || status > 299 {
			return nil, fmt.Errorf("answers %d, which is no success; failures are in row.about.fails", status)
		}
		res := &openapi.Response{Description: http.StatusText(status), Headers: headersOf(r, status)}
		sample := about.samples[status]
		if sample == nil {
			sample = d.api.sampleOf(answer)
		}
		if err := d.content(res, answer, sample); err != nil {
			return nil, fmt.Errorf("%d: %w", status, err)
		}
		op.Responses[strconv.Itoa(status)] = res
	}
	for status := range about.samples {
		if about.answers[status] == nil {
			return nil, fmt.Errorf("has an example of %d, which it does not answer", status)
		}
	}
	d.failures(op, r)
	return op, nil
}

// content adds the body of an answer, of each content type that it may have.
func (d *describer) content(res *openapi.Response, answer, sample any) error {
	if answer == nil {
		return nil
	}
	answers, ok := answer.(mixed)
	if !ok {
		answers = mixed{answer}
	}
	samples, ok := sample.(mixed)
	if !ok && sample != nil {
		samples = mixed{sample}
	}
	if len(samples) > 0 && len(samples) != len(answers) {
		return errors.New("has other answers than examples")
	}
	res.Content = map[string]openapi.Media{}
	for i, one := range answers {
		media, m := json, openapi.Media{}
		if isEvents(one) {
			media, m.Schema = eventStream, &openapi.Schema{Type: "string", Description: eventsText}
		} else {
			var err error
			if m.Schema, err = d.types.Of(one, openapi.Answer); err != nil {
				return err
			}
		}
		if len(samples) > 0 {
			if _, text := samples[i].(string); text != isEvents(one) {
				return errors.New("a stream's example is its text, and no other's")
			}
			m.Example = samples[i]
		}
		if _, twice := res.Content[media]; twice {
			return errors.New("two answers of one content type: they are an openapi.OneOf")
		}
		res.Content[media] = m
	}
	return nil
}

func (d *describer) body(op *openapi.Operation, r row) error {
	if len(r.media) == 0 {
		return nil
	}
	op.Body = &openapi.RequestBody{Required: true, Content: map[string]openapi.Media{}}
	for _, media := range r.media {
		way := openapi.Body
		switch {
		case media == form, media == parts:
			way = openapi.Form
		case r.about.strict:
			way = openapi.StrictBody
		}
		s, err := d.types.Of(r.about.body, way)
		if err != nil {
			return err
		}
		m := openapi.Media{Schema: s}
		if media != parts {
			if m.Example = r.about.sample; m.Example == nil {
				m.Example = d.api.sampleOf(r.about.body)
			}
		}
		op.Body.Content[media] = m
	}
	return nil
}

// failures describes what is not a success, by status: what the row's guards refuse
// with, and what the row says of its handler.
func (d *describer) failures(op *openapi.Operation, r row) {
	byStatus := map[int][]*fault.Error{}
	for _, f := range append(classFailures(r), r.about.fails...) {
		status := server.Status(f.Kind())
		if !slices.ContainsFunc(byStatus[status], func(g *fault.Error) bool { return g.Code() == f.Code() && g.IsVerdict() == f.IsVerdict() }) {
			byStatus[status] = append(byStatus[status], f)
		}
	}
	for status, list := range byStatus {
		name, res := d.failure(r, status, list)
		if have := d.responses[name]; have != nil && !reflect.DeepEqual(have, res) {
			name += "." + strings.ReplaceAll(r.caller.String(), " ", "-") // the same codes with other words
		}
		d.responses[name] = res
		op.Responses[strconv.Itoa(status)] = &openapi.Response{Ref: "#/components/responses/" + name}
	}
}

// pathTexts say what stands in a path.
var pathTexts = map[string]string{
	appParam: "the app's id", workspaceParam: "the workspace's id", "member": "the member's account id", "id": "the session's id",
	"task": "the task_id of a run's events", "run": "the workflow_run_id of a run's events", "token": "the form_token of human_input_required",
	"conversation": "the conversation_id of a run's events", "import": "the import's id",
}

// template is a path as the document writes it.
func template(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, ":") {
			parts[i] = "{" + p[1:] + "}"
		}
	}
	return strings.Join(parts, "/")
}

func pathParameters(path string) (names []string) {
	for _, p := range strings.Split(path, "/") {
		if strings.HasPrefix(p, ":") {
			names = append(names, p[1:])
		}
	}
	return names
}

// operationID makes a name of method and path, stable as both are.
func operationID(r row) string {
	id := strings.ToLower(r.method)
	path := strings.Replace(strings.TrimPrefix(r.path, base), "/console/api/", "/console/", 1)
	if strings.HasPrefix(path, wellKnown) {
		path = strings.ReplaceAll(strings.TrimPrefix(path, wellKnown), base, "/of/api")
	}
	for _, part := range strings.FieldsFunc(path, func(c rune) bool { return strings.ContainsRune("/._-", c) }) {
		if strings.HasPrefix(part, ":") {
			part = "by" + upper(part[1:])
		}
		id += upper(part)
	}
	return id
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
