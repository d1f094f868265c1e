// SPDX-License-Identifier: Apache-2.0

package jobs_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/jobs"
)

func TestSweepRunsEveryThirtySecondsAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		calls, done := 0, make(chan error, 1)
		go func() { done <- jobs.Sweep(time.Now, func(time.Time) { calls++ })(ctx) }()
		time.Sleep(3*jobs.SweepEvery + time.Second)
		synctest.Wait()
		if calls != 3 {
			t.Errorf("%d sweeps, want 3", calls)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}
