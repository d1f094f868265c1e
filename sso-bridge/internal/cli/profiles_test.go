// SPDX-License-Identifier: Apache-2.0

package cli_test

import "testing"

func TestProfiles(t *testing.T) {
	for setting, want := range map[string]int{"": 404, "PPROF_ENABLED=true": 200} {
		t.Run("SSO-07 with "+setting, func(t *testing.T) {
			public, inner, _ := install(t, setting).serve()
			if status, _ := get(t, inner+"/debug/pprof/heap"); status != want {
				t.Errorf("the second listener answers %d, want %d", status, want)
			}
			if status, _ := get(t, public+"/debug/pprof/heap"); status != 404 {
				t.Errorf("the public one answers %d", status)
			}
		})
	}
}
