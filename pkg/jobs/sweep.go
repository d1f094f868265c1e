// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"context"
	"time"
)

// SweepEvery is how long something that is over stays in memory at most.
const SweepEvery = 30 * time.Second

// Sweep calls every sweeper each SweepEvery until ctx ends.
func Sweep(now func() time.Time, sweepers ...func(now time.Time)) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(SweepEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				at := now()
				for _, sweep := range sweepers {
					sweep(at)
				}
			}
		}
	}
}
