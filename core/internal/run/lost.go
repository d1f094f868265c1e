// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/jobs"
)

// LostLease is the name of the lease under which lost runs are ended.
const LostLease = "runs.lost"

const (
	lostEvery = time.Hour
	// lostAfter is beyond the longest run what a process goes on trying for to write its end
	// down, and what clocks may differ by.
	lostAfter = 15 * time.Minute
)

// Lost is the hourly job that ends what is on record of runs whose process is gone: one that
// was killed writes nothing down. No run goes on here for longer than longest; at its runtime it
// may, and whoever follows it is answered by the runtime, whatever is on record.
func Lost(r Runs, now func() time.Time, longest time.Duration) jobs.Job {
	return jobs.Job{Name: LostLease, Every: lostEvery, Do: func(ctx context.Context) (int64, error) {
		at := now()
		return jobs.InBatches(ctx, at.Add(-longest-lostAfter), func(ctx context.Context, before time.Time, limit int) (int64, error) {
			return r.Lose(ctx, before, at, limit)
		})
	}}
}
