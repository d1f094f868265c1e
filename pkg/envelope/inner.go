// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// innerRequest binds a token to one request: its method, its path with query as on the
// request line, and the SHA-256 of its body.
type innerRequest struct {
	Method string `json:"htm"`
	URI    string `json:"htu"`
	Body   string `json:"bh"`
}

// MaxURI is the longest path with query of an inner request, in bytes.
const MaxURI = 2048

// InnerReplayFor is how long the id of an inner request is remembered: its life and
// both leeways.
const InnerReplayFor = 2 * time.Minute

// The refusals of an inner request. Each is its own code: both ends are ours.
var (
	ErrInnerMissing  = fault.New(fault.Unauthenticated, "inner_token_missing", "An inner request carries one bearer token of its own.")
	ErrInnerInvalid  = fault.New(fault.Unauthenticated, "inner_token_invalid", "The inner token does not verify.")
	ErrInnerMismatch = fault.New(fault.Unauthenticated, "inner_request_mismatch", "The inner token is another request's.")
	ErrInnerReplayed = fault.New(fault.Unauthenticated, "inner_token_replayed", "The inner token was used before.")
)

// Replay remembers ids of messages that are good once.
type Replay interface {
	// Consume marks an id of an audience as used for at least ttl, and reports whether
	// it was unused: one of all callers, on whatever replica, hears true. A failure
	// means that the store could not be asked; the mark may have been made.
	Consume(ctx context.Context, audience Audience, id string, ttl time.Duration) (fresh bool, err error)
}

// Inner signs and admits the requests of one direction.
type Inner struct{ codec *Codec[innerRequest] }

// NewInner checks the dependencies; the audience is CoreToBridge or BridgeToCore.
func NewInner(d Deps) (*Inner, error) {
	codec, err := New[innerRequest](d)
	if err != nil {
		return nil, err
	}
	return &Inner{codec: codec}, nil
}

// Authorization gives the header for one request. Each try of a request needs one of
// its own.
func (i *Inner) Authorization(method, uri string, body []byte) (string, error) {
	token, _, err := i.codec.Sign(innerRequest{Method: method, URI: uri, Body: bodyHash(body)})
	return "Bearer " + token, err
}

// Admit lets pass a request that carries exactly one token, for this direction, of
// this request, unused. It returns ErrInnerMissing, ErrInnerInvalid, ErrInnerMismatch,
// ErrInnerReplayed, or a store failure.
func (i *Inner) Admit(ctx context.Context, replay Replay, authorization []string, method, uri string, body []byte) error {
	if len(authorization) != 1 {
		return ErrInnerMissing
	}
	token, ok := strings.CutPrefix(authorization[0], "Bearer ")
	if !ok || token == "" {
		return ErrInnerMissing
	}
	claims, r, err := i.codec.Verify(token)
	if err != nil {
		return ErrInnerInvalid.Because(err)
	}
	if len(uri) > MaxURI || claims.Method != method || claims.URI != uri ||
		subtle.ConstantTimeCompare([]byte(claims.Body), []byte(bodyHash(body))) != 1 {
		return ErrInnerMismatch
	}
	fresh, err := replay.Consume(ctx, i.codec.Audience, r.ID, InnerReplayFor)
	switch {
	case err != nil:
		return fault.Store(err)
	case !fresh:
		return ErrInnerReplayed
	}
	return nil
}

// RequestRefused is inner.request_refused: the details of the event with which either
// service audits an inner request that it did not admit. KID is of the token's own words,
// and set where the entry exists.
type RequestRefused struct {
	Method      string `json:"method"`
	Route       string `json:"route"`
	Code        string `json:"code"`
	Reason      string `json:"reason,omitempty"`
	KID         string `json:"kid,omitempty"`
	SkewSeconds int    `json:"skew_seconds,omitempty"`
}

// EventName names the event.
func (RequestRefused) EventName() string { return "inner.request_refused" }

func bodyHash(body []byte) string {
	sum := sha256.Sum256(body)
	return b64.EncodeToString(sum[:])
}
