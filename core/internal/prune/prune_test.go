// SPDX-License-Identifier: Apache-2.0

package prune_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/prune"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/jobs"
)

// What is deleted is the contract of the stores (storetest); here is what becomes of
// their failures.
func TestAFailingPruneSaysWhatItHasDone(t *testing.T) {
	w := storetest.NewWorld(t)
	var faults storetest.Faults
	p := storetest.FaultyPruner(w.Prune, &faults)
	for method, job := range map[string]jobs.Job{
		"Prune.Tokens":   prune.Tokens(p, w.Clock.Now, time.Hour),
		"Prune.Fences":   prune.Tokens(p, w.Clock.Now, time.Hour),
		"Prune.Sessions": prune.Sessions(p, w.Clock.Now),
		"Prune.Runs":     prune.Runs(p, w.Clock.Now, time.Hour),
	} {
		faults.Clear()
		faults.Plan(storetest.Fault{Method: method})
		if n, err := job.Do(t.Context()); n != 0 || !errors.Is(err, storetest.ErrInjected) {
			t.Errorf("%s: %d, %v", method, n, err)
		}
	}
	if job := prune.Tokens(p, w.Clock.Now, time.Hour); job.Name != "prune.tokens" || job.Every != 24*time.Hour {
		t.Errorf("%s every %s", job.Name, job.Every)
	}
}

// full is a pruner whose batches are always full: it never comes to an end by itself.
type full struct {
	prune.Store
	calls int
	stop  func()
}

func (p *full) Sessions(_ context.Context, _ time.Time, limit int) (int64, error) {
	if p.calls++; p.calls == 3 {
		p.stop()
	}
	return int64(limit), nil
}

func TestAPruneEndsBetweenItsBatches(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	p := &full{stop: stop}
	n, err := prune.Sessions(p, time.Now).Do(ctx)
	if n != 1500 || p.calls != 3 || !errors.Is(err, context.Canceled) {
		t.Fatal(n, p.calls, err)
	}
}
