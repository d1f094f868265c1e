// SPDX-License-Identifier: Apache-2.0

package devicegrant_test

import (
	"context"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

func TestTwoPollsOfOneGrant(t *testing.T) {
	t.Run("DF-18 DEV-06 INV-2 a hundred pollers at once, one token and no 5xx", func(t *testing.T) {
		f := newFlow(t)
		for range 10 {
			a := f.approved()
			type answer struct {
				r   devicegrant.Redeemed
				err error
			}
			answers := make(chan answer, 100)
			begin := make(chan struct{})
			for range cap(answers) {
				go func() {
					<-begin
					r, err := f.Poll(context.Background(), devicegrant.PollRequest{DeviceCode: a.DeviceCode, ClientID: "difyctl", IP: pollIP})
					answers <- answer{r, err}
				}()
			}
			close(begin)
			won := 0
			for range cap(answers) {
				switch got := <-answers; {
				case got.err == nil:
					won++
				case !fault.Of(got.err).IsVerdict():
					t.Fatal(got.err)
				}
			}
			if won != 1 {
				t.Fatalf("%d tokens", won)
			}
		}
		if n := f.liveRows(); n != 1 { // one person, client and label
			t.Fatalf("%d rows", n)
		}
	})
}
