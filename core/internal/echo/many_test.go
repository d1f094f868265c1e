// SPDX-License-Identifier: Apache-2.0

package echo_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
)

func TestManyAtOnce(t *testing.T) {
	r, _ := begin(t, time.Microsecond)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			q := asking(fmt.Sprintf("word %d", i))
			q.User = fmt.Sprintf("u_%d", i%8)
			on := target([]apps.Mode{apps.Chat, apps.AdvancedChat, apps.Completion, apps.AgentChat}[i%4], "")
			s, err := r.Stream(t.Context(), on, q)
			if err != nil {
				t.Error(err)
				return
			}
			all := drain(t, s)
			if got := answer(all); got != "echo:"+*q.Query {
				t.Errorf("%q", got)
			}
			if err := r.Stop(t.Context(), on, all[0].TaskID, q.User); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
