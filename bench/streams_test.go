// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// However the bytes of a stream are cut, its events are counted once each.
func TestAFollowerCountsEventsHoweverTheyAreCut(t *testing.T) {
	var text strings.Builder
	text.WriteString("HTTP/1.1 200 OK\r\n\r\n")
	const events = 2000 // more than the buffer holds
	for range events {
		fmt.Fprintf(&text, "40\r\ndata: {\"event\":\"message\",%s%d}\n\n\r\n", sentMark, time.Now().UnixNano())
	}
	text.WriteString("20\r\ndata: {\"event\":" + lastMark + "}\n\n\r\n0\r\n\r\n")
	for _, piece := range []int{7, 61, 4096, 1 << 20} {
		ours, theirs := net.Pipe()
		go func() {
			b := make([]byte, 1<<10)
			_, _ = theirs.Read(b)
			for left := text.String(); left != ""; {
				n := min(piece, len(left))
				_, _ = theirs.Write([]byte(left[:n]))
				left = left[n:]
			}
		}()
		f, h := &follower{conn: ours, buf: make([]byte, 64<<10)}, &heard{}
		if err := f.follow([]byte("x"), h, nil); err != nil || len(h.events) != events || h.first <= 0 {
			t.Errorf("in pieces of %d: %d events, %v", piece, len(h.events), err)
		}
		f.close()
		_ = theirs.Close()
	}
}

func TestAFollowerRefusesWhatIsNoWholeStream(t *testing.T) {
	for name, text := range map[string]string{
		"refused": "HTTP/1.1 503 Service Unavailable\r\n\r\n", "cut off": "HTTP/1.1 200 OK\r\n\r\ndata: {\"event\":" + lastMark, "without a time": "HTTP/1.1 200 OK\r\n\r\n" + sentMark + strings.Repeat("x", stampDigits),
	} {
		ours, theirs := net.Pipe()
		go func() {
			b := make([]byte, 16)
			_, _ = theirs.Read(b)
			_, _ = theirs.Write([]byte(text))
			_ = theirs.Close()
		}()
		f := &follower{conn: ours, buf: make([]byte, 64<<10)}
		if err := f.follow([]byte("x"), &heard{}, nil); err == nil {
			t.Errorf("%s: taken for a stream", name)
		}
		f.close()
	}
}

func TestStreamTable(t *testing.T) {
	second := func(n int64, median float64) streamed {
		return streamed{sample: sample{n: n, took: time.Second, server: 10 * time.Millisecond}, median: median, first: median}
	}
	all := scenes()
	got := make([][]lap, len(all))
	for i := range all {
		for _, core := range []streamed{second(300, 58), second(450, 55), second(400, 52)} {
			got[i] = append(got[i], lap{second(1000, 10), second(500, 40), second(800, 55), core})
		}
	}
	text := streamTable(all, got)
	for _, want := range []string{
		"| added per event, 1 stream | 30 µs | 45 µs | 45 µs | 1.50 (1.40–1.60) | 1.00 | 20.0 | 12.5 | 25.0 | ≤ 1.5 ✓ |",
		"| first byte, first event 5 ms late | 40 µs | 55 µs | 55 µs | 1.38 (1.30–1.45) |",
		"| bulk, events of 1 KiB | 0.50 of direct | 0.80 of direct | 0.40 of direct | 0.80 (0.60–0.90) | 0.50 | 20.0 | 12.5 | 25.0 | ≥ 0.8 ✓ |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Other work") {
		t.Error("noise is told of where there was none")
	}
}
