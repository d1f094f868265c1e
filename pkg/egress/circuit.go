// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A circuit opens after this many failed calls in a row, for this long.
const (
	CircuitFailures = 5
	CircuitOpen     = 30 * time.Second
)

// Circuits keep a peer that fails from being called by every login: one circuit per key,
// in this process. They are safe for concurrent use.
type Circuits struct {
	client *Client
	now    func() time.Time
	mu     sync.Mutex
	byKey  map[string]*circuit
}

type circuit struct {
	failures int
	until    time.Time
}

// NewCircuits puts circuits before a client.
func NewCircuits(client *Client, now func() time.Time) *Circuits {
	return &Circuits{client: client, now: now, byKey: map[string]*circuit{}}
}

// Acceptable is Client.Acceptable.
func (c *Circuits) Acceptable(address string) error { return c.client.Acceptable(address) }

// For gives the line of a key, such as a connection's id.
func (c *Circuits) For(key string) Line { return Line{circuits: c, key: key} }

// Line is the client behind one circuit. While that is open every call fails with the
// phase Open and nothing is sent.
type Line struct {
	circuits *Circuits
	key      string
}

// Get is Client.Get.
func (l Line) Get(ctx context.Context, address string, header http.Header) (Response, error) {
	return l.call(ctx, address, func() (Response, error) { return l.circuits.client.Get(ctx, address, header) })
}

// PostForm is Client.PostForm.
func (l Line) PostForm(ctx context.Context, address string, form url.Values, header http.Header) (Response, error) {
	return l.call(ctx, address, func() (Response, error) { return l.circuits.client.PostForm(ctx, address, form, header) })
}

func (l Line) call(ctx context.Context, address string, do func() (Response, error)) (Response, error) {
	if l.circuits.open(l.key) {
		host := ""
		if u, err := url.Parse(address); err == nil {
			host = u.Hostname()
		}
		return Response{}, &Error{Phase: Open, Host: host, cause: errors.New("the peer failed several times in a row")}
	}
	r, err := do()
	if ctx.Err() == nil { // a caller that went away says nothing about the peer
		l.circuits.note(l.key, err == nil && r.Status < 500)
	}
	return r, err
}

func (c *Circuits) open(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byKey[key]
	return k != nil && c.now().Before(k.until)
}

// note counts. After the pause the count still stands, so that one more failure opens
// the circuit again, and one success closes it.
func (c *Circuits) note(key string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok {
		delete(c.byKey, key)
		return
	}
	k := c.byKey[key]
	if k == nil {
		k = &circuit{}
		c.byKey[key] = k
	}
	if k.failures++; k.failures >= CircuitFailures {
		k.until = c.now().Add(CircuitOpen)
	}
}
