// SPDX-License-Identifier: Apache-2.0

package echo_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/echo"
	"github.com/dify-sso/dify-sso/core/internal/run"
)

// Whatever an app is told and given, its run ends with a final event or is refused in the
// vocabulary of runs, and every event can be read.
func FuzzScript(f *testing.F) {
	for _, config := range []string{"", "{}", everyKind, twice, `{"echo":{"fail_after":1}}`, `{"user_input_form":[{"select":{"variable":"a","options":["b"]}}]}`} {
		for _, inputs := range []string{`{}`, `{"name":"a","x":1}`, `{"a":"b"}`, `{"f":{"transfer_method":"local_file","upload_file_id":"x"}}`, `[`} {
			f.Add(uint8(len(config)), config, inputs, inputs)
		}
	}
	modes := []apps.Mode{apps.Chat, apps.AgentChat, apps.AdvancedChat, apps.Completion, apps.Workflow}
	f.Fuzz(func(t *testing.T, mode uint8, config, inputs, files string) {
		var s struct {
			Echo struct {
				Slow int `json:"slow_ms"`
				Cut  int `json:"cut_after"`
			} `json:"echo"`
		}
		if json.Unmarshal([]byte(config), &s) == nil && (s.Echo.Slow != 0 || s.Echo.Cut != 0) {
			t.Skip()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r := echo.New(echo.Options{Now: time.Now, Interval: echo.AtOnce})
		on := target(modes[int(mode)%len(modes)], config)
		q := run.Request{Inputs: json.RawMessage(inputs), Files: json.RawMessage(files), Query: &inputs, User: ada}
		for _, err := range []error{second1(r.Parameters(ctx, on)), second1(r.Block(ctx, on, q))} {
			known(t, err)
		}
		stream, err := r.Stream(ctx, on, q)
		if known(t, err); err != nil {
			return
		}
		final := false
		for {
			e, err := stream.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			read(t, e)
			final = e.Final()
		}
		if !final {
			t.Error("the run ends without a final event")
		}
	})
}

func known(t *testing.T, err error) {
	t.Helper()
	for _, one := range []error{nil, run.ErrRefused, run.ErrAppUnavailable, run.ErrNotConfigured, run.ErrCompletion} {
		if errors.Is(err, one) {
			return
		}
	}
	t.Fatalf("refused with %v", err)
}
