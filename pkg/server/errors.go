// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Shape says how a route writes its failures.
type Shape int

// The shapes (docs/specs/v1.0/server/middleware.md, Error body).
const (
	// Canonical is {code, message, status, hint?, details?}.
	Canonical Shape = iota
	// OAuth writes a verdict of the protocol as {"error"} alone, and anything else as
	// the canonical body with an error member of the protocol's vocabulary.
	OAuth
	// Decision is the canonical body with error equal to code.
	Decision
	// Page is HTML, written by Config.Page.
	Page
)

// Failures of the transport itself.
var (
	ErrNotFound         = fault.New(fault.NotFound, "not_found", "Nothing is here.")
	ErrMethodNotAllowed = fault.New(fault.MethodNotAllowed, "method_not_allowed", "This address does not take that method.")
	ErrBadRequest       = fault.New(fault.Invalid, "bad_request", "Request validation failed")
	ErrTooLarge         = fault.New(fault.TooLarge, "request_entity_too_large", "The request body is too large.")
	ErrHeaderTooLarge   = fault.New(fault.HeaderTooLarge, "request_header_fields_too_large", "The request's header block is too large.")
	ErrUnsupportedMedia = fault.New(fault.UnsupportedMedia, "unsupported_media_type", "This address does not take that content type or encoding.")
)

var statuses = map[fault.Kind]int{
	fault.Internal: http.StatusInternalServerError, fault.Invalid: http.StatusBadRequest, fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden: http.StatusForbidden, fault.NotFound: http.StatusNotFound, fault.MethodNotAllowed: http.StatusMethodNotAllowed,
	fault.Conflict: http.StatusConflict, fault.TooLarge: http.StatusRequestEntityTooLarge, fault.UnsupportedMedia: http.StatusUnsupportedMediaType,
	fault.Unprocessable: http.StatusUnprocessableEntity, fault.TooMany: http.StatusTooManyRequests,
	fault.HeaderTooLarge: http.StatusRequestHeaderFieldsTooLarge, fault.Unavailable: http.StatusServiceUnavailable,
	fault.Precondition: http.StatusPreconditionFailed, fault.PreconditionMissing: http.StatusPreconditionRequired,
	fault.NotImplemented: http.StatusNotImplemented, fault.BadGateway: http.StatusBadGateway, fault.GatewayTimeout: http.StatusGatewayTimeout,
}

// Status is the HTTP status of a kind.
func Status(k fault.Kind) int { return statuses[k] }

// Failure is the canonical body; members that are absent are left out, never null.
type Failure struct {
	Code    string         `json:"code" doc:"the stable reason"`
	Message string         `json:"message" doc:"a sentence for people"`
	Status  int            `json:"status" doc:"the HTTP status"`
	Hint    string         `json:"hint,omitempty" doc:"what to do instead"`
	Details []fault.Detail `json:"details,omitempty" doc:"one entry per refused input"`
	Error   string         `json:"error,omitempty" doc:"on OAuth routes the protocol's word, where a decision is made the code once more"`
}

// Verdict is the body of an answer of the OAuth protocol itself.
type Verdict struct {
	Error string `json:"error" doc:"RFC 6749 section 5.2, RFC 8628 section 3.5"`
}

// encode gives the JSON of a failure in a shape.
func encode(f *fault.Error, shape Shape) []byte {
	var v any
	switch {
	case f.IsVerdict() && shape == OAuth:
		v = Verdict{f.Code()}
	default:
		b := Failure{Code: f.Code(), Message: f.Text(), Status: Status(f.Kind()), Hint: f.Hint(), Details: f.Details()}
		switch shape {
		case OAuth:
			b.Error = OAuthError(b.Status)
		case Decision:
			b.Error = b.Code
		}
		v = b
	}
	out, err := json.Marshal(v)
	if err != nil { // no field of ours can fail to encode
		return []byte(`{"code":"internal_server_error","message":"Something went wrong on our side.","status":500}`)
	}
	return out
}

// OAuthError names a failure of the transport in the protocol's words
// (RFC 6749 section 5.2, RFC 8628 section 3.5).
func OAuthError(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "slow_down"
	case status == http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	case status >= http.StatusInternalServerError:
		return "server_error"
	default:
		return "invalid_request"
	}
}

// RetrySeconds rounds a wait up to whole seconds, at least one, so that a caller who
// obeys it is not early.
func RetrySeconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

// classify turns what fiber and fasthttp return into our vocabulary. Their texts,
// which may hold request bytes, are dropped.
func classify(err error) *fault.Error {
	if e, ok := errors.AsType[*fiber.Error](err); ok {
		switch e.Code {
		case http.StatusNotFound:
			return ErrNotFound
		case http.StatusMethodNotAllowed:
			return ErrMethodNotAllowed
		case http.StatusRequestEntityTooLarge:
			return ErrTooLarge
		case http.StatusRequestHeaderFieldsTooLarge:
			return ErrHeaderTooLarge
		case http.StatusBadRequest, http.StatusRequestTimeout:
			return ErrBadRequest
		case http.StatusInternalServerError, http.StatusBadGateway:
			// what reaches us so is a request that fasthttp could not read
			return ErrBadRequest
		}
	}
	if _, small := errors.AsType[*fasthttp.ErrSmallBuffer](err); small {
		return ErrHeaderTooLarge
	}
	return fault.Of(err)
}

// writeFailure writes a failure in the given shape.
func writeFailure(c *fiber.Ctx, f *fault.Error, shape Shape) error {
	c.Status(Status(f.Kind()))
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(encode(f, shape))
}

// setRetryAfter adds Retry-After where a repeat makes sense.
func setRetryAfter(c *fiber.Ctx, f *fault.Error) {
	if f.Retry() > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(RetrySeconds(f.Retry())))
	}
}
