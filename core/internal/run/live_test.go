// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// oneEvent is a stream of one last event.
type oneEvent struct{ given bool }

func (s *oneEvent) Next() (Event, error) {
	if s.given {
		return Event{}, io.EOF
	}
	s.given = true
	return Event{Name: "message_end", Frame: []byte("data: the end\n\n")}, nil
}

func (*oneEvent) Ready() bool  { return false }
func (*oneEvent) Close() error { return nil }

// slowToHurry is a client's side that takes its time when it is told the end.
type slowToHurry struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *slowToHurry) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (*slowToHurry) Hurry() { time.Sleep(time.Minute) }

// Where a run has ended nobody looks after it any more, however long it takes to say so:
// a ping behind the last event would be read as one of a run that goes on.
func TestNobodyLooksAfterAStreamThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		l := &Live{
			s:      &Service{Deps: Deps{Bounds: Bounds{Idle: time.Hour, Max: time.Hour, Pace: Pace{Ping: time.Second, Still: time.Second}}}},
			stream: &oneEvent{}, cancel: func() {},
		}
		out := &slowToHurry{}
		told := l.Serve(t.Context(), Audience{
			To: out, Still: func(context.Context) error { asked++; return nil },
			Failure: func(*fault.Error, string) []byte { return []byte("data: failed\n\n") },
		})
		if told != nil || out.text.String() != "data: the end\n\n" || asked != 0 {
			t.Errorf("told %v, wrote %q, asked for the token %d times", told, out.text.String(), asked)
		}
	})
}
