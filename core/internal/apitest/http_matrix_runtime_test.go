// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"io"

	"github.com/dify-sso/dify-sso/core/internal/run"
)

// mxRuntime answers at once whatever it is asked, for suites that ask every route.
type mxRuntime struct{ run.Runtime }

func (mxRuntime) Parameters(context.Context, run.Target) (json.RawMessage, error) {
	return json.RawMessage(`{}`), nil
}

func (mxRuntime) Stream(context.Context, run.Target, run.Request) (run.Stream, error) {
	return &mxStream{}, nil
}

func (mxRuntime) Block(context.Context, run.Target, run.Request) (json.RawMessage, error) {
	return json.RawMessage(`{"event":"message","answer":"hello"}`), nil
}

func (mxRuntime) Stop(context.Context, run.Target, string, string) error { return nil }

func (mxRuntime) Events(context.Context, run.Target, string, string, run.EventOptions) (run.Stream, error) {
	return &mxStream{}, nil
}

func (mxRuntime) Outcome(context.Context, run.Target, string) (run.Outcome, error) {
	return run.Outcome{}, nil
}

func (mxRuntime) Upload(_ context.Context, _ run.Target, _ string, f run.File) (json.RawMessage, error) {
	_, err := io.Copy(io.Discard, f.Content)
	return json.RawMessage(`{"id":"0197d0c8-3f00-7000-8000-000000000001","name":"x","size":1,"extension":"txt","mime_type":"text/plain","created_by":"x","created_at":1}`), err
}

func (mxRuntime) Form(context.Context, run.Target, string) (json.RawMessage, error) {
	return nil, run.ErrFormNotFound
}

func (mxRuntime) Submit(context.Context, run.Target, string, string, string, json.RawMessage) error {
	return run.ErrFormNotFound
}

func (mxRuntime) DeleteConversation(context.Context, run.Target, string, string) error {
	return run.ErrNoConversation
}

// mxStream says one thing and ends well.
type mxStream struct{ sent int }

func (s *mxStream) Next() (run.Event, error) {
	frames := []run.Event{
		{Name: "message", Frame: []byte("data: {\"event\":\"message\",\"answer\":\"hello\"}\n\n")},
		{Name: "message_end", Frame: []byte("data: {\"event\":\"message_end\"}\n\n")},
	}
	if s.sent == len(frames) {
		return run.Event{}, io.EOF
	}
	s.sent++
	return frames[s.sent-1], nil
}

func (s *mxStream) Ready() bool { return s.sent < 2 }

func (*mxStream) Close() error { return nil }
