// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/command"
)

func TestWhatTakesLongIsSaid(t *testing.T) {
	for _, tc := range []struct {
		name     string
		terminal bool
		lasts    time.Duration
		want     string
	}{
		{"a person who waits", true, 4500 * time.Millisecond, "Asking x, 2 s so far …\nAsking x, 4 s so far …\n"},
		{"a person who does not", true, 1900 * time.Millisecond, ""},
		{"a script", false, time.Minute, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var errs bytes.Buffer
				c := &cli{Env: Env{Stderr: &errs, Terminal: tc.terminal}, out: &command.Output{}}
				done := c.waiting("Asking x")
				time.Sleep(tc.lasts) // of the bubble's clock
				done()
				if errs.String() != tc.want {
					t.Errorf("%q", errs.String())
				}
			})
		})
	}
}
