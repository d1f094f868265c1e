// SPDX-License-Identifier: Apache-2.0

package serviceapi_test

import (
	goruntime "runtime"
	"sync/atomic"
	"testing"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// guarded is zeros, and fails its test when somebody reads it once it is over.
type guarded struct {
	t    *testing.T
	over atomic.Bool
}

func (g *guarded) Read(p []byte) (int, error) {
	if g.over.Load() {
		g.t.Error("read after the end")
	}
	return zeros{}.Read(p)
}

func allocated() uint64 {
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return m.TotalAlloc
}
