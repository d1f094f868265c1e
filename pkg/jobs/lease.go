// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"context"
	"time"
)

// Leases lets one of several processes do a piece of work at a time. Who holds a lease
// is decided by the clocks of those who ask, so a holder stops well before its end.
type Leases interface {
	// Take gives the lease of a name to owner until now + life. It succeeds when the
	// lease is free, when it has lapsed, and when owner holds it already: that renews
	// it. fence grows with each new owner and stays while one renews. ok is false when
	// another owner holds the lease; nothing has changed then.
	Take(ctx context.Context, name, owner string, now time.Time, life time.Duration) (fence int64, ok bool, err error)
	// Release lets owner's lease lapse now. One that owner does not hold stays as it is.
	Release(ctx context.Context, name, owner string, now time.Time) error
}
