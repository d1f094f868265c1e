// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/openapi"
)

// Checked gives a transport that holds every exchange with the API against its document:
// the route, the status, the content type and body of the answer, and of what was
// answered as a success the request too. An exchange that does not fit is an error of
// the request, and Misfits has it for those who expect errors.
func Checked(next http.RoundTripper) http.RoundTripper { return checked{next} }

type checked struct{ next http.RoundTripper }

var misfits struct {
	sync.Mutex
	list []string
}

// Misfits lists the exchanges of this process so far that did not fit the document.
func Misfits() []string {
	misfits.Lock()
	defer misfits.Unlock()
	return slices.Clone(misfits.list)
}

// RoundTrip implements http.RoundTripper.
func (c checked) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := c.next.RoundTrip(req)
	if err != nil || !httpapi.InDocument(req.URL.Path) || req.Method == http.MethodOptions {
		return res, err // a preflight is no route's
	}
	e := Exchange{Method: req.Method, URL: req.URL, Header: req.Header, Status: res.StatusCode, Answer: res.Header}
	if e.Body, e.Unread, err = sent(req); err != nil {
		return nil, err
	}
	if e.streams() { // what may never end is looked at while it is read
		res.Body = &watched{ReadCloser: res.Body, of: e, tell: misfit}
	} else {
		e.AnswerBody, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			return nil, err
		}
		res.Body = io.NopCloser(bytes.NewReader(e.AnswerBody))
	}
	doc, err := document()
	if err == nil {
		err = doc.Check(e)
	}
	if err != nil {
		_ = res.Body.Close()
		return nil, misfit(err)
	}
	return res, nil
}

// sent gives the body of a request; one that can be read once alone is not looked at.
func sent(req *http.Request) (body []byte, unread bool, err error) {
	if req.GetBody == nil {
		return nil, req.Body != nil && req.Body != http.NoBody, nil
	}
	again, err := req.GetBody()
	if err != nil {
		return nil, false, err
	}
	body, err = io.ReadAll(again)
	return body, false, err
}

func misfit(err error) error {
	misfits.Lock()
	defer misfits.Unlock()
	misfits.list = append(misfits.list, err.Error())
	return err
}

// document is that of the Enterprise Edition, which lists all that the other answers too;
// read once.
var document = sync.OnceValues(func() (*Contract, error) {
	raw, err := httpapi.Document(&url.URL{Scheme: "http", Host: "127.0.0.1:5001"}, Version, true)
	if err != nil {
		return nil, err
	}
	return NewContract(raw)
})

// Exchange is a request and its answer.
type Exchange struct {
	Method     string
	URL        *url.URL
	Header     http.Header
	Body       []byte
	Status     int
	Answer     http.Header
	AnswerBody []byte
	// Unread: the request's body is not known.
	Unread bool
}

// streams: the answer is a stream of events, and AnswerBody is not its.
func (e Exchange) streams() bool { return e.Answer.Get("Content-Type") == eventStream }

func (e Exchange) misfit(format string, args ...any) error {
	return fmt.Errorf("M-27 %s %s answered %d %s: %s", e.Method, e.URL.Path, e.Status, e.AnswerBody, fmt.Sprintf(format, args...))
}

// Contract is an OpenAPI document that exchanges are held against. It is safe for
// concurrent use.
type Contract struct {
	doc      openapi.Document
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema // by their place in the document
}

const inMemory = "mem:///openapi.json"

// NewContract reads a document.
func NewContract(raw []byte) (*Contract, error) {
	c := &Contract{compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	if err := json.Unmarshal(raw, &c.doc); err != nil {
		return nil, err
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c.compiler.AssertFormat()
	return c, c.compiler.AddResource(inMemory, tree)
}

// Routes lists the operations as "GET /openapi/v1/account/sessions/{id}".
func (c *Contract) Routes() (list []string) {
	for path, ops := range c.doc.Paths {
		for method := range ops {
			list = append(list, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(list)
	return list
}

// Check says how an exchange does not fit, or nothing.
func (c *Contract) Check(e Exchange) error {
	path, ops := c.find(e.URL.EscapedPath())
	method := strings.ToLower(e.Method)
	if e.Method == http.MethodHead {
		method = "get"
	}
	op := ops[method]
	if op == nil || e.Method != strings.ToUpper(e.Method) || e.Method == http.MethodHead && streams(op) {
		return c.checkUnlisted(e)
	}
	status := strconv.Itoa(e.Status)
	place := pointer("paths", path, method, "responses", status)
	res := op.Responses[status]
	switch {
	case res == nil && c.notServed(e):
		return nil
	case res == nil:
		return e.misfit("the document lists no %s for it. A refusal of the handler belongs into about.fails of the route's row, a success into about.answers "+
			"(core/internal/httpapi/routes_*.go)", status)
	case res.Ref != "":
		name := res.Ref[strings.LastIndex(res.Ref, "/")+1:]
		place, res = pointer("components", "responses", name), c.doc.Components.Responses[name]
	}
	if err := c.checkHeaders(e, res); err != nil {
		return err
	}
	if err := c.checkAnswer(e, res, place); err != nil {
		if c.notServed(e) {
			return nil
		}
		return err
	}
	if e.Status > 299 {
		return nil // what is refused may be anything
	}
	return c.checkRequest(e, op, pointer("paths", path, method))
}

// streams: such a GET answers no HEAD.
func streams(op *openapi.Operation) bool {
	res := op.Responses[strconv.Itoa(http.StatusOK)]
	return res != nil && res.Content[eventStream].Schema != nil
}

// notServed recognizes the answer of an address that this installation does not have.
func (c *Contract) notServed(e Exchange) bool {
	return e.Status == http.StatusNotFound && (e.Method == http.MethodHead || bytes.Contains(e.AnswerBody, []byte(`"code":"not_found"`)))
}

// checkUnlisted: what the document does not list is not served.
func (c *Contract) checkUnlisted(e Exchange) error {
	switch e.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest, http.StatusRequestHeaderFieldsTooLarge, http.StatusServiceUnavailable, http.StatusInternalServerError:
	default:
		return e.misfit("the document does not list this route. Its row lacks a description, or the document is of another edition")
	}
	if e.Method == http.MethodHead {
		return nil
	}
	return c.validate(e, pointer("components", "schemas", "Failure"), e.AnswerBody, "the answer")
}

func (c *Contract) checkHeaders(e Exchange, res *openapi.Response) error {
	for name, h := range res.Headers {
		if h.Ref != "" {
			h = c.doc.Components.Headers[h.Ref[strings.LastIndex(h.Ref, "/")+1:]]
		}
		value := e.Answer.Get(name)
		if value == "" && h.Required {
			return e.misfit("the header %s is missing", name)
		}
		if _, err := strconv.Atoi(value); value != "" && h.Schema.Type == "integer" && err != nil {
			return e.misfit("the header %s is %q, and no number", name, value)
		}
	}
	return nil
}

func (c *Contract) checkAnswer(e Exchange, res *openapi.Response, place string) error {
	if e.Method == http.MethodHead {
		return nil
	}
	if len(res.Content) == 0 {
		if len(e.AnswerBody) > 0 {
			return e.misfit("the document says that it has no body")
		}
		return nil
	}
	media := e.Answer.Get("Content-Type")
	if _, ok := res.Content[media]; !ok {
		return e.misfit("the document does not list its content type %q", media)
	}
	if e.streams() {
		return nil // watched looks at each event
	}
	return c.validate(e, place+pointer("content", media, "schema"), e.AnswerBody, "the answer")
}

func (c *Contract) checkRequest(e Exchange, op *openapi.Operation, place string) error {
	query := e.URL.Query()
	for _, p := range op.Parameters {
		if p.In != "query" {
			continue
		}
		if !query.Has(p.Name) {
			if p.Required {
				return e.misfit("it was served without %s, which the document says is required", p.Name)
			}
			continue
		}
		i := slices.IndexFunc(op.Parameters, func(q openapi.Parameter) bool { return q.Name == p.Name && q.In == p.In })
		if err := c.validateValue(e, place+pointer("parameters", strconv.Itoa(i), "schema"), typed(query.Get(p.Name), p.Schema), "the query's "+p.Name); err != nil {
			return err
		}
	}
	if op.Body == nil || e.Unread {
		return nil
	}
	media, _, _ := strings.Cut(e.Header.Get("Content-Type"), ";")
	media = strings.ToLower(media) // RFC 9110 section 8.3.1
	schema, ok := op.Body.Content[media]
	if !ok {
		return e.misfit("it was served with the content type %q, which the document does not list", media)
	}
	place += pointer("requestBody", "content", media, "schema")
	if media == "application/json" {
		return c.validate(e, place, e.Body, "the request")
	}
	values, err := e.form(media)
	if err != nil {
		return e.misfit("it was served with a form that cannot be read: %v", err)
	}
	fields := map[string]any{}
	for name := range values {
		fields[name] = typed(values.Get(name), c.member(schema.Schema, name))
	}
	return c.validateValue(e, place, fields, "the request")
}

// member gives the schema of a component's member, or nil.
func (c *Contract) member(s *openapi.Schema, name string) *openapi.Schema {
	of := c.doc.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	if of == nil {
		return nil
	}
	return of.Properties[name]
}

// typed reads a text as the number that its schema asks for.
func typed(text string, s *openapi.Schema) any {
	if s == nil {
		return text
	}
	switch s.Type {
	case "integer", "number":
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return json.Number(text)
		}
	case "boolean":
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}

func (c *Contract) validate(e Exchange, place string, body []byte, what string) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return e.misfit("%s is no JSON: %v", what, err)
	}
	return c.validateValue(e, place, v, what)
}

func (c *Contract) validateValue(e Exchange, place string, v any, what string) error {
	s, err := c.schema(place)
	if err != nil {
		return e.misfit("the document's schema at #%s cannot be read: %v", place, err)
	}
	if err := s.Validate(v); err != nil {
		return e.misfit("%s does not fit the document: %v", what, err)
	}
	return nil
}

func (c *Contract) schema(place string) (*jsonschema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.schemas[place]; s != nil {
		return s, nil
	}
	s, err := c.compiler.Compile(inMemory + "#" + place)
	if err == nil {
		c.schemas[place] = s
	}
	return s, err
}

// find gives the path of the document that an address falls under; of several the one
// with the fewest parameters.
func (c *Contract) find(address string) (found string, ops openapi.Path) {
	parts := strings.Split(address, "/")
	best := -1
	for path, item := range c.doc.Paths {
		names := strings.Split(path, "/")
		fits, literal := len(names) == len(parts), 0
		for i := 0; fits && i < len(names); i++ {
			switch {
			case names[i] == parts[i]:
				literal++
			case !strings.HasPrefix(names[i], "{") || parts[i] == "":
				fits = false
			}
		}
		if fits && literal > best {
			found, ops, best = path, item, literal
		}
	}
	return found, ops
}

// pointer is a JSON pointer as it stands in a fragment (RFC 6901 section 6).
func pointer(parts ...string) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(escape.Replace(p)))
	}
	return b.String()
}
