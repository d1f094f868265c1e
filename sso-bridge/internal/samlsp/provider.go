// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// Metadata gives what is known of a provider. Every error is a *failure.Error.
type Metadata interface {
	// Load gives what serves. digest is the document's, empty for configured facts.
	Load(ctx context.Context, c connection.Serving) (idp idpmetadata.IdP, digest string, err error)
	// Refetch asks the source again, seldom enough that nobody can make us flood it;
	// changed says that what serves is another document than digest.
	Refetch(ctx context.Context, c connection.Serving, digest string) (idp idpmetadata.IdP, newDigest string, changed bool, err error)
	// Checked gives when the source last confirmed what serves; zero for configured facts.
	Checked(ctx context.Context, c connection.Serving) (time.Time, error)
}

// Keys gives our own keys. Every error is a fault.
type Keys interface {
	// Signer gives the key that signs requests, or the staged one.
	Signer(ctx context.Context, connectionID string, next bool) (spkeys.Signer, error)
	// Published gives the keys that metadata names, in its order.
	Published(ctx context.Context, connectionID string) ([]spkeys.Key, error)
	// Seen notes that metadata with a key was given to somebody.
	Seen(ctx context.Context, k spkeys.Key) error
}

// Replays remembers assertions that were used.
type Replays interface {
	// First keeps a mark for at least life, and reports whether it was not there: of all
	// callers, on whatever replica, one hears true. An error is a store that could not be
	// asked.
	First(ctx context.Context, mark string, life time.Duration) (bool, error)
}

// Deps is what a Provider needs; all fields are required.
type Deps struct {
	Metadata Metadata
	Keys     Keys
	Replays  Replays
	Now      func() time.Time
	// Public is our own origin, without a slash at its end.
	Public string
}

// Provider implements login.Provider for every SAML connection. It is safe for concurrent
// use.
type Provider struct {
	Deps
	read func(response string, e Expected, now time.Time, t *login.Trace) (Assertion, error)
}

var _ login.Provider = (*Provider)(nil)

// New checks the dependencies.
func New(d Deps) (*Provider, error) {
	if d.Metadata == nil || d.Keys == nil || d.Replays == nil || d.Now == nil || d.Public == "" {
		return nil, errors.New("samlsp: metadata, keys, replays, clock and origin are required")
	}
	return &Provider{Deps: d, read: Read}, nil
}

// EntityID gives our entity id for a connection: the configured one, or the address of
// our metadata.
func EntityID(public string, c connection.Serving) string {
	if c.Config.SAML != nil && c.Config.SAML.EntityID != "" {
		return c.Config.SAML.EntityID
	}
	return login.MetadataURL(public, c.ID)
}

// exchange is one login as this package sees it.
type exchange struct {
	*Provider
	request login.Request
	config  connection.Config
	saml    connection.SAMLConfig
	entity  string // ours
	trace   *login.Trace
	// idp is the provider, once it was loaded, and digest that of its document.
	idp    idpmetadata.IdP
	digest string
}

func (p *Provider) begin(r login.Request, t *login.Trace) (*exchange, error) {
	c := r.Serving.Config
	if c.SAML == nil {
		return nil, failure.New(failure.Internal).Because(errors.New("samlsp: the connection has another protocol"))
	}
	if r.Material.RequestID == "" {
		return nil, failure.New(failure.Internal).Because(errors.New("samlsp: the attempt has no request id"))
	}
	return &exchange{Provider: p, request: r, config: c, saml: *c.SAML, entity: EntityID(p.Public, r.Serving), trace: t}, nil
}

func (x *exchange) load(ctx context.Context) error {
	return x.step("metadata", func() error {
		idp, digest, err := x.Metadata.Load(ctx, x.request.Serving)
		if err == nil {
			x.serves(idp, digest)
		}
		return err
	})
}

// serves notes which document a message is judged by.
func (x *exchange) serves(idp idpmetadata.IdP, digest string) {
	x.idp, x.digest = idp, digest
	x.trace.Issuer, x.trace.MetadataDigest = idp.EntityID, digest
	address := idp.Redirect
	if address == "" {
		address = idp.Post
	}
	x.trace.ProviderHost = failure.HostOf(address)
}

// fresh reports whether the person has to sign in anew at the provider.
func (x *exchange) fresh() bool { return x.request.Material.ForceAuthn || x.config.ForceAuthn }

// step notes one part of the attempt and how long it took.
func (x *exchange) step(name string, do func() error) error {
	began := x.Now()
	err := do()
	x.trace.Steps = append(x.trace.Steps, login.Step{
		Name: name, Milliseconds: float64(x.Now().Sub(began).Microseconds()) / 1000, OK: err == nil,
	})
	return err
}

// Verify judges a response by the reader's rules, spends its assertion, and gives what its
// verified bytes say.
func (p *Provider) Verify(ctx context.Context, a login.Answer, t *login.Trace) (identity.Claims, error) {
	x, err := p.begin(a.Request, t)
	if err != nil {
		return identity.Claims{}, err
	}
	if a.Message.IsZero() {
		return identity.Claims{}, failure.New(failure.CallbackMalformed).With("parameter", "SAMLResponse")
	}
	if err := x.load(ctx); err != nil {
		return identity.Claims{}, err
	}
	now := p.Now()
	said, err := x.judge(ctx, a.Message.Reveal(), now)
	if err != nil {
		return identity.Claims{}, err
	}
	if err := x.step("replay", func() error { return x.spend(ctx, said, now) }); err != nil {
		return identity.Claims{}, err
	}
	return x.extract(said)
}

// judge reads a response, and once more when it is signed by a key that is not known and
// the provider's metadata turns out to have changed.
func (x *exchange) judge(ctx context.Context, response string, now time.Time) (said Assertion, err error) {
	before := *x.trace
	read := func() error {
		expected, err := x.expected()
		if err == nil {
			said, err = x.read(response, expected, now, x.trace)
		}
		return err
	}
	err = x.step("response", read)
	if !unknownKey(err) {
		return said, err
	}
	var changed bool
	if e := x.step("refetch", func() error {
		idp, digest, anew, err := x.Metadata.Refetch(ctx, x.request.Serving, x.digest)
		if changed = anew; err == nil && anew {
			x.serves(idp, digest)
		}
		return err
	}); e != nil {
		return Assertion{}, e
	}
	if changed {
		// What the first reading noted, the second one notes again.
		steps := x.trace.Steps
		*x.trace = before
		x.trace.Steps = steps
		x.serves(x.idp, x.digest)
		err = x.step("response", read)
	}
	if unknownKey(err) {
		return Assertion{}, x.aged(ctx, failure.Of(err), now)
	}
	return said, err
}

func unknownKey(err error) bool { return coded(err, failure.SAMLSignatureInvalid) }

// aged adds how old the metadata is that knows no such key. That it cannot be told changes
// no verdict.
func (x *exchange) aged(ctx context.Context, f *failure.Error, now time.Time) *failure.Error {
	if at, err := x.Metadata.Checked(ctx, x.request.Serving); err == nil && !at.IsZero() {
		return f.With("metadata_age", max(now.Sub(at), 0).Round(time.Second).String())
	}
	return f
}

// expected is what a response is held against.
func (x *exchange) expected() (Expected, error) {
	e := Expected{
		Issuer: x.idp.EntityID, Audience: x.entity, Consumer: x.request.RedirectURI,
		RequestID: x.request.Material.RequestID, RequestedAt: x.request.Material.RequestedAt, ForceAuthn: x.fresh(),
		Signed: x.saml.Signed, Skew: x.skew(), RefuseExpired: x.saml.ExpiredCertificates == connection.ExpiredRefuse,
	}
	if x.comparison() == exact {
		e.Contexts = x.saml.Contexts
	}
	var err error
	if e.Certificates, err = idpmetadata.Certificates(x.idp); err != nil {
		return Expected{}, failure.New(failure.Internal).Because(err)
	}
	return e, nil
}

func (x *exchange) skew() time.Duration {
	if x.saml.Skew == 0 {
		return connection.DefaultSkew * time.Second
	}
	return time.Duration(x.saml.Skew) * time.Second
}

// spend marks an assertion as used (rule S16) until nobody takes it any more. An
// assertion's ID is its issuer's alone, so the mark is of both.
func (x *exchange) spend(ctx context.Context, said Assertion, now time.Time) error {
	sum := sha256.Sum256([]byte(said.Issuer + "\x1f" + said.ID))
	// The reader may have taken an assertion at its very end.
	life := max(said.Until.Add(x.skew()).Sub(now), time.Second)
	first, err := x.Replays.First(ctx, hex.EncodeToString(sum[:]), life)
	switch {
	case err != nil:
		return failure.New(failure.StoreUnavailable).With("store", "replays").With("op", "mark").Because(err)
	case !first:
		return failure.New(failure.SAMLReplay)
	}
	return nil
}

// keyless is a login without a key of ours.
func keyless(err error) *failure.Error {
	switch {
	case errors.Is(err, spkeys.ErrNoNext):
		// It was promoted or retired since the test began.
		return failure.New(failure.ConnectionChanged).Because(err)
	case errors.Is(err, fault.ErrUnavailable):
		return failure.New(failure.StoreUnavailable).With("store", "keys").With("op", "signer").Because(err)
	}
	return failure.New(failure.Internal).Because(err)
}
