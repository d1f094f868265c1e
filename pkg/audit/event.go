// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/canon"
)

// MaxUserAgent is how many characters of a request's User-Agent are kept.
const MaxUserAgent = 256

// Actor says who caused an event: Type is account, anonymous, operator or system.
type Actor struct{ Type, ID string }

// The actors that are no person with an id.
var (
	Anonymous = Actor{Type: "anonymous"}
	System    = Actor{Type: "system"}
	Operator  = Actor{Type: "operator"}
)

// Account names an account as the actor.
func Account(id string) Actor { return Actor{Type: "account", ID: id} }

// By names who asked for something, as orders between the services and commands do:
// account:<id> is an account, cli:<user> the person at the machine, and what nobody has
// asked for is the system's.
func By(actor string) Actor {
	if id, ok := strings.CutPrefix(actor, "account:"); ok {
		return Account(id)
	}
	if strings.HasPrefix(actor, "cli:") {
		return Actor{Type: Operator.Type, ID: actor}
	}
	return Actor{Type: System.Type, ID: actor}
}

// Details are the own fields of one kind of event: a struct that encodes to a JSON
// object and holds no secret.
type Details interface {
	// EventName is the stable name, such as oauth.token_minted.
	EventName() string
}

// Event is one row of the stream.
type Event struct {
	ID          string
	At          time.Time
	Name        string
	Actor       Actor
	SubjectKey  string
	WorkspaceID string
	TokenID     string
	Request     Request
	Fields      json.RawMessage
}

// Request is what is kept of the request that caused an event.
type Request struct{ ID, IP, UserAgent string }

type requestKey struct{}

// WithRequest puts the request's facts into ctx, for every event made under it.
func WithRequest(ctx context.Context, r Request) context.Context {
	r.UserAgent = canon.Claim(r.UserAgent, MaxUserAgent)
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestOf gives what WithRequest put in, or the zero value.
func RequestOf(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}

// New makes an event at the given time. Details that do not encode are a mistake
// of ours and leave the fields empty.
func New(ctx context.Context, at time.Time, actor Actor, d Details) Event {
	fields, err := json.Marshal(d)
	if err != nil {
		fields = json.RawMessage("{}")
	}
	return Event{ID: canon.NewID(), At: at, Name: d.EventName(), Actor: actor, Request: RequestOf(ctx), Fields: fields}
}

// About returns the event with the subject it concerns.
func (e Event) About(subjectKey string) Event { e.SubjectKey = subjectKey; return e }

// Token returns the event with the bearer session it concerns.
func (e Event) Token(id string) Event { e.TokenID = id; return e }

// Workspace returns the event with the workspace it concerns.
func (e Event) Workspace(id string) Event { e.WorkspaceID = id; return e }
