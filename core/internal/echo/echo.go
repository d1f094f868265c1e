// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// Interval is what lies between two chunks of an answer.
const Interval = 300 * time.Millisecond

// AtOnce is an interval of none, for tests.
const AtOnce time.Duration = -1

// What is kept, and for how long.
const (
	keepRuns          = 24 * time.Hour
	maxRuns           = 1000
	maxRunBytes       = 32 << 20
	keepConversations = 7 * 24 * time.Hour
	maxConversations  = 10_000
	keepUploads       = 24 * time.Hour
	maxUploads        = 10_000
	maxNote           = 8 << 20 // bytes of conversations and of uploads, each
)

// Options make a Runtime. Only Now is required.
type Options struct {
	Now func() time.Time
	// Interval lies between two chunks of an answer; zero takes Interval.
	Interval time.Duration
}

// Runtime implements run.Runtime. It is safe for concurrent use.
type Runtime struct {
	Options
	conversations *shelf[struct{}]
	uploads       *shelf[upload]
	jobs          *shelf[*job]
}

var _ run.Runtime = (*Runtime)(nil)

// New gives a runtime that remembers nothing yet.
func New(o Options) *Runtime {
	switch {
	case o.Interval == 0:
		o.Interval = Interval
	case o.Interval < 0:
		o.Interval = 0
	}
	return &Runtime{
		Options:       o,
		conversations: newShelf[struct{}](maxConversations, maxNote, keepConversations),
		uploads:       newShelf[upload](maxUploads, maxNote, keepUploads),
		jobs:          newShelf[*job](maxRuns, maxRunBytes, keepRuns),
	}
}

// owned is the key of what a user has at an app. Ids are random; they open nothing for
// another user or another app all the same.
func owned(t run.Target, user, id string) string { return t.AppID + "\n" + user + "\n" + id }

// slow waits as the script says, and not beyond the context.
func slow(ctx context.Context, s *script) error {
	if s.SlowMS == 0 {
		return broken(ctx)
	}
	timer := time.NewTimer(time.Duration(s.SlowMS) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return broken(ctx)
	case <-timer.C:
		return nil
	}
}

// broken is the failure of a call whose context is over, or nil.
func broken(ctx context.Context) error {
	err := ctx.Err()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return run.ErrTimeout.Because(err)
	}
	return run.ErrUnavailable.Because(err)
}

// Parameters implements run.Runtime.
func (r *Runtime) Parameters(ctx context.Context, t run.Target) (json.RawMessage, error) {
	s, err := r.script(t)
	if err != nil {
		return nil, err
	}
	if err := slow(ctx, s); err != nil {
		return nil, err
	}
	all := maps.Clone(defaults)
	maps.Copy(all, s.parameters)
	return json.Marshal(all)
}

// upload is what is known of a file that was taken; its content is not kept.
type upload struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Size      int64  `json:"size"`
	Extension string `json:"extension"`
	MediaType string `json:"mime_type"`
	CreatedBy string `json:"created_by"`
	CreatedAt int64  `json:"created_at"`
	Digest    string `json:"sha256"`
}

// Upload implements run.Runtime. It reads the file to its end and keeps its size and
// digest.
func (r *Runtime) Upload(ctx context.Context, t run.Target, user string, f run.File) (json.RawMessage, error) {
	if _, err := r.script(t); err != nil {
		return nil, err
	}
	digest := sha256.New()
	size, err := io.Copy(digest, f.Content)
	if err != nil {
		return nil, err // the reader's own failure, such as a file that is too large
	}
	if err := broken(ctx); err != nil {
		return nil, err
	}
	now := r.Now()
	u := upload{
		ID: canon.NewID(), Name: f.Name, Size: size, Extension: strings.ToLower(strings.TrimPrefix(path.Ext(f.Name), ".")),
		MediaType: f.MediaType, CreatedBy: user, CreatedAt: now.Unix(), Digest: hex.EncodeToString(digest.Sum(nil)),
	}
	body, err := json.Marshal(u)
	if err != nil {
		return nil, err
	}
	r.uploads.put(now, 2*len(body), u, owned(t, user, u.ID))
	return body, nil
}

// conversation finds the one that a run names, or begins one. What is said in it is not
// kept.
func (r *Runtime) conversation(t run.Target, q run.Request) (string, error) {
	now := r.Now()
	if q.ConversationID != "" {
		if _, ok := r.conversations.get(now, owned(t, q.User, q.ConversationID)); !ok {
			return "", run.ErrNoConversation
		}
		return q.ConversationID, nil
	}
	id := canon.NewID()
	r.conversations.put(now, 512, struct{}{}, owned(t, q.User, id))
	return id, nil
}

// DeleteConversation implements run.Runtime.
func (r *Runtime) DeleteConversation(_ context.Context, t run.Target, id, user string) error {
	if !r.conversations.drop(r.Now(), owned(t, user, id)) {
		return run.ErrNoConversation
	}
	return nil
}
