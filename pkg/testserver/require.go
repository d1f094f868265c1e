// SPDX-License-Identifier: Apache-2.0

package testserver

import (
	"os"
	"testing"
)

// Missing skips a test whose server this machine does not have. Under CI=true that is
// a failure: a suite must not vanish.
func Missing(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("%s: %v; \"make deps\" installs it", what, err)
}
