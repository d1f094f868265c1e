// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type localKey int

const (
	signedKey  localKey = iota // *console.Signed
	callerKey                  // *authz.Caller
	bodyKey                    // []byte
	formKey                    // wire.Values
	binderKey                  // secret.Digest: what the CSRF token is bound to
	patternKey                 // string
	clientKey                  // string: the id of a client that has authenticated
	stepKey                    // StepEnd
)

// guards is the chain of a row, in the order in which refusals are given.
func (a *api) guards(r row) []fiber.Handler {
	chain := []fiber.Handler{server.Enter(server.Route{
		Pattern: r.path, Shape: r.shape, Pragma: !r.cacheable(), Challenge: a.challenge(r.caller),
	}), func(c *fiber.Ctx) error { c.Locals(patternKey, r.path); return c.Next() }}
	if r.step != "" && a.Stepped != nil {
		chain = append(chain, a.stepGuard(r.step))
	}
	// First of all, so that a script can read whatever refusal follows.
	chain = append(chain, a.shareGuard(r)...)
	limit := a.limitGuard(r.limits)
	read := readBody(r)
	flag, codes := a.flagGuard(r), a.codeGuard(r)
	switch r.caller {
	case open:
		chain = append(chain, flag...)
		if r.first != nil {
			chain = append(chain, r.first)
		}
		chain = append(chain, limit, read)
	case bearer: // which asks for the flag itself
		chain = append(chain, a.bearerGuard(r), limit, read)
	case cookieRead:
		if r.byGrant != nil {
			chain = append(chain, byGrantGuard(r.byGrant, flag))
		}
		chain = append(chain, a.setUpGuard, a.sessionGuard)
		chain = append(chain, flag...)
		chain = append(chain, limit)
		chain = append(chain, codes...)
	case cookieWrite:
		chain = append(chain, a.setUpGuard, a.sessionGuard)
		chain = append(chain, flag...)
		chain = append(chain, a.csrfHeaderGuard(r.shared() != private), limit)
		chain = append(chain, codes...)
		chain = append(chain, read)
	case cookieLoose:
		chain = append(chain, a.setUpGuard, a.looseGuard, limit, read)
	case signIn:
		chain = append(chain, a.setUpGuard, a.signInOriginGuard, limit, read)
	case setUp:
		chain = append(chain, a.signInOriginGuard, limit, read)
	case page:
		if r.first != nil {
			chain = append(chain, r.first)
		}
		chain = append(chain, flag...)
		chain = append(chain, a.loopbackGuard, a.pageGuard)
	case pageSigned:
		chain = append(chain, flag...)
		chain = append(chain, a.loopbackGuard, a.pageGuard, a.signedPageGuard)
	case pageWrite:
		chain = append(chain, flag...)
		chain = append(chain, a.pageGuard, read, formGuard, a.csrfFormGuard, limit)
	case pageSignedWrite:
		chain = append(chain, flag...)
		chain = append(chain, a.pageGuard, a.signedPageGuard, read, formGuard, a.csrfFormGuard, limit)
	case static:
		chain = append(chain, limit)
	case client:
		chain = append(chain, a.clientGuard, limit, read)
	case navigation:
		chain = append(chain, flag...)
	case grantWrite:
		chain = append(chain, a.grantViewGuard)
		chain = append(chain, flag...)
		chain = append(chain, a.grantGuard, a.grantCSRFGuard(r))
	}
	return append(chain, r.handle)
}

// cacheable: the answer does not say who somebody is, and goes without the header that
// only the oldest caches read (docs/specs/v1.0/server/middleware.md, Headers).
func (r row) cacheable() bool {
	return r.caller == static ||
		slices.ContainsFunc([]string{base + "/_", base + "/workspaces", base + "/apps", base + "/permitted-external-apps", documentPath, wellKnown}, func(p string) bool { return strings.HasPrefix(r.path, p) })
}

// challenge gives the WWW-Authenticate of a class of caller: a cookie route never
// asks for a bearer, nor the reverse.
func (a *api) challenge(class caller) func(f *fault.Error) string {
	switch class {
	case bearer:
		return bearerChallenge(`, resource_metadata="` + a.public + resourceMetadata + base + `"`)
	case client:
		return func(f *fault.Error) string {
			if f.Kind() == fault.Unauthenticated {
				return `Basic realm="introspection"`
			}
			return ""
		}
	case cookieRead, cookieWrite, cookieLoose, signIn, setUp, grantWrite:
		return func(f *fault.Error) string {
			switch {
			case errors.Is(f, sso.ErrNoSession), errors.Is(f, sso.ErrInvalidSession):
				return `Cookie realm="approval"`
			}
			if f.Kind() == fault.Unauthenticated {
				return `Cookie realm="console"`
			}
			return ""
		}
	}
	return nil
}

// bearerChallenge is what a bearer route answers with its refusals (RFC 6750 section 3);
// where tells of the resource's metadata (RFC 9728 section 5.1).
func bearerChallenge(where string) func(f *fault.Error) string {
	start := `Bearer realm="api"` + where
	return func(f *fault.Error) string {
		switch {
		case errors.Is(f, token.ErrInvalid):
			return start + `, error="invalid_token"`
		case f.Kind() == fault.Unauthenticated:
			return start
		case errors.Is(f, authz.ErrInsufficientScope):
			text := start + `, error="insufficient_scope"`
			if scope, ok := errors.AsType[authz.MissingScope](f); ok {
				text += `, scope="` + string(scope) + `"`
			}
			return text
		}
		return ""
	}
}

// limitGuard asks the limits of a row; the answer tells of them either way.
func (a *api) limitGuard(rows []limit) fiber.Handler {
	return func(c *fiber.Ctx) error {
		for _, l := range rows {
			result, err := a.Limits.Take(c.UserContext(), l.name, a.scopeOf(c, l.by))
			server.SetRateLimit(c, result)
			if err != nil {
				return err
			}
		}
		return c.Next()
	}
}

func (a *api) scopeOf(c *fiber.Ctx, by scope) string {
	switch by {
	case byAccount:
		return signed(c).Account.ID
	case byClient:
		id, _ := c.Locals(clientKey).(string)
		return id
	case byAddress:
		return server.ClientScope(c)
	default:
		return "all"
	}
}

// readBody refuses a content type that the row does not take and bounds the body. A
// row without content types reads none.
func readBody(r row) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if len(r.media) == 0 {
			return c.Next()
		}
		media, ok := wire.MediaType(c.Get(fiber.HeaderContentType))
		// Who reads the body itself reads what the media type says of it, too.
		if !ok && !r.unread || !slices.Contains(r.media, media) {
			return server.ErrUnsupportedMedia
		}
		if r.unread {
			return c.Next()
		}
		body, err := server.Body(c, r.body)
		if err != nil {
			return err
		}
		c.Locals(bodyKey, body)
		return c.Next()
	}
}

func body(c *fiber.Ctx) []byte { b, _ := c.Locals(bodyKey).([]byte); return b }

// bearerGuard runs the authorization pipeline; cookies are never looked at.
func (a *api) bearerGuard(r row) fiber.Handler {
	return func(c *fiber.Ctx) error {
		p := authz.Presented{
			Authorization: headerLines(c, fiber.HeaderAuthorization), Address: server.ClientScope(c), IP: server.ClientIP(c).String(),
			Workspace: param(c, workspaceParam), App: param(c, appParam),
		}
		if r.workspaceQuery {
			p.Workspace, p.Unnamed = workspaceNamed(c)
		}
		who, err := a.Bearer.Authenticate(c.UserContext(), r.rule, p)
		server.CalledBy(c, string(who.Kind.SubjectType), who.ClientID, who.SessionID)
		server.SetRateLimit(c, who.Limits...)
		if errors.Is(err, authz.ErrWrongSurface) {
			a.Recorder.Later(audit.New(c.UserContext(), a.Now(), actorOf(who), wrongSurfaceDenied{
				SubjectType: who.Kind.SubjectType, Route: c.Route().Path, ClientID: who.ClientID, TokenID: who.SessionID,
			}).About(who.Subject.Key()).Token(who.SessionID))
			err = authz.ErrWrongSurface.Hinted(rightSurface(who.Kind.SubjectType))
		}
		if err != nil {
			return err
		}
		c.Locals(callerKey, who)
		if who.App != nil {
			server.Concerns(c, who.App.App.ID)
		}
		return c.Next()
	}
}

// The parameters of a path that name a workspace and an app.
const (
	workspaceParam = "workspace"
	appParam       = "app"
)

// workspaceNamed reads the workspace_id of a query, which must be there once.
func workspaceNamed(c *fiber.Ctx) (string, error) {
	query, err := wire.Query(string(c.Request().URI().QueryString()))
	if err != nil {
		return "", asInvalidParam(err)
	}
	id, ok := query.Get("workspace_id")
	if !ok {
		var problems wire.Problems
		problems.Add("missing", "is required", "workspace_id")
		return "", problems.Fault(errInvalidParam)
	}
	return id, nil
}

// param gives a parameter of the path as it was before the client escaped it. Routes are
// found on the escaped path; what does not unescape names nothing.
func param(c *fiber.Ctx, name string) string {
	value, err := url.PathUnescape(c.Params(name))
	if err != nil {
		return ""
	}
	return value
}

// headerLines gives every line of a header, in order.
func headerLines(c *fiber.Ctx, name string) (lines []string) {
	for _, line := range c.Request().Header.PeekAll(name) {
		lines = append(lines, string(line))
	}
	return lines
}

func callerOf(c *fiber.Ctx) *authz.Caller {
	if who, ok := c.Locals(callerKey).(*authz.Caller); ok {
		return who
	}
	return &authz.Caller{}
}

func (a *api) setUpGuard(c *fiber.Ctx) error {
	at, err := a.Installation.SetUpAt(c.UserContext())
	if err != nil {
		return err
	}
	if at == nil {
		return installation.ErrNotSetUp
	}
	return c.Next()
}

// sessionGuard asks the console cookie alone; Authorization is never looked at.
func (a *api) sessionGuard(c *fiber.Ctx) error {
	s, err := a.Console.Authenticate(c.UserContext(), a.cookie(c, sessionCookie))
	if err != nil {
		return err
	}
	a.enter(c, s)
	return c.Next()
}

func (a *api) enter(c *fiber.Ctx, s console.Signed) {
	c.Locals(signedKey, &s)
	server.CalledBy(c, "account", "", "")
	c.Locals(binderKey, s.Session.TokenHash)
}

// signed gives the console session of a request, or nil.
func signed(c *fiber.Ctx) *console.Signed { s, _ := c.Locals(signedKey).(*console.Signed); return s }
