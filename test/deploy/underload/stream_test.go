// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// question takes the echo runtime some three seconds to say, in chunks.
const question = "What one replica begins another one need not end but it does"

// runs streams one run after another with a token of its own.
func (l *load) runs(a *attempts) {
	v, label := visitor.New(l.f.front.address, transport()), fmt.Sprintf("runner-%d", l.labels.Add(1))
	token, ok := l.device(a, v, label)
	l.login(ok)
	for ok && l.stop.Err() == nil {
		if !a.do("run", nil, func(ctx context.Context) error { return l.run(ctx, token) }) {
			time.Sleep(pause)
		}
	}
}

// run reads one stream to its end, which is its final event and nothing after it.
func (l *load) run(ctx context.Context, token string) error {
	body, err := json.Marshal(map[string]any{"inputs": map[string]any{}, "query": question, "response_mode": "streaming"})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.f.front.address+"/openapi/v1/apps/"+l.chat+"/chat-messages", strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Transport: transport(), Timeout: patience}).Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewScanner(answer.Body)
	if answer.StatusCode != http.StatusOK {
		lines.Scan()
		return &visitor.Refusal{Step: "run", Status: answer.StatusCode, RetryAfter: answer.Header.Get("Retry-After"), Body: lines.Text()}
	}
	said, last := "", ""
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var event struct {
			Event  string `json:"event"`
			Answer string `json:"answer"`
		}
		if err := json.Unmarshal([]byte(text), &event); err != nil {
			return fmt.Errorf("an event that cannot be read: %w: %s", err, text)
		}
		if last == "message_end" {
			return fmt.Errorf("%s after the final event", event.Event)
		}
		last = event.Event
		said += event.Answer
		if last == "error" {
			return fmt.Errorf("the stream ends with %s", text)
		}
	}
	switch {
	case lines.Err() != nil:
		return fmt.Errorf("a stream that was cut after %q: %w", said, lines.Err())
	case last != "message_end":
		return fmt.Errorf("a stream without its final event, after %q", said)
	case said != "echo:"+question:
		return fmt.Errorf("a stream that says %q", said)
	}
	return nil
}
