// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/egress"
)

// The bounds of what is read of answers.
const (
	maxBlocking = 8 << 20
	maxAnswer   = 1 << 20
	maxRefusal  = 64 << 10
)

// Deps is what a Client needs; all fields are required.
type Deps struct {
	// Egress judges where calls go, and limits the time for a connection and for the head of
	// an answer.
	Egress *egress.Runtime
	// Answer is the time for the rest of an answer that is no stream, once it has begun.
	Answer time.Duration
	// Idle is the longest silence between two events of a stream, and the longest time for
	// which a runtime takes nothing of an upload.
	Idle time.Duration
	// Blocking is the time for a whole blocking run.
	Blocking time.Duration
	Now      func() time.Time
}

// Client implements run.Runtime. It is safe for concurrent use.
//
// Where the context ends before an answer does, the failure is the context's cause when
// that is one of package fault's, run.ErrTimeout when its deadline has passed, and its
// cause as it is when the caller has cancelled it.
type Client struct{ Deps }

var _ run.Runtime = (*Client)(nil)

// New checks the dependencies.
func New(d Deps) (*Client, error) {
	if d.Egress == nil || d.Now == nil || d.Answer <= 0 || d.Idle <= 0 || d.Blocking <= 0 {
		return nil, errors.New("serviceapi: egress, clock and times above zero are required")
	}
	return &Client{d}, nil
}

// CloseIdle ends connections that nobody uses.
func (c *Client) CloseIdle() { c.Egress.CloseIdle() }

// Acceptable judges the form of a runtime's address. Its error is a sentence for who has
// set it, and does not repeat the address.
func (c *Client) Acceptable(address string) error {
	if err := c.Egress.Acceptable(address); err != nil {
		return errors.New(advice(err))
	}
	return nil
}

// advice says what keeps an address from being called, and what opens it.
func advice(err error) string {
	switch {
	case errors.Is(err, egress.ErrUnnamed):
		return "an address of this machine or link-local is called only when RUNTIME_ALLOWED_HOSTS names it, such as RUNTIME_ALLOWED_HOSTS=127.0.0.1 for a runtime beside this service; whatever else runtimes run on must stand there too then"
	case errors.Is(err, egress.ErrOwn):
		return "this service answers at that address itself; only an entry of RUNTIME_ALLOWED_HOSTS with the same port lets it be called"
	case errors.Is(err, egress.ErrOutside):
		return "RUNTIME_ALLOWED_HOSTS does not name this host"
	default:
		return "must be an address such as https://dify.example.com or http://10.0.0.5:5001, without user information, query and fragment"
	}
}
