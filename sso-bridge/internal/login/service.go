// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

// Connections says what may be signed in through. Its refusals are those of package
// connection; every other error is a store failure.
type Connections interface {
	// Choose gives the connection of a login by the rules of an order: the one named by
	// id, the owner of the email's domain, the default, or the single listed one.
	Choose(ctx context.Context, intent connection.Intent, id, email string) (connection.Serving, error)
	// Serving gives a connection with its serving revision, whatever its state.
	Serving(ctx context.Context, id string) (connection.Serving, error)
	// At gives a connection with one of its revisions, whatever its state.
	At(ctx context.Context, id, hash string) (connection.Serving, error)
	// ForTest is At for a revision that is complete; an empty hash is the head.
	ForTest(ctx context.Context, id, hash string) (connection.Serving, error)
	// SharesCallback reports whether another enabled connection has the callback too.
	SharesCallback(ctx context.Context, c connection.Serving) (bool, error)
}

// Judge says what identity verified claims make, check by check: a login needs its first
// refusal, the page of a test all of it.
type Judge func(ctx context.Context, c identity.Claims, s connection.Serving) identity.Report

// Marker notes that a revision has passed its test: who ordered it, the attempt's
// reference, and the hash under which traces know the person who signed in.
type Marker interface {
	MarkTested(ctx context.Context, connectionID, hash, by, reference, subjectHash string) error
}

// KeyMarker notes that a test signed with the connection's staged key has passed.
type KeyMarker interface {
	MarkTested(ctx context.Context, connectionID string) error
}

// Deps is what a Service needs. All fields are required but FormerKey and KeyMarker.
type Deps struct {
	Records     Records
	Attempts    Attempts
	Connections Connections
	Providers   map[connection.Protocol]Provider
	Judge       Judge
	Marker      Marker
	// KeyMarker is nil where no protocol signs with keys of a connection.
	KeyMarker KeyMarker
	Keys      *keyset.Ring
	// SecretKey is the bridge's SECRET_KEY; FormerKey the one before it, if any, for
	// logins that were under way.
	SecretKey secret.Text
	FormerKey secret.Text
	// Public is the bridge's own origin, Core that of core's API; neither ends in a slash.
	Public   string
	Core     string
	Recorder *audit.Recorder
	Log      *slog.Logger
	Now      func() time.Time
}

// Service runs attempts. It is safe for concurrent use.
type Service struct {
	Deps
	eras    []era // the present one first
	subject *envelope.Codec[envelope.ExternalSubjectClaims]
	hash    hasher
}

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Records == nil || d.Attempts == nil || d.Connections == nil || len(d.Providers) == 0 || d.Judge == nil || d.Marker == nil ||
		d.Keys == nil || d.Public == "" || d.Core == "" || d.Recorder == nil || d.Log == nil || d.Now == nil {
		return nil, errors.New("login: a dependency is missing")
	}
	for _, origin := range []string{d.Public, d.Core} {
		if strings.HasSuffix(origin, "/") {
			return nil, errors.New("login: an origin ends in a slash")
		}
	}
	s := &Service{Deps: d}
	for _, key := range []secret.Text{d.SecretKey, d.FormerKey} {
		if key.IsZero() && len(s.eras) > 0 {
			continue
		}
		e, err := newEra(key, d.Keys, d.Public, d.Now)
		if err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
		s.eras = append(s.eras, e)
	}
	var err error
	if s.hash, err = newHasher(d.SecretKey); err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	s.subject, err = envelope.New[envelope.ExternalSubjectClaims](envelope.Deps{
		Keys: d.Keys, Audience: envelope.ExternalSubject, Issuer: d.Public, Now: d.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	return s, nil
}

// Order is what core asks when a login begins. Its members have been bounded.
type Order struct {
	Intent         connection.Intent
	UserCodeDigest string // of a device login
	Nonce, Binding string
	Connection     string // or Email, or neither
	Email          string
	ForceAuthn     bool
	Locale         string
	RequestID      string
}

// TestOrder is what an administrator asks when a connection is to be tested.
type TestOrder struct {
	Connection string
	Revision   string // empty for the head
	Actor      string
	// ExpectRefusal: the test passes when the rules of admission refuse the tester.
	ExpectRefusal bool
	// NextKey signs the request with the connection's staged key.
	NextKey   bool
	Locale    string
	RequestID string
}

// Begun is a login that waits for its browser.
type Begun struct {
	AttemptID string
	Reference string
	StartURL  string
	ExpiresAt time.Time
}

// Visitor is the browser of a request, as far as a trace may know it.
type Visitor struct {
	UserAgent string
	Address   string // a trace keeps its network alone
}

// Departure is where a browser goes that spent a start ticket. TestCookie is set for a
// connection test alone. Reference is set beside a refusal as well.
type Departure struct {
	Destination
	Reference  string
	TestCookie secret.Text
}

// Arrival is a callback. Its members have been bounded; nothing in it is trusted.
type Arrival struct {
	Protocol connection.Protocol
	// Path is the connection's id at the end of the address, empty at the shared one.
	Path string
	// Handle is the state, of SAML the whole RelayState.
	Handle     string
	Code       secret.Text
	Error      string
	Describe   string // error_description
	Issuer     string
	IssuerSent bool
	Visitor    Visitor
	// Message is a SAMLResponse, as it stood in the form.
	Message secret.Text
	// Bytes is the size of the answer.
	Bytes int
	// Malformed refuses the answer after its handle has been claimed: the name of the
	// parameter that is wrong, or empty.
	Malformed string
}

// Failed is what the page of a reference shows.
type Failed struct {
	Public ssocode.Code
	At     time.Time
	// Intent says where "begin again" leads; empty for a failure without an attempt.
	Intent connection.Intent
	Known  bool // false: no failure has this reference
}

// CallbackURL is the address to which a connection's provider answers: of SAML the
// assertion consumer service.
func CallbackURL(public string, s connection.Serving) string {
	address := public + "/sso/" + string(s.Config.Protocol) + "/callback"
	if s.Config.Protocol == connection.SAML {
		address = public + "/sso/saml/acs"
	}
	if s.Config.Callback == connection.CallbackShared {
		return address
	}
	return address + "/" + s.ID
}

// MetadataURL is the address of our metadata for a SAML connection, which is our entity id
// as well where the connection names no other.
func MetadataURL(public, connectionID string) string {
	return public + "/sso/saml/metadata/" + connectionID
}
