// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

func TestProfiles(t *testing.T) {
	const heap = "/debug/pprof/heap"
	t.Run("do not exist unless they are asked for", func(t *testing.T) {
		s := apitest.Start(t)
		if got := htInner(t, s, heap).Status; got != http.StatusNotFound {
			t.Errorf("%d", got)
		}
	})
	s := apitest.Start(t, apitest.Set("PPROF_ENABLED", "true"))
	for _, tc := range []struct {
		path, begins string
		status       int
	}{
		{heap, "\x1f\x8b", 200},
		{"/debug/pprof/goroutine?debug=1", "goroutine profile: total ", 200},
		{"/debug/pprof/profile?seconds=1", "\x1f\x8b", 200},
		{"/debug/pprof/profile?seconds=0", `{"code":"bad_request"`, 400},
		{"/debug/pprof/profile?seconds=x", `{"code":"bad_request"`, 400},
		{"/debug/pprof/profile?seconds=61", `{"code":"bad_request"`, 400},
		{"/debug/pprof/unknown", `{"code":"not_found"`, 404},
	} {
		t.Run(tc.path, func(t *testing.T) {
			a := htInner(t, s, tc.path)
			if a.Status != tc.status || !strings.HasPrefix(a.Body, tc.begins) {
				t.Fatalf("%d %.60q", a.Status, a.Body)
			}
		})
	}
	t.Run("M-15 and never on the public listener", func(t *testing.T) {
		if got := s.Call(t, http.MethodGet, heap, "").Status; got != http.StatusNotFound {
			t.Errorf("%d", got)
		}
	})
}
