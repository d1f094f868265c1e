// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"time"
)

// follower is the client of one stream after another on one connection. It reads bytes, not
// HTTP: what a library does with them would be measured too.
type follower struct {
	conn net.Conn
	buf  []byte
}

// followLimit is the longest silence of a stream that is measured.
const followLimit = 20 * time.Second

func newFollower(address string) (*follower, error) {
	conn, err := net.DialTimeout("tcp", address, followLimit)
	if err != nil {
		return nil, err
	}
	return &follower{conn: conn, buf: make([]byte, 64<<10)}, nil
}

func (f *follower) close() { _ = f.conn.Close() }

// heard is what a client has seen of a stream.
type heard struct {
	first  time.Duration   // from the request to the first byte of the answer
	events []time.Duration // how old each event was that says when it was sent
}

var (
	chunkedEnd = []byte("\r\n0\r\n\r\n")
	answerHead = []byte("HTTP/1.1 200 ")
)

// stampDigits is the length of a time in nanoseconds, from 2001 to 2286.
const stampDigits = 19

// follow sends a request and reads the stream to its end, or, when enough says so, so far.
func (f *follower) follow(request []byte, h *heard, enough func() bool) error {
	begun := time.Now()
	if _, err := f.conn.Write(request); err != nil {
		return err
	}
	have, seen, last := 0, 0, false // buf holds so much, of which events were looked for up to seen
	for h.first = 0; ; {
		if have == len(f.buf) {
			gone := have - tailKept
			seen, have = max(0, seen-gone), copy(f.buf, f.buf[gone:have])
		}
		if err := f.conn.SetReadDeadline(time.Now().Add(followLimit)); err != nil {
			return err
		}
		n, err := f.conn.Read(f.buf[have:])
		now := time.Now()
		if n == 0 && err != nil {
			return fmt.Errorf("a stream that is not at its end: %w after %q", err, f.buf[max(0, have-tailKept):have])
		}
		if h.first == 0 {
			h.first = now.Sub(begun)
		}
		if got := f.buf[:have+n]; have < len(answerHead) && !bytes.HasPrefix(got, answerHead[:min(len(got), len(answerHead))]) {
			return fmt.Errorf("a stream was answered %.200q", got)
		}
		last = last || bytes.Contains(f.buf[max(0, have-len(lastMark)):have+n], []byte(lastMark))
		have += n
		if seen, err = h.look(f.buf[:have], seen, now); err != nil {
			return err
		}
		if last && bytes.HasSuffix(f.buf[:have], chunkedEnd) || enough != nil && enough() {
			return nil
		}
	}
}

// tailKept is what is kept of bytes that were looked at: more than any mark is long.
const tailKept = 256

// look notes the age of the events in b from a place on, and gives the place for the next time.
func (h *heard) look(b []byte, from int, now time.Time) (int, error) {
	for {
		at := bytes.Index(b[from:], []byte(sentMark))
		if at < 0 {
			return max(from, len(b)-len(sentMark)), nil
		}
		if at += from + len(sentMark); at+stampDigits > len(b) {
			return at - len(sentMark), nil
		}
		from = at + stampDigits
		sent, err := strconv.ParseInt(string(b[at:from]), 10, 64)
		if err != nil {
			return from, err
		}
		h.events = append(h.events, time.Duration(now.UnixNano()-sent))
	}
}
