// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

const (
	// prefix begins the path of every operation. Another protocol would have another.
	prefix   = "/v1/"
	jsonType = "application/json"

	maxBody   = 64 << 10 // of a request, unless Large says otherwise
	maxAnswer = 4 << 20
	maxHeader = 8 << 10

	// callLimit bounds the work of one operation; answerLimit is what a command waits for
	// it, helloLimit what it waits for a greeting.
	callLimit   = 30 * time.Second
	answerLimit = 45 * time.Second
	helloLimit  = 10 * time.Second
	// readLimit bounds the reading of a request, so that a client that stops in the
	// middle of one holds nothing.
	readLimit = 5 * time.Second
)

// Slow has the operations whose work may take longer than others', and how long.
type Slow map[string]time.Duration

// limit bounds the work of an operation.
func (s Slow) limit(name string) time.Duration { return max(s[name], callLimit) }

// Large has the operations whose request may be longer than others', and how long, in
// bytes.
type Large map[string]int64

// limit bounds the request of an operation.
func (l Large) limit(name string) int64 { return max(l[name], maxBody) }

// versionHeader carries the sender's own version, whatever becomes of the call: that of
// core is Core-Version.
func versionHeader(service string) string {
	return http.CanonicalHeaderKey(service + "-version")
}

// Hello is what a server says of itself.
type Hello struct {
	Version    string   `json:"version"`
	PID        int      `json:"pid"`
	Operations []string `json:"operations"`
}

// failure is a fault on its way, in the shape of the public API's.
type failure struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Status  int            `json:"status"`
	Hint    string         `json:"hint,omitempty"`
	Details []fault.Detail `json:"details,omitempty"`
	Retry   float64        `json:"retry_after,omitempty"` // seconds
}

// put writes a fault down. Its cause stays here: it is for the log.
func put(f *fault.Error) failure {
	return failure{
		Code: f.Code(), Message: f.Text(), Status: server.Status(f.Kind()), Hint: f.Hint(), Details: f.Details(), Retry: f.Retry().Seconds(),
	}
}

// fault makes it anew on the other side.
func (w failure) fault() *fault.Error {
	f := fault.New(kindOf(w.Status), w.Code, w.Message)
	if w.Hint != "" {
		f = f.Hinted(w.Hint)
	}
	if len(w.Details) > 0 {
		f = f.Detailed(w.Details...)
	}
	if w.Retry > 0 {
		f = f.RetryAfter(time.Duration(w.Retry * float64(time.Second)))
	}
	return f
}

// kindOf is the kind of a status; of one that no kind has it is an internal failure.
func kindOf(status int) fault.Kind {
	for k := fault.Internal; k <= fault.Unavailable; k++ {
		if server.Status(k) == status {
			return k
		}
	}
	return fault.Internal
}

// readFailure takes a failed answer apart. What is no failure of this protocol is not
// shown: it could be anything.
func readFailure(status int, body []byte) error {
	var w failure
	if json.Unmarshal(body, &w) != nil || w.Code == "" || w.Message == "" {
		return fmt.Errorf("control: the service answers %d %s in words that this command does not know", status, http.StatusText(status))
	}
	w.Status = status
	return w.fault()
}
