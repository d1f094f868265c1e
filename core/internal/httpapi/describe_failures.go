// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/openapi"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// classFailures is what the guards of a row refuse with, and what can happen to any
// request.
func classFailures(r row) []*fault.Error {
	list := []*fault.Error{server.ErrBadRequest, server.ErrHeaderTooLarge, fault.ErrInternal, fault.ErrUnavailable}
	if len(r.media) > 0 {
		list = append(list, server.ErrTooLarge, server.ErrUnsupportedMedia)
		if slices.Contains(r.media, json) {
			list = append(list, wire.ErrInvalidJSON)
		}
	}
	if len(r.limits) > 0 || r.caller == bearer {
		list = append(list, limits.ErrTooMany)
	}
	if r.switched() {
		list = append(list, authz.ErrDisabled)
	}
	if r.codes {
		list = append(list, limits.ErrTooMany)
	}
	switch r.caller {
	case bearer:
		list = append(list, authz.ErrUnauthorized, authz.ErrAmbiguous, token.ErrInvalid)
		if len(r.rule.Subjects) == 1 {
			list = append(list, authz.ErrWrongSurface)
		}
		if r.rule.Scope != "" {
			list = append(list, authz.ErrInsufficientScope)
		}
		if r.rule.Workspace {
			list = append(list, workspace.ErrNotFound)
		}
		if r.rule.App {
			list = append(list, apps.ErrNotFound)
			if slices.Contains(r.rule.Subjects, token.SubjectAccount) {
				list = append(list, apps.ErrAccessDenied)
				if !r.rule.Described {
					list = append(list, apps.ErrAPIDisabled)
				}
			}
		}
		if len(r.rule.Roles) > 0 {
			list = append(list, workspace.ErrRole)
		}
		if r.about.query != nil || r.about.body != nil || r.workspaceQuery {
			list = append(list, errInvalidParam)
		}
	case cookieRead:
		list = append(list, installation.ErrNotSetUp, console.ErrUnauthorized)
	case cookieWrite:
		list = append(list, installation.ErrNotSetUp, console.ErrUnauthorized, console.ErrOriginNotAllowed, console.ErrCSRFMismatch)
	case cookieLoose:
		list = append(list, installation.ErrNotSetUp, console.ErrOriginNotAllowed, console.ErrCSRFMismatch)
	case signIn:
		list = append(list, installation.ErrNotSetUp, console.ErrOriginNotAllowed)
	case setUp:
		list = append(list, console.ErrOriginNotAllowed)
	case client:
		list = append(list, errInvalidClient)
	}
	return list
}

// failure describes the failures of one status. Rows whose failures are alike share it
// under one name.
func (d *describer) failure(r row, status int, list []*fault.Error) (string, *openapi.Response) {
	var verdicts, codes []string
	var texts []string
	for _, f := range list {
		if f.IsVerdict() && r.shape == server.OAuth {
			verdicts = append(verdicts, f.Code())
			continue
		}
		codes = append(codes, f.Code())
		texts = append(texts, f.Code()+": "+f.Text())
	}
	slices.Sort(verdicts)
	slices.Sort(codes)
	slices.Sort(texts)
	var kinds []*openapi.Schema
	if len(verdicts) > 0 {
		kinds = append(kinds, refined(verdictName, map[string]*openapi.Schema{"error": {Enum: anys(verdicts)}}))
	}
	if len(codes) > 0 {
		kinds = append(kinds, refined(failureName(r.shape, status), map[string]*openapi.Schema{"code": {Enum: anys(codes)}, "status": {Const: status}}))
	}
	schema := kinds[0]
	if len(kinds) > 1 {
		schema = &openapi.Schema{OneOf: kinds}
	}
	text := http.StatusText(status)
	if len(verdicts) > 0 {
		text += ". The protocol's " + strings.Join(verdicts, ", ") + "."
	}
	if len(texts) > 0 {
		text += ". " + strings.Join(texts, " ")
	}
	name := strconv.Itoa(status) + "." + strings.Join(append(verdicts, codes...), ".") + suffixes[r.shape]
	return name, &openapi.Response{Description: text, Headers: headersOf(r, status), Content: map[string]openapi.Media{json: {Schema: schema}}}
}

var suffixes = map[server.Shape]string{server.Canonical: "", server.OAuth: ".oauth", server.Decision: ".decision"}

// refined is a component with some of its members narrowed.
func refined(component string, members map[string]*openapi.Schema) *openapi.Schema {
	return &openapi.Schema{AllOf: []*openapi.Schema{{Ref: "#/components/schemas/" + component}, {Properties: members}}}
}

func anys(list []string) (out []any) {
	for _, s := range slices.Compact(list) {
		out = append(out, s)
	}
	return out
}

const verdictName = "Verdict"

// failureName is the component for a shape. What is answered before a route is known,
// to too many connections or to a header block that does not end, has no error member
// whatever the route's shape.
func failureName(shape server.Shape, status int) string {
	early := status == http.StatusServiceUnavailable || status == http.StatusRequestHeaderFieldsTooLarge
	switch {
	case shape == server.OAuth && early:
		return "EarlyOAuthFailure"
	case shape == server.Decision && early:
		return "EarlyDecisionFailure"
	case shape == server.OAuth:
		return "OAuthFailure"
	case shape == server.Decision:
		return "DecisionFailure"
	default:
		return "Failure"
	}
}

// failureSchemas adds the bodies of failures, made from the types that the one writer
// of failures writes.
func (d *describer) failureSchemas() error {
	var of openapi.Types
	for _, v := range []any{server.Failure{}, server.Verdict{}} {
		if _, err := of.Of(v, openapi.Answer); err != nil {
			return err
		}
	}
	whole := of.Schemas["Failure"]
	variant := func(words []any, required bool) *openapi.Schema {
		s := *whole
		s.Properties = map[string]*openapi.Schema{}
		for name, p := range whole.Properties {
			if name != "error" {
				s.Properties[name] = p
			}
		}
		if words != nil || required {
			e := *whole.Properties["error"]
			e.Enum = words
			s.Properties["error"] = &e
		}
		if required {
			s.Required = append(slices.Clone(whole.Required), "error")
		}
		return &s
	}
	var words []string
	for status := range 600 {
		words = append(words, server.OAuthError(status))
	}
	slices.Sort(words)
	d.schemas["Detail"] = of.Schemas["Detail"]
	d.schemas["Detail"].Properties["loc"].Items = &openapi.Schema{Type: []string{"string", "integer"}}
	d.schemas[verdictName] = of.Schemas["Verdict"]
	d.schemas["Failure"] = variant(nil, false)
	d.schemas["OAuthFailure"] = variant(anys(words), true)
	d.schemas["EarlyOAuthFailure"] = variant(anys(words), false)
	d.schemas["DecisionFailure"] = variant(nil, true)
	early := *whole
	d.schemas["EarlyDecisionFailure"] = &early
	return nil
}

// The headers that answers are described with, by the name of their component.
var headers = map[string]*openapi.Header{
	"X-Request-Id":        {Description: "the id under which the request is logged", Required: true, Schema: &openapi.Schema{Type: "string"}},
	"Retry-After":         {Description: "seconds after which a repeat makes sense", Required: true, Schema: &openapi.Schema{Type: "integer"}},
	"RateLimit-Limit":     {Description: "calls that the tightest limit takes at once; absent while limits are off", Schema: &openapi.Schema{Type: "integer"}},
	"RateLimit-Remaining": {Description: "calls that are left of it", Schema: &openapi.Schema{Type: "integer"}},
	"RateLimit-Reset":     {Description: "seconds until it is whole again", Schema: &openapi.Schema{Type: "integer"}},
	"WWW-Authenticate":    {Description: "the credential that is asked for: Bearer, Basic or Cookie", Required: true, Schema: &openapi.Schema{Type: "string"}},
	// Those who are turned away before a request is read are told neither id nor reason.
	earlyRequestID: {Description: "the id under which the request is logged, if it was read", Schema: &openapi.Schema{Type: "string"}},
	someRetryAfter: {Description: "seconds after which a repeat makes sense, if one does", Schema: &openapi.Schema{Type: "integer"}},
	scopeChallenge: {Description: "the scope that is asked for", Schema: &openapi.Schema{Type: "string"}},
}

const (
	earlyRequestID = "X-Request-Id.early"
	someRetryAfter = "Retry-After.some"
	scopeChallenge = "WWW-Authenticate.scope"
)

// limited reports whether a limit is asked, by a guard or by the handler.
func limited(r row) bool {
	return len(r.limits) > 0 || r.codes || r.caller == bearer || slices.ContainsFunc(r.about.fails, func(f *fault.Error) bool {
		return f.Code() == limits.ErrTooMany.Code()
	})
}

// headersOf lists the headers of an answer that say something of it.
func headersOf(r row, status int) map[string]*openapi.Header {
	out := map[string]*openapi.Header{}
	refer := func(names ...string) {
		for _, n := range names {
			header, _, _ := strings.Cut(n, ".")
			out[header] = &openapi.Header{Ref: "#/components/headers/" + n}
		}
	}
	refer("X-Request-Id")
	slow := slices.ContainsFunc(r.about.fails, func(f *fault.Error) bool { return f.Code() == devicegrant.ErrSlowDown.Code() })
	if status < http.StatusMultipleChoices && limited(r) || status == http.StatusTooManyRequests || status == http.StatusBadRequest && slow {
		refer("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
	}
	switch status {
	case http.StatusUnauthorized:
		refer("WWW-Authenticate")
	case http.StatusForbidden:
		if r.caller == bearer {
			refer(scopeChallenge)
		}
	case http.StatusTooManyRequests:
		// A runtime's own limit comes with a time, or without.
		if slices.ContainsFunc(r.about.fails, func(f *fault.Error) bool { return f.Code() == run.ErrQuota.Code() }) {
			refer(someRetryAfter)
		} else {
			refer("Retry-After")
		}
	case http.StatusServiceUnavailable:
		refer(earlyRequestID, someRetryAfter)
	case http.StatusBadRequest:
		if slow {
			refer(someRetryAfter)
		}
	}
	return out
}
