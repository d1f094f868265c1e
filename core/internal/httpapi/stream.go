// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	stdjson "encoding/json"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// serve answers with the events of a run until it ends, or until its caller may not read
// it any more.
func (a *api) serve(c *fiber.Ctx, attended *server.Attended, live *run.Live) error {
	who := callerOf(c)
	return attended.Stream(c, func(ctx context.Context, to *server.Outlet) *fault.Error {
		return live.Serve(ctx, run.Audience{
			To: to, Still: func(ctx context.Context) error { return a.Bearer.Still(ctx, who) }, Failure: failureEvent,
		})
	})
}

// failedEvent tells of a failure after the stream's 200.
type failedEvent struct {
	Event   string `json:"event"`
	Code    string `json:"code"`
	Status  int    `json:"status"`
	Message string `json:"message"`
	TaskID  string `json:"task_id,omitempty"`
}

// failureEvent is the last event of a stream that fails. Clients drop an event without its
// blank line, and take the end of a stream without an event for a success.
func failureEvent(f *fault.Error, taskID string) []byte {
	data, err := stdjson.Marshal(failedEvent{Event: "error", Code: f.Code(), Status: server.Status(f.Kind()), Message: f.Text(), TaskID: taskID})
	if err != nil { // no field of ours can fail to encode
		data = []byte(`{"event":"error","code":"internal_server_error","status":500,"message":"Something went wrong on our side."}`)
	}
	return append(append([]byte("data: "), data...), '\n', '\n')
}
