// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"slices"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
)

// A test that brings its own stores to a helper that brings some must not lose either.
func TestStoresAreWrappedInTurn(t *testing.T) {
	var order []int
	wrap := func(n int) apitest.Option { return apitest.Wrap(func(*app.Stores) { order = append(order, n) }) }
	apitest.Start(t, apitest.Fresh(), wrap(1), wrap(2), wrap(3))
	if !slices.Equal(order, []int{1, 2, 3}) {
		t.Errorf("%v", order)
	}
}
