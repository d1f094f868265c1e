// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"context"
	"time"
)

// Batch is how many rows one statement deletes: it holds their locks, and on SQLite the
// one writer, for no longer than others can wait.
const Batch = 500

// InBatches deletes what is from before a time until a batch is not full, and gives the
// number of rows, those before a failure included. remove deletes at most limit rows; a
// context that ends is noticed between two of its calls.
func InBatches(ctx context.Context, before time.Time, remove func(ctx context.Context, before time.Time, limit int) (int64, error)) (rows int64, err error) {
	for {
		n, err := remove(ctx, before, Batch)
		rows += n
		if err != nil || n < Batch {
			return rows, err
		}
		if err := ctx.Err(); err != nil {
			return rows, err
		}
	}
}
