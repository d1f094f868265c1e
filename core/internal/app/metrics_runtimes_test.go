// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// A runtime that is measured offers what it offered before, and nothing else: what it can do
// beside the ordinary is asked of its type.
func TestAMeasuredRuntimeOffersWhatItOffered(t *testing.T) {
	s := &Settings{Config: Defaults()}
	f := newFigures(telemetry.NewMetrics(Program, "0"), s, time.Now)
	type (
		plain struct{ run.Runtime }
		tells struct {
			run.Runtime
			run.Describer
		}
		imports struct {
			run.Runtime
			run.DSL
		}
		both struct {
			run.Runtime
			run.DSL
			run.Describer
		}
	)
	for name, r := range map[string]run.Runtime{"neither": plain{}, "it tells its mode": tells{}, "imports": imports{}, "both": both{}} {
		t.Run(name, func(t *testing.T) {
			m := f.timed(r)
			_, wantDSL := r.(run.DSL)
			_, wantInfo := r.(run.Describer)
			_, dsl := m.(run.DSL)
			_, info := m.(run.Describer)
			if dsl != wantDSL || info != wantInfo {
				t.Errorf("imports %t, want %t; tells its mode %t, want %t", dsl, wantDSL, info, wantInfo)
			}
		})
	}
}
