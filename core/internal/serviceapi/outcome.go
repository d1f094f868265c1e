// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"encoding/json"

	"github.com/dify-sso/dify-sso/core/internal/run"
)

// outcomeOf makes of a workflow run's details what the member data of its workflow_finished
// event would be. The inputs are not among them.
func outcomeOf(content json.RawMessage) (run.Outcome, error) {
	var d struct {
		ID          json.RawMessage `json:"id"`
		WorkflowID  json.RawMessage `json:"workflow_id"`
		Status      string          `json:"status"`
		Outputs     json.RawMessage `json:"outputs"`
		Error       json.RawMessage `json:"error"`
		ElapsedTime json.RawMessage `json:"elapsed_time"`
		TotalTokens json.RawMessage `json:"total_tokens"`
		TotalSteps  json.RawMessage `json:"total_steps"`
		CreatedAt   json.RawMessage `json:"created_at"`
		FinishedAt  json.RawMessage `json:"finished_at"`
	}
	if err := json.Unmarshal(content, &d); err != nil || d.Status == "" {
		return run.Outcome{}, run.ErrUnavailable.Because(errNoAnswer)
	}
	switch d.Status {
	case "succeeded", "failed", "stopped", "partial-succeeded":
	default:
		return run.Outcome{}, nil
	}
	// Some versions give the outputs as a text that holds JSON.
	var text string
	if json.Unmarshal(d.Outputs, &text) == nil && json.Valid([]byte(text)) {
		d.Outputs = json.RawMessage(text)
	}
	event, err := json.Marshal(d)
	if err != nil {
		return run.Outcome{}, run.ErrUnavailable.Because(errNoAnswer)
	}
	return run.Outcome{Finished: true, Event: event}, nil
}
