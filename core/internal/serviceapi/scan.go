// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
)

// depthLimit is how deep an event may nest, as encoding/json has it.
const depthLimit = 10_000

// scanner reads the JSON of an event once: it tells whether it is an object (RFC 8259,
// taken exactly as encoding/json does) and where the members are that we look at. It
// allocates nothing unless a name is written with escapes.
type scanner struct {
	// event, task, run and status are the members event, task_id, workflow_run_id and
	// data.status as they are written, without quotes; nil for none, or one that is no text.
	event, task, run, status []byte

	objects [depthLimit/64 + 1]uint64 // of each level, whether it is an object or an array
}

// object reads the bytes, which it keeps no longer than its caller.
func (s *scanner) object(b []byte) bool {
	s.event, s.task, s.run, s.status = nil, nil, nil, nil
	var (
		inData bool    // the object that is read is the member data
		into   *[]byte // where the next value goes, when it is a text
		i      = space(b, 0)
		depth  int
	)
	if i >= len(b) || b[i] != '{' {
		return false
	}
value:
	if i >= len(b) {
		return false
	}
	switch c := b[i]; {
	case c == '"':
		from := i + 1
		if i = text(b, from); i < 0 {
			return false
		}
		if into != nil {
			*into = b[from : i-1]
		}
		goto after
	case c == '{' || c == '[':
		if depth++; depth > depthLimit {
			return false
		}
		if depth == 2 { // the member data itself, when it is an object
			inData = into == &s.status && c == '{'
		}
		into = nil
		i = space(b, i+1)
		bit := uint64(1) << (depth & 63)
		if c == '[' {
			s.objects[depth>>6] &^= bit
			if i < len(b) && b[i] == ']' {
				goto closed
			}
			goto value
		}
		s.objects[depth>>6] |= bit
		if i < len(b) && b[i] == '}' {
			goto closed
		}
		goto name
	case c == '-' || c >= '0' && c <= '9':
		i = number(b, i)
	case c == 't':
		i = word(b, i, "true")
	case c == 'f':
		i = word(b, i, "false")
	case c == 'n':
		i = word(b, i, "null")
	default:
		return false
	}
	if i < 0 {
		return false
	}
after:
	if into == &s.status && depth == 1 {
		s.status = nil // data is a text
	}
	into = nil
	i = space(b, i)
	if i >= len(b) {
		return false
	}
	if s.objects[depth>>6]&(1<<(depth&63)) == 0 {
		switch b[i] {
		case ',':
			i = space(b, i+1)
			goto value
		case ']':
			goto closed
		}
		return false
	}
	switch b[i] {
	case ',':
		i = space(b, i+1)
		goto name
	case '}':
		goto closed
	}
	return false
name:
	{
		if i >= len(b) || b[i] != '"' {
			return false
		}
		from := i + 1
		if i = text(b, from); i < 0 {
			return false
		}
		if depth == 1 || depth == 2 && inData {
			into = s.member(b[from:i-1], depth)
			if into != nil {
				*into = nil // of two members of one name the last counts
			}
		}
		if i = space(b, i); i >= len(b) || b[i] != ':' {
			return false
		}
		i = space(b, i+1)
		goto value
	}
closed:
	i++
	if depth--; depth == 1 {
		inData = false
	}
	if depth == 0 {
		return space(b, i) == len(b)
	}
	goto after
}

// member gives the place of a member that we look at. Of data it is that of its status.
func (s *scanner) member(name []byte, depth int) *[]byte {
	if bytes.IndexByte(name, '\\') >= 0 {
		name = []byte(unquoted(name))
	}
	switch {
	case depth == 2:
		if string(name) == "status" {
			return &s.status
		}
	case string(name) == "event":
		return &s.event
	case string(name) == "task_id":
		return &s.task
	case string(name) == "workflow_run_id":
		return &s.run
	case string(name) == "data":
		return &s.status
	}
	return nil
}

// unquoted reads the inside of a text.
func unquoted(inside []byte) (out string) {
	quoted := make([]byte, 0, len(inside)+2)
	quoted = append(append(append(quoted, '"'), inside...), '"')
	if json.Unmarshal(quoted, &out) != nil {
		return ""
	}
	return out
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

func word(b []byte, i int, want string) int {
	if len(b)-i < len(want) || string(b[i:i+len(want)]) != want {
		return -1
	}
	return i + len(want)
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

// number gives the end of a number, or -1.
func number(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	first := i
	if i = digits(b, i); i == first || b[first] == '0' && i > first+1 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		first = i + 1
		if i = digits(b, first); i == first {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		first = i
		if i = digits(b, first); i == first {
			return -1
		}
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// text gives what follows the closing quote of a text that begins at i, or -1. It looks at
// eight bytes at a time: a byte of x is zero exactly where the lowest bit of
// (x-ones) &^ x & highs is set, and below 0x20 likewise.
func text(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			quote, slash := x^(ones*'"'), x^(ones*'\\')
			found := ((quote - ones) &^ quote) | ((slash - ones) &^ slash) | ((x - ones*0x20) &^ x)
			if found &= highs; found != 0 {
				i += bits.TrailingZeros64(found) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			return -1
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = escape(b, i+1); i < 0 {
				return -1
			}
		case c < 0x20:
			return -1
		default:
			i++ // among the last seven bytes
		}
	}
}

func escape(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if len(b)-i < 5 {
			return -1
		}
		for _, c := range b[i+1 : i+5] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return -1
			}
		}
		return i + 5
	}
	return -1
}
