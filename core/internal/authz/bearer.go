// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Rule is what a bearer route asks of its caller.
type Rule struct {
	// Subjects lists the kinds of person the route serves.
	Subjects []token.SubjectType
	// Scope is needed beyond a valid token; empty asks for none.
	Scope token.Scope
	// Extra is a limit by subject, empty for none.
	Extra limits.Name
	// Or is a scope that serves as well as Scope; empty for none.
	Or token.Scope
	// Workspace: the request names a workspace, and the caller must be a member of it.
	Workspace bool
	// App: the request names an app. An account must be a member of its workspace, and the
	// app's access mode must let the caller in.
	App bool
	// Described: members may learn of an app whose API is off.
	Described bool
	// Roles are those that a member needs one of; empty takes every member.
	Roles []workspace.Role
}

// Presented is what a request brings.
type Presented struct {
	// Authorization holds every header line of that name.
	Authorization []string
	// Address is the rate-limit scope of the client's address, IP the address itself.
	Address string
	IP      string
	// Workspace is the id that the request names, where the rule asks for one. What is
	// none is nobody's.
	Workspace string
	// Unnamed refuses a request that should name a workspace and names none, at the step
	// that asks for one; nil for a request that does.
	Unnamed error
	// App is the id that the request names, where the rule asks for one.
	App string
	// Unmetered: a proxy asks for its clients. One of them with bad tokens must not shut
	// out the others, so they are not counted against the address.
	Unmetered bool
}

// Caller is whom a bearer route serves.
type Caller struct {
	token.Identity
	// Place is the workspace that the request names, where the rule asks for one.
	Place workspace.Membership
	// App is the app that the request names; nil where the rule asks for none.
	App *apps.Place
	// Limits are the results of the limits that were asked, for the RateLimit headers.
	Limits []ratelimit.Result

	digest secret.Digest // for Still
}

// Refusals of their own.
var (
	// ErrUnauthorized: no bearer was presented.
	ErrUnauthorized = fault.New(fault.Unauthenticated, "unauthorized", "Send an access token in the Authorization header.")
	// ErrAmbiguous: two credentials in one request (RFC 6750 section 2).
	ErrAmbiguous = fault.New(fault.Invalid, "bad_request", "Send exactly one Authorization header.")
	// ErrWrongSurface: the route does not serve this kind of person.
	ErrWrongSurface = fault.New(fault.Forbidden, "wrong_surface", "This kind of token is not served here.")
	// ErrDisabled: the installation takes no bearers (ENABLE_OAUTH_BEARER). A repeat does
	// not help, so no time for one is named.
	ErrDisabled = fault.New(fault.Unavailable, "bearer_auth_disabled", "Sign-in of devices and access tokens are switched off on this installation.")
	// ErrInsufficientScope: the token's kind lacks the scope (RFC 6750 section 3.1); its
	// cause is the MissingScope.
	ErrInsufficientScope = fault.New(fault.Forbidden, "insufficient_scope", "The token does not carry the scope that this needs.")
)

// MissingScope is the scope that a refused token lacks, for the challenge (RFC 6750
// section 3).
type MissingScope token.Scope

// Error implements error.
func (m MissingScope) Error() string { return string(m) }

// Tokens resolves and marks tokens; package token's Service is one.
type Tokens interface {
	// ResolveKnown is documented at token.Service.
	ResolveKnown(ctx context.Context, kind token.Kind, d secret.Digest, known token.Remembered, cached bool) (token.Identity, error)
	// Resolve is documented at token.Service.
	Resolve(ctx context.Context, kind token.Kind, d secret.Digest) (token.Identity, error)
	// Used is documented at token.Service.
	Used(id string, minted time.Time, ip string)
}

// Places finds what a caller may know of a workspace; package workspace's Service is
// one.
type Places interface {
	// Place returns workspace.ErrNotFound for every workspace that this account is no
	// member of, exists or not, and a 503 when nobody can say.
	Place(ctx context.Context, accountID, workspaceID string) (workspace.Membership, error)
}

// Apps finds what a caller may know of an app; package apps' Service is one.
type Apps interface {
	// Place returns apps.ErrNotFound for one that does not exist, and a 503 when nobody can
	// say. An empty accountID is nobody's.
	Place(ctx context.Context, accountID, appID string) (*apps.Place, error)
}

// Deps is what a BearerAuthenticator needs; all fields but Disabled are required.
type Deps struct {
	Kinds    *token.KindRegistry
	Tokens   Tokens
	Gate     Gate
	Places   Places
	Apps     Apps
	Limits   *limits.Table
	Recorder *audit.Recorder
	Now      func() time.Time
	// Disabled refuses everybody with ErrDisabled before anything else is looked at.
	Disabled bool
}

// BearerAuthenticator runs the steps of the authorization pipeline
// (docs/specs/v1.0/server/middleware.md, Authorization). It is safe for concurrent
// use.
type BearerAuthenticator struct {
	Deps
	rejected *rejections
}

// New checks the dependencies.
func New(d Deps) (*BearerAuthenticator, error) {
	if d.Kinds == nil || d.Tokens == nil || d.Gate == nil || d.Places == nil || d.Apps == nil || d.Limits == nil || d.Recorder == nil || d.Now == nil {
		return nil, errors.New("authz: kinds, tokens, gate, places, apps, limits, recorder and clock are required")
	}
	return &BearerAuthenticator{Deps: d, rejected: newRejections()}, nil
}

// Authenticate runs the switch, header, shape, the token's limit, resolution, subject,
// scope, the route's extra limit, then the workspace or the app, and the rights in it, in
// this order; the first failure is the answer. The Caller is never nil: the limits of one
// that is refused are in it too.
func (b *BearerAuthenticator) Authenticate(ctx context.Context, rule Rule, p Presented) (*Caller, error) {
	// It is made once and filled: it is large, and connections keep the stacks that copies of
	// it have made grow.
	c := &Caller{}
	if b.Disabled {
		return c, ErrDisabled
	}
	presented, err := bearer(p.Authorization)
	if err != nil {
		return c, err
	}
	kind, digest, err := b.Kinds.Parse(presented)
	if err != nil {
		return b.refuse(ctx, &p, err, token.CauseMalformed)
	}
	err = b.resolve(ctx, c, &p, kind, digest)
	if errors.Is(err, token.ErrInvalid) {
		cause, _ := errors.AsType[token.Cause](err)
		return b.refuse(ctx, &p, err, cause)
	}
	if err != nil {
		return c, err
	}
	if !slices.Contains(rule.Subjects, kind.SubjectType) {
		return c, ErrWrongSurface
	}
	if rule.Scope != "" && !kind.Has(rule.Scope) && (rule.Or == "" || !kind.Has(rule.Or)) {
		return c, ErrInsufficientScope.Because(MissingScope(rule.Scope))
	}
	if rule.Extra != "" {
		result, err := b.Limits.Take(ctx, rule.Extra, extraScope(rule.Extra, c.Subject))
		c.add(result)
		if err != nil {
			return c, err
		}
	}
	b.Tokens.Used(c.SessionID, c.CreatedAt, p.IP)
	switch {
	case rule.Workspace:
		return c, b.enter(ctx, c, &rule, &p)
	case rule.App:
		return c, b.reach(ctx, c, &rule, &p)
	}
	return c, nil
}

// extraScope is whom a limit counts: the subject, but an account where pages that know
// no token spend it too.
func extraScope(name limits.Name, s token.Subject) string {
	if name == limits.InviteAccount {
		return s.AccountID
	}
	return s.Key()
}

// placeLimit bounds the read of a workspace: a database that does not answer is an
// outage, and never a workspace that does not exist.
const placeLimit = 5 * time.Second

// enter asks once for the workspace, its status and the caller's role in it, anew for
// each request: what was taken away is gone at the next one.
func (b *BearerAuthenticator) enter(ctx context.Context, c *Caller, rule *Rule, p *Presented) error {
	if p.Unnamed != nil {
		return p.Unnamed
	}
	ctx, cancel := context.WithTimeout(ctx, placeLimit)
	defer cancel()
	var err error
	if c.Place, err = b.Places.Place(ctx, c.Subject.AccountID, p.Workspace); err != nil {
		return fault.Store(err)
	}
	if len(rule.Roles) > 0 && !slices.Contains(rule.Roles, c.Place.Role) {
		return workspace.ErrRole
	}
	return nil
}

// resolve takes the token's permit and finds whom it stands for. With a cached answer
// that is one trip to the short-lived store and none to SQL.
func (b *BearerAuthenticator) resolve(ctx context.Context, c *Caller, p *Presented, kind token.Kind, digest secret.Digest) error {
	policy, err := b.Limits.Policy(limits.BearerToken)
	if err != nil {
		return err
	}
	result, known, down := b.Gate.Enter(ctx, policy, digest, b.Now())
	result, err = b.Limits.Judge(ctx, limits.BearerToken, digest.Hex(), result, down)
	c.add(result)
	if err != nil {
		return err
	}
	if !p.Unmetered && (down != nil || known.Finding == token.Missing) {
		// SQL would be asked: not for an address that only brings bad tokens.
		if result, err := b.Limits.Spent(limits.BearerFailedAddr, p.Address); err != nil {
			c.add(result)
			return err
		}
	}
	c.digest = digest
	c.Identity, err = b.Tokens.ResolveKnown(ctx, kind, digest, known, down == nil)
	return err
}

func (c *Caller) add(r ratelimit.Result) {
	if r.Limit > 0 {
		c.Limits = append(c.Limits, r)
	}
}

// bearer takes the token out of exactly one Authorization header. Another scheme is
// no bearer, and so is none.
func bearer(headers []string) (string, error) {
	switch len(headers) {
	case 0:
		return "", ErrUnauthorized
	case 1:
	default:
		return "", ErrAmbiguous
	}
	scheme, value, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || value == "" {
		return "", ErrUnauthorized
	}
	return value, nil
}

// refuse counts a bad bearer against its address. While that budget is used up bad
// tokens of the address draw 429.
func (b *BearerAuthenticator) refuse(ctx context.Context, p *Presented, refusal error, cause token.Cause) (*Caller, error) {
	now := b.Now()
	if n, due := b.rejected.count(p.Address, cause, now); due {
		b.Recorder.Later(audit.New(ctx, now, audit.Anonymous, bearerRejected{Cause: string(cause), Count: n}))
	}
	c := &Caller{}
	if p.Unmetered {
		return c, refusal
	}
	result, err := b.Limits.Take(ctx, limits.BearerFailedAddr, p.Address)
	if err != nil {
		c.add(result)
		return c, err
	}
	return c, refusal
}
