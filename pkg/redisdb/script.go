// SPDX-License-Identifier: Apache-2.0

package redisdb

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name under which Redis keeps a script
	"encoding/hex"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// once is a command that is sent once. The library repeats others after EOF and
// time-outs, on a cluster whatever MaxRetries says; what it repeats still are
// redirects, whose first server ran nothing.
type once struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }

func newOnce(ctx context.Context, args ...any) once { return once{redis.NewCmd(ctx, args...)} }

// value gives the reply; a nil reply is nil and no failure.
func (c once) value() (any, error) {
	v, err := c.Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return v, err
}

// Script is a Lua script. It gets every key through KEYS, all of one tag, and builds
// none.
type Script struct{ source, hash, name string }

// NewScript takes a source.
func NewScript(source string) *Script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see the import
	return &Script{source: source, hash: hex.EncodeToString(sum[:]), name: "script"}
}

// Named has trips of the script bear a name.
func (s *Script) Named(name string) *Script {
	s.name = "script " + name
	return s
}

// Call is a script, or a command when Script is nil, with its keys and arguments.
type Call struct {
	Script *Script
	Keys   []string
	Args   []any
}

// command gives the form that is sent: the whole source, or its hash.
func (c Call) command(ctx context.Context, whole bool) once {
	if c.Script == nil {
		return newOnce(ctx, c.Args...)
	}
	args := make([]any, 0, 3+len(c.Keys)+len(c.Args))
	if whole {
		args = append(args, "eval", c.Script.source)
	} else {
		args = append(args, "evalsha", c.Script.hash)
	}
	args = append(args, len(c.Keys))
	for _, k := range c.Keys {
		args = append(args, k)
	}
	return newOnce(ctx, append(args, c.Args...)...)
}

// Do sends one command once and gives its reply; a nil reply is nil.
func (db *DB) Do(ctx context.Context, args ...any) (any, error) { return db.one(ctx, Call{Args: args}) }

// Run runs a script once and gives its reply. A server that does not know the script
// yet has run nothing, and gets its source.
func (db *DB) Run(ctx context.Context, s *Script, keys []string, args ...any) (any, error) {
	return db.one(ctx, Call{Script: s, Keys: keys, Args: args})
}

func (db *DB) one(ctx context.Context, c Call) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cmd := c.command(ctx, false)
	if unknownScript(db.send(ctx, c, cmd)) {
		cmd = c.command(ctx, true)
		_ = db.send(ctx, c, cmd)
	}
	v, err := cmd.value()
	return v, db.failed(ctx, err)
}

func (db *DB) send(ctx context.Context, c Call, cmd once) error {
	start := time.Now()
	err := db.process(ctx, cmd)
	db.observed(ctx, c.name(), start, err)
	return err
}

// name is the first word of a command, which the program chose, or that of its script.
func (c Call) name() string {
	if c.Script != nil {
		return c.Script.name
	}
	if len(c.Args) > 0 {
		if word, ok := c.Args[0].(string); ok {
			return word
		}
	}
	return "command"
}

// Reply is what one call of several was answered.
type Reply struct {
	Value any
	Err   error
}

// All sends calls in one trip, once each, and gives their replies in order. Their keys
// may lie in different slots; nothing holds the calls together or keeps their order.
// The error is that of the first that failed.
func (db *DB) All(ctx context.Context, calls ...Call) ([]Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sent := make([]once, 0, len(calls))
	for _, c := range calls {
		sent = append(sent, c.command(ctx, false))
	}
	start := time.Now()
	db.trip(ctx, sent)
	if len(sent) > 0 {
		db.observed(ctx, "pipeline", start, worst(sent))
	}
	replies := make([]Reply, 0, len(calls))
	var first error
	for i, c := range calls {
		v, err := sent[i].value()
		if unknownScript(err) {
			v, err = db.one(ctx, c)
		}
		err = db.failed(ctx, err)
		replies = append(replies, Reply{Value: v, Err: err})
		if first == nil {
			first = err
		}
	}
	return replies, first
}

// worst is the failure of a trip: the first that is none of a server's answers, else any.
func worst(sent []once) (err error) {
	for _, c := range sent {
		switch e := c.Err(); {
		case e == nil || errors.Is(e, redis.Nil) || unknownScript(e):
		case !answered(e):
			return e
		case err == nil:
			err = e
		}
	}
	return err
}

func unknownScript(err error) bool { return redis.HasErrorPrefix(err, "NOSCRIPT") }
