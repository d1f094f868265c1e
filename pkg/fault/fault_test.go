// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

var errSample = fault.New(fault.Conflict, "already_resolved", "The grant was decided before.")

func TestCopiesStillMatchTheirSentinel(t *testing.T) {
	cause := errors.New("row locked")
	derived := errSample.Because(cause).Hinted("look again").RetryAfter(time.Second).Detailed(fault.Detail{Type: "x"})
	wrapped := fmt.Errorf("approve: %w", derived)

	if !errors.Is(wrapped, errSample) {
		t.Fatal("a derived failure no longer matches its sentinel")
	}
	if !errors.Is(wrapped, cause) {
		t.Fatal("the cause is lost")
	}
	if errors.Is(wrapped, fault.ErrInternal) {
		t.Fatal("a failure matches another sentinel")
	}
	if got := fault.Of(wrapped); got.Kind() != fault.Conflict || got.Hint() != "look again" || got.Retry() != time.Second || len(got.Details()) != 1 {
		t.Fatalf("derived attributes are lost: %+v", got)
	}
	if errSample.Hint() != "" || errSample.Retry() != 0 || errSample.Details() != nil || errSample.Unwrap() != nil {
		t.Fatal("deriving changed the sentinel")
	}
}

func TestOfUnclassifiedIsInternal(t *testing.T) {
	got := fault.Of(errors.New("pq: secret detail"))
	if got.Kind() != fault.Internal || got.Text() != fault.ErrInternal.Text() {
		t.Fatalf("got %v %q", got.Kind(), got.Text())
	}
}

func TestStoreKeepsAClassifiedFailure(t *testing.T) {
	if got := fault.Store(errSample); !errors.Is(got, errSample) || errors.Is(got, fault.ErrUnavailable) {
		t.Fatalf("Store hid a sentinel: %v", got)
	}
	if got := fault.Store(errors.New("disk I/O error")); !errors.Is(got, fault.ErrUnavailable) {
		t.Fatalf("Store(%v) is not unavailable", got)
	}
	if fault.Store(nil) != nil {
		t.Fatal("Store(nil) must be nil")
	}
}
