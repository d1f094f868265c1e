// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// ParametersFor is for how long what a runtime says of an app is remembered.
const ParametersFor = time.Minute

// The bounds of what is remembered; the oldest goes first.
const (
	maxRemembered      = 1024
	maxRememberedBytes = 16 << 20
)

// parametersKey is an app as its runtime is asked for it. An app whose key or address has
// changed is another.
type parametersKey struct {
	app string
	by  [sha256.Size]byte
}

// parametersKeyOf takes the key as it is sealed, which no other app's is: it need not be
// opened for what is remembered.
func parametersKeyOf(a apps.App) parametersKey {
	h := sha256.New()
	for _, part := range []string{string(a.Runtime), a.RuntimeURL, a.SealedKey, a.RuntimeConfig, string(a.Mode)} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	k := parametersKey{app: a.ID}
	h.Sum(k.by[:0])
	return k
}

// parametersCache remembers what runtimes say of apps. Of several who ask for the same
// at once one asks the runtime. The zero value is ready.
type parametersCache struct {
	mu      sync.Mutex
	known   map[parametersKey]remembered
	order   []parametersKey // the oldest first
	bytes   int
	flights map[parametersKey]*flight
}

type remembered struct {
	Parameters
	since time.Time
}

// flight is a question on its way.
type flight struct {
	done   chan struct{}
	answer Parameters
	err    error
	left   bool // who asked has gone, and the failure is theirs alone
}

func (c *parametersCache) get(ctx context.Context, key parametersKey, now func() time.Time, ask func(context.Context) (Parameters, error)) (Parameters, error) {
	for {
		c.mu.Lock()
		if r, ok := c.known[key]; ok && now().Sub(r.since) < ParametersFor && !now().Before(r.since) {
			c.mu.Unlock()
			return r.Parameters, nil
		}
		f, on := c.flights[key]
		if !on {
			f = &flight{done: make(chan struct{}), err: ErrUnavailable, left: true}
			if c.flights == nil {
				c.flights = map[parametersKey]*flight{}
			}
			c.flights[key] = f
		}
		c.mu.Unlock()
		if !on {
			c.fly(ctx, key, f, now, ask)
			return f.answer, f.err
		}
		select {
		case <-f.done:
			if !f.left {
				return f.answer, f.err
			}
		case <-ctx.Done():
			return Parameters{}, ErrUnavailable.Because(ctx.Err())
		}
	}
}

// fly asks, and lets the others know even if asking panics.
func (c *parametersCache) fly(ctx context.Context, key parametersKey, f *flight, now func() time.Time, ask func(context.Context) (Parameters, error)) {
	since := now()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flights, key)
		if f.err == nil {
			c.keep(key, remembered{f.answer, since})
		}
		close(f.done)
	}()
	f.answer, f.err = ask(ctx)
	f.left = f.err != nil && ctx.Err() != nil
}

// keep remembers an answer, and forgets the oldest beyond the bounds.
func (c *parametersCache) keep(key parametersKey, r remembered) {
	if c.known == nil {
		c.known = map[parametersKey]remembered{}
	}
	if old, ok := c.known[key]; ok {
		c.forget(key, old)
	}
	c.known[key] = r
	c.order = append(c.order, key)
	c.bytes += r.size()
	for len(c.known) > maxRemembered || c.bytes > maxRememberedBytes {
		c.forget(c.order[0], c.known[c.order[0]])
	}
}

func (c *parametersCache) forget(key parametersKey, r remembered) {
	delete(c.known, key)
	c.bytes -= r.size()
	for i, k := range c.order {
		if k == key {
			c.order = append(c.order[:i], c.order[i+1:]...)
			return
		}
	}
}

func (r remembered) size() int { return len(r.Body) + len(r.form) }
