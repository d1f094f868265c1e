// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"math"
)

// Context is the place of a span, as W3C Trace Context has it.
type Context struct {
	Trace   [16]byte
	Span    [8]byte
	Sampled bool
}

// Valid reports whether it names a trace and a span.
func (c Context) Valid() bool { return c.Trace != [16]byte{} && c.Span != [8]byte{} }

// Header is the traceparent of a request that is sent from there.
func (c Context) Header() string {
	b := make([]byte, 0, 55)
	b = hex.AppendEncode(append(b, "00-"...), c.Trace[:])
	b = hex.AppendEncode(append(b, '-'), c.Span[:])
	if c.Sampled {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

// Parse reads a traceparent (W3C Trace Context section 3.2). Of a later version what this one
// knows is taken.
func Parse(header string) (c Context, ok bool) {
	const size = 55
	if len(header) < size || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return Context{}, false
	}
	var version, flags [1]byte
	if !lower(version[:], header[:2]) || version[0] == 0xff || version[0] == 0 && len(header) != size ||
		len(header) > size && header[size] != '-' {
		return Context{}, false
	}
	if !lower(c.Trace[:], header[3:35]) || !lower(c.Span[:], header[36:52]) || !lower(flags[:], header[53:55]) || !c.Valid() {
		return Context{}, false
	}
	c.Sampled = flags[0]&1 != 0
	return c, true
}

// lower decodes hexadecimal digits, of which capital ones are none.
func lower(to []byte, from string) bool {
	for i := range len(from) {
		if from[i] >= 'A' && from[i] <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(to, []byte(from))
	return err == nil
}

// newSpan and newTrace draw ids; rand.Read does not fail.
func newSpan() (id [8]byte) {
	_, _ = rand.Read(id[:])
	return id
}

func newTrace() (id [16]byte) {
	_, _ = rand.Read(id[:])
	return id
}

// Tracer decides what is recorded, and takes it. A nil one records nothing.
type Tracer struct {
	// Ratio is the part of traces that begin here which is recorded, from 0 to 1. One that
	// began elsewhere was decided there.
	Ratio float64
	// Take gets the spans of a request that is over. It returns at once.
	Take func(Fragment)
}

// begin gives a trace of its own.
func (t *Tracer) begin() Context {
	c := Context{Trace: newTrace(), Span: newSpan()}
	// The last bytes of an id are what is random in all of them (W3C Trace Context section
	// 3.2.2.3); 53 bits of them compare exactly.
	c.Sampled = float64(binary.BigEndian.Uint64(c.Trace[8:])>>11) < t.Ratio*math.Exp2(53)
	return c
}
