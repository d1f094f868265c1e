// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"slices"
	"testing"
)

// message is one of Postgres' protocol; the first one of a connection has no type.
func message(kind string, body string) []byte {
	n := len(body) + 4
	return append([]byte(kind), append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)...)
}

// The exchanges are the same however the bytes are cut on their way.
func TestExchangesAreReadFromTheWire(t *testing.T) {
	prepare := slices.Concat(message("P", "s1\x00SELECT a FROM t WHERE b = $1\x00\x00\x00"), message("D", "Ss1\x00"), message("S", ""))
	run := slices.Concat(message("B", "\x00s1\x00\x00\x00\x00\x01\x00\x00\x00\x01x\x00\x00"), message("E", "\x00\x00\x00\x00\x00"), message("S", ""))
	ready := message("Z", "I")
	for _, c := range []struct {
		name     string
		new      func() dialect
		asked    [][]byte // what ends an exchange each, or belongs to none
		names    []string
		answered [][]byte
		ends     []bool
	}{
		{
			"Postgres", func() dialect { return newPostgresWire() },
			[][]byte{message("", "\x00\x03\x00\x00user\x00x\x00\x00"), prepare, run, message("Q", "begin isolation level read committed\x00"), message("Q", "-- ping\x00"), message("X", "")},
			[]string{"", "", "SELECT t", "begin", "", ""},
			[][]byte{slices.Concat(message("R", "\x00\x00\x00\x00"), ready), message("1", ""), ready, slices.Concat(message("D", "Z"), message("C", "SELECT 1\x00")), ready},
			[]bool{true, false, true, false, true},
		},
		{
			"Redis", func() dialect { return &redisWire{} },
			[][]byte{
				[]byte("*1\r\n$4\r\nPING\r\n"),
				[]byte("*4\r\n$7\r\nevalsha\r\n$2\r\nab\r\n$1\r\n1\r\n$11\r\np:dg:g:{00}\r\n"),
				[]byte("*3\r\n$3\r\nset\r\n$15\r\np:auth:{00}:ctx\r\n$1\r\nx\r\n*2\r\n$3\r\ndel\r\n$15\r\np:auth:{00}:ctx\r\n"),
			},
			[]string{"", "forget poll", "set auth x + del auth"},
			[][]byte{[]byte("+PONG\r\n"), []byte("*2\r\n:1\r\n*2\r\n$-1\r\n$3\r\na\r\n\r\n"), []byte("+OK\r\n"), []byte(":1\r\n")},
			[]bool{true, true, false, true},
		},
	} {
		for _, cut := range []int{1, 7, 1 << 20} {
			w := c.new()
			var names []string
			var passed []byte
			answers := 0
			answer := func() {
				for ended := false; !ended && answers < len(c.answered); answers++ {
					for piece := range slices.Chunk(c.answered[answers], cut) {
						ended = w.answered(piece)
					}
					if ended != c.ends[answers] {
						t.Errorf("%s, cut at %d: answer %d ends an exchange: %v", c.name, cut, answers, ended)
					}
				}
			}
			for _, data := range c.asked {
				for piece := range slices.Chunk(data, cut) {
					for _, p := range w.asked(piece) {
						names, passed = append(names, p.name), append(passed, p.data...)
					}
				}
				answer()
			}
			whole := c.name == "Postgres" || cut > 7 // else a flush of Redis is seen as several
			if whole && !slices.Equal(names, c.names) {
				t.Errorf("%s: the exchanges are %q, not %q", c.name, names, c.names)
			}
			if !bytes.Equal(passed, slices.Concat(c.asked...)) {
				t.Errorf("%s, cut at %d: %q was passed on", c.name, cut, passed)
			}
		}
	}
}
