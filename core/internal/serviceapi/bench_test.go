// SPDX-License-Identifier: Apache-2.0

package serviceapi_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
)

// BenchmarkBulk reads events from a runtime on loopback as fast as they come, beside a
// client that looks at none of them. Both share the machine with the runtime.
func BenchmarkBulk(b *testing.B) {
	for name, size := range map[string]int{"260 B": 260, "4 KiB": 4 << 10, "64 KiB": 64 << 10} {
		event := `data: {"event":"text_chunk","task_id":"t","data":{"text":"` + strings.Repeat("x", size-64) + `"}}` + "\n\n"
		rt, c := runtime(b, limits{})
		rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Endless(event)})
		b.Run(name+"/events", func(b *testing.B) {
			s := begin(b, c, target(rt, apps.Chat))
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Next(); err != nil {
					b.Fatal(err)
				}
			}
			_ = s.Close()
		})
		b.Run(name+"/bytes", func(b *testing.B) {
			q, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, rt.URL+"/v1/chat-messages", nil)
			q.Header.Set("Authorization", "Bearer "+key)
			r, err := (&http.Transport{ReadBufferSize: 32 << 10}).RoundTrip(q)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = r.Body.Close() }()
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			buf := make([]byte, 16<<10)
			for n := 0; b.Loop(); n -= len(event) {
				for n < len(event) {
					m, err := io.ReadFull(r.Body, buf)
					if err != nil {
						b.Fatal(err)
					}
					n += m
				}
			}
		})
	}
}
