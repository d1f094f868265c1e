// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
)

// Exit codes of run and resume, as their --help lists them.
const (
	exitPaused  = 3
	exitRun     = 8
	exitBroken  = 9
	exitCutOff  = 10
	pausedPause = 2 * time.Second // in which a run that asked for a person may ask for more
)

// follow prints a run until it is over. The stream lives on a context of its own, so that
// Ctrl-C can stop the work before the connection goes.
func (t *telling) follow(ctx context.Context, open func(context.Context) (*api.Stream, error)) error {
	inner, drop := context.WithCancel(context.WithoutCancel(ctx))
	defer drop()
	var task atomic.Pointer[string]
	left := ": the connection is dropped, at which the server ends the work"
	over := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		defer close(over)
		defer drop()
		id := task.Load()
		if id == nil {
			return
		}
		if err := t.api.Stop(inner, t.app, *id); err != nil {
			left = ": the server could not be told (" + short(err) + "), and ends the work as the connection is dropped"
			return
		}
		left = ", and the work on the server with it"
	})
	err := t.events(inner, open, func(id string) { task.Store(&id) })
	if !release() { // what was stopped may still have come to an end of its own
		<-over
		t.endLine()
		return leftover{left, context.Canceled}
	}
	return err
}

// events reads to the end. named hears of the task as soon as an event names it.
func (t *telling) events(ctx context.Context, open func(context.Context) (*api.Stream, error), named func(string)) error {
	stream, err := open(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	known := false
	for {
		e, err := stream.Next()
		if err != nil {
			t.endLine()
			return t.ended(err)
		}
		if !known && e.Task != "" {
			known = true
			named(e.Task)
		}
		first := len(t.forms) == 0
		done, err := t.event(e)
		switch {
		case err != nil:
			t.endLine()
			return err
		case done:
			t.endLine()
			return t.verdict()
		}
		if first && len(t.forms) > 0 { // more forms may come with it, and nothing else will
			timer := time.AfterFunc(pausedPause, stream.Close)
			defer timer.Stop()
		}
	}
}

// ended judges a stream that has come to its end, or to grief.
func (t *telling) ended(err error) error {
	switch {
	case len(t.forms) > 0:
		return t.verdict()
	case errors.Is(err, context.Canceled):
		return err
	case t.final: // however the connection ended: nothing that counts can follow
		return t.verdict()
	case errors.Is(err, io.EOF):
		return t.cutOff("the stream ended before the run did")
	case errors.Is(err, api.ErrTooLong), errors.Is(err, api.ErrNoJSON), errors.Is(err, api.ErrSilent):
		return t.cutOff(err.Error())
	}
	return t.cutOff("the connection broke: " + plain(innermost(err)))
}

// innermost is the innermost word for a broken connection.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

func (t *telling) cutOff(why string) error {
	return told{code: "cut_off", exit: exitCutOff, text: fmt.Sprintf("the answer of %s broke off in the middle (%s): what stands above is not all of it, and what the run did is not known", t.at, why)}
}

// verdict is how the run ended, as a failure or none.
func (t *telling) verdict() error {
	if t.failed != nil {
		return t.failed
	}
	if len(t.forms) > 0 || t.paused {
		return t.waiting()
	}
	if t.talk != "" {
		t.progress("to go on with this conversation: --conversation %s", word(t.talk))
	}
	return nil
}

// brokenOff is an error event, or an error in a whole answer.
func (t *telling) brokenOff(code, message string, status int) error {
	if status == 401 {
		return &deviceauth.Error{Status: status, Code: code, Err: deviceauth.ErrUnauthorized}
	}
	said := brief(unwrapped(message), 400)
	if said == "" {
		said = "no reason given"
	}
	number := ""
	if status > 0 {
		number = fmt.Sprintf(" (%d %s)", status, brief(code, 60))
	}
	return stated{failure{Code: "run_error", Message: "the run was broken off: " + said + number, Status: status, exit: exitBroken}}
}
