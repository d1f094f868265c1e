// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Caller is who has apps run.
type Caller struct {
	Subject token.Subject
	// TokenID is the session whose token is used.
	TokenID string
	Kind    token.SubjectType
}

// Keys opens the key of an app at its runtime; package apps' Registry is one.
type Keys interface {
	OpenKey(a apps.App) (secret.Text, error)
}

// Bounds say how long runs take, and how many of them go on at once.
type Bounds struct {
	// Idle is the longest silence of a runtime in a stream, Max the longest stream, and
	// Blocking what a run in one piece gets in their place.
	Idle, Max, Blocking time.Duration
	// DefaultActive is for apps that do not say how many of their runs go on at once,
	// MaxActive for all; 0 is no limit.
	DefaultActive, MaxActive int
	// KeepOnLeave leaves a runtime at its work when the client has left.
	KeepOnLeave bool
	// Pace is how often a stream looks after itself; zero values take what clients were
	// promised.
	Pace Pace
}

// Pace is how often a stream looks after itself.
type Pace struct {
	// Ping is the silence after which a client hears that the stream lives.
	Ping time.Duration
	// Still is the time between two looks at the caller's token.
	Still time.Duration
}

// The paces (docs/specs/v1.0/server/apps.md, Streams). A token that has ended ends its
// streams within 5 s, and the look takes a moment itself.
const (
	pingAfter  = 10 * time.Second
	stillEvery = 4 * time.Second
)

// Deps is what a Service needs; all fields but Ended are required.
type Deps struct {
	// Runtimes carry out what apps do, by the kind of runtime that an app names.
	Runtimes map[apps.Runtime]Runtime
	Keys     Keys
	Store    Runs
	Slots    Slots
	Bounds   Bounds
	// Limits are those of uploads.
	Limits   FileLimits
	Imports  Imports
	Recorder *audit.Recorder
	Log      *slog.Logger
	Now      func() time.Time
	// Ended hears of each run how it ended for its client; nil hears nothing.
	Ended func(mode apps.Mode, how End)
}

// Service has apps run. It is safe for concurrent use.
type Service struct {
	Deps
	behind     sync.WaitGroup // what runs leave behind
	closing    chan struct{}  // closed by Wait: what is tried again is tried once more
	once       sync.Once
	parameters parametersCache
}

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if len(d.Runtimes) == 0 || d.Keys == nil || d.Store == nil || d.Slots == nil || d.Recorder == nil || d.Log == nil || d.Now == nil {
		return nil, errors.New("run: runtimes, keys, store, slots, recorder, log and clock are required")
	}
	if !d.Imports.complete() {
		return nil, errors.New("run: what imports need is required")
	}
	if b := d.Bounds; b.Idle <= 0 || b.Max <= 0 || b.Blocking <= 0 {
		return nil, errors.New("run: the times that runs take are required")
	}
	if err := d.Limits.check(); err != nil {
		return nil, err
	}
	if d.Ended == nil {
		d.Ended = func(apps.Mode, End) {}
	}
	if d.Bounds.Pace.Ping <= 0 {
		d.Bounds.Pace.Ping = pingAfter
	}
	if d.Bounds.Pace.Still <= 0 {
		d.Bounds.Pace.Still = stillEvery
	}
	return &Service{Deps: d, closing: make(chan struct{})}, nil
}

// Wait waits for what runs have left behind, such as stopping a runtime's work, until ctx
// ends.
func (s *Service) Wait(ctx context.Context) {
	if s.closing != nil {
		s.once.Do(func() { close(s.closing) })
	}
	done := make(chan struct{})
	go func() { s.behind.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (s *Service) closed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// leave does something that nobody waits for. A panic in it is logged: in a goroutine of
// its own it would end the process.
func (s *Service) leave(do func()) {
	s.behind.Go(func() {
		defer s.survive()
		do()
	})
}

func (s *Service) survive() {
	if p := recover(); p != nil {
		s.Log.Error("a panic beside a run", slog.String("error", fmt.Sprintf("panic: %v\n%s", p, debug.Stack())))
	}
}

// target opens what an app's runtime is asked with. A key that does not open is a failure
// of ours, and never told as the runtime's.
func (s *Service) target(a apps.App) (Target, Runtime, error) {
	runtime := s.Runtimes[a.Runtime]
	if runtime == nil {
		return Target{}, nil, fault.ErrInternal.Because(errors.New("run: no runtime " + string(a.Runtime)))
	}
	key, err := s.Keys.OpenKey(a)
	if err != nil {
		return Target{}, nil, fault.ErrInternal.Because(err)
	}
	return Target{
		AppID: a.ID, Name: a.Name, Mode: a.Mode, Runtime: a.Runtime, URL: a.RuntimeURL, Key: key, Config: a.RuntimeConfig, Features: a.Features,
	}, runtime, nil
}
