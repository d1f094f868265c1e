// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

const (
	verifyPath = "/inner/api/auth/verify"
	extAuthz   = "/inner/api/auth/ext-authz"
	// requireScope is how a gateway that cannot set the query asks for a scope.
	requireScope = "X-Auth-Require-Scope"
)

// proxyRows are what the holder of FORWARD_AUTH_KEY may ask: whether the bearer of a
// client's request is good, and whose it is.
func (d Inner) proxyRows() []innerRow {
	verify := innerRow{method: http.MethodGet, path: verifyPath, key: d.ForwardAuthKey, former: d.ForwardAuthKeyPrevious, challenge: proxyChallenge, handle: d.verify}
	head := verify
	head.method = http.MethodHead
	return []innerRow{verify, head, {path: extAuthz + "/*", key: d.ForwardAuthKey, former: d.ForwardAuthKeyPrevious, challenge: proxyChallenge, handle: d.extAuthz}}
}

// verify serves proxies that ask at one address (nginx auth_request, Caddy
// forward_auth). What the route behind the proxy needs stands in the query, which the
// proxy's configuration sets and no client reaches.
func (d Inner) verify(c *fiber.Ctx) error {
	rule, err := parseVerify(string(c.Request().URI().QueryString()))
	if err != nil {
		return err
	}
	return d.judge(c, rule, asked{Route: verifyPath, Method: c.Get("X-Forwarded-Method"), Path: c.Get("X-Forwarded-Uri")})
}

func parseVerify(query string) (authz.Rule, error) {
	rule := authz.Rule{Subjects: anySubject}
	values, err := wire.Query(query)
	if err != nil {
		if p, ok := err.(*wire.Problems); ok { //nolint:errorlint // the decoder returns it bare
			return rule, p.Fault(errInvalidParam)
		}
		return rule, err
	}
	var problems wire.Problems
	for _, name := range values.Names() {
		text, _ := values.Get(name)
		switch name {
		case "scope":
			rule.Scope = scopeOf(&problems, name, text)
		case "subject":
			if t := token.SubjectType(text); t == token.SubjectAccount || t == token.SubjectExternal {
				rule.Subjects = []token.SubjectType{t}
			} else {
				problems.Add("enum", "must be account or external_sso", name)
			}
		default:
			problems.Add("extra_forbidden", "is not a parameter of this route", name)
		}
	}
	return rule, problems.Fault(errInvalidParam)
}

// extAuthz serves gateways that send the client's own method and path behind a prefix
// (Envoy's HTTP ext_authz). Neither is judged. The query is the client's too, so that
// the scope stands in a header, which the gateway sets after it has removed the
// client's copies: two of them mean that it has not.
func (d Inner) extAuthz(c *fiber.Ctx) error {
	rule, err := parseRequireScope(headerLines(c, requireScope))
	if err != nil {
		return err
	}
	return d.judge(c, rule, asked{Route: extAuthz, Method: c.Method(), Path: "/" + c.Params("*")})
}

func parseRequireScope(lines []string) (authz.Rule, error) {
	rule := authz.Rule{Subjects: anySubject}
	var problems wire.Problems
	switch {
	case len(lines) > 1:
		problems.Add("repeated", "may occur once", requireScope)
	case len(lines) == 1:
		rule.Scope = scopeOf(&problems, requireScope, lines[0])
	}
	return rule, problems.Fault(errInvalidParam)
}

// scopeOf notes what is no scope, an empty text included: a configuration that meant to
// ask for one would ask for none.
func scopeOf(p *wire.Problems, name, text string) token.Scope {
	if !token.KnownScope(text) {
		p.Add("enum", "must be one of the scopes", name)
	}
	return token.Scope(text)
}

// judge answers with whom the bearer stands for, in headers that the proxy passes on.
func (d Inner) judge(c *fiber.Ctx, rule authz.Rule, of asked) error {
	who, err := d.Bearer.Authenticate(c.UserContext(), rule, authz.Presented{
		Authorization: headerLines(c, fiber.HeaderAuthorization), Address: server.ClientScope(c), IP: server.ClientIP(c).String(), Unmetered: true,
	})
	server.SetRateLimit(c, who.Limits...)
	if errors.Is(err, authz.ErrWrongSurface) {
		d.denied(c, who, of)
	}
	if err != nil {
		return err
	}
	headers := [][2]string{
		{"X-Auth-Subject", who.Subject.ID},
		{"X-Auth-Subject-Type", string(who.Kind.SubjectType)},
		{"X-Auth-Issuer", who.Subject.Issuer},
		{"X-Auth-Email", who.Subject.Email},
		{"X-Auth-Name", percentEncoded(who.AccountName)},
		{"X-Auth-Client-Id", who.ClientID},
		{"X-Auth-Token-Id", who.SessionID},
		{"X-Auth-Scopes", who.Kind.ScopeText()},
		{"X-Auth-Expires", strconv.FormatInt(who.ExpiresAt.Unix(), 10)},
	}
	for _, h := range headers {
		if !fitsHeader(h[1]) {
			// Whatever would be cut out of it, the rest would name somebody else.
			return fault.ErrInternal.Because(fmt.Errorf("httpapi: %s of session %s cannot stand in a header", h[0], who.SessionID))
		}
	}
	for _, h := range headers {
		c.Set(h[0], h[1])
	}
	c.Status(http.StatusOK)
	return nil
}

// percentEncoded leaves nothing but unreserved characters (RFC 3986 section 2.3).
func percentEncoded(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// fitsHeader refuses control characters, and blanks at the ends, which a reader drops.
func fitsHeader(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) && strings.TrimSpace(s) == s
}

// proxyChallenge is the WWW-Authenticate that a proxy hands on to its client. A wrong
// key is the proxy's matter: without a challenge it can tell. Our metadata are not named:
// the resource is what stands behind the proxy, and a client has to refuse metadata of
// another resource than it asked (RFC 9728 section 3.3).
func proxyChallenge(f *fault.Error) string {
	if errors.Is(f, errInnerKey) {
		return ""
	}
	return bearerChallenge("")(f)
}

// asked is what a client wanted of the proxy, for the record alone.
type asked struct{ Route, Method, Path string }

// maxAsked bounds what of a client's path is kept, in bytes.
const maxAsked = 256

func (d Inner) denied(c *fiber.Ctx, who *authz.Caller, of asked) {
	path, _, _ := strings.Cut(of.Path, "?") // a query may hold anything
	d.Recorder.Later(audit.New(c.UserContext(), d.Now(), actorOf(who), wrongSurfaceDenied{
		SubjectType: who.Kind.SubjectType, Route: of.Route, ClientID: who.ClientID, TokenID: who.SessionID, Method: shortened(of.Method), Path: shortened(path),
	}).About(who.Subject.Key()).Token(who.SessionID))
}

func shortened(s string) string {
	if len(s) > maxAsked {
		s = s[:maxAsked]
	}
	return strings.ToValidUTF8(s, string(utf8.RuneError))
}

// wrongSurfaceDenied is openapi.wrong_surface_denied.
type wrongSurfaceDenied struct {
	SubjectType token.SubjectType `json:"subject_type"`
	Route       string            `json:"route"`
	ClientID    string            `json:"client_id"`
	TokenID     string            `json:"token_id"`
	// What the client asked the proxy for, as the proxy tells.
	Method string `json:"forwarded_method,omitempty"`
	Path   string `json:"forwarded_path,omitempty"`
}

// EventName implements audit.Details.
func (wrongSurfaceDenied) EventName() string { return "openapi.wrong_surface_denied" }

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{{Of: wrongSurfaceDenied{}, When: "a token of a kind that may not use a route was refused there"}}
}
