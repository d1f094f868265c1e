// SPDX-License-Identifier: Apache-2.0

// Package brrr stands in the workspace for the brotli library that fasthttp names. Nothing here
// answers in brotli and a request whose body is encoded is refused before it is read, but the
// linker cannot know: with the library a tenth of the read-only data of a binary, 1.1 MB, would
// be the tables of an encoder that nobody calls. Whoever calls it all the same gets ErrNone.
package brrr

import (
	"errors"
	"io"
)

// ErrNone says that brotli is not spoken here.
var ErrNone = errors.New("brotli is not built in")

// The levels that fasthttp names.
const (
	BestSpeed       = 0
	BestCompression = 11
)

// Reader reads nothing.
type Reader struct{}

// NewReader gives a Reader.
func NewReader(io.Reader) *Reader { return &Reader{} }

// Reset is there for fasthttp.
func (*Reader) Reset(io.Reader) {}

// Read fails with ErrNone.
func (*Reader) Read([]byte) (int, error) { return 0, ErrNone }

// Close is there for fasthttp.
func (*Reader) Close() error { return nil }

// Writer writes nothing.
type Writer struct{}

// NewWriter gives a Writer.
func NewWriter(io.Writer, int) (*Writer, error) { return &Writer{}, nil }

// Reset is there for fasthttp.
func (*Writer) Reset(io.Writer) {}

// Write fails with ErrNone.
func (*Writer) Write([]byte) (int, error) { return 0, ErrNone }

// Flush fails with ErrNone.
func (*Writer) Flush() error { return ErrNone }

// Close fails with ErrNone.
func (*Writer) Close() error { return ErrNone }
