// SPDX-License-Identifier: Apache-2.0

package run

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// goroutinesIn counts those that stand in a function.
func goroutinesIn(name string) int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return strings.Count(string(stacks), name)
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !what(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}
