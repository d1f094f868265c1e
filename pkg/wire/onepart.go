// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"
)

// Refusals of a body of parts.
var (
	// ErrParts: it cannot be read as one.
	ErrParts = errors.New("wire: the body is not multipart/form-data")
	// ErrNoPart: its first part has another name, or there is none.
	ErrNoPart = errors.New("wire: the part is not there")
	// ErrMoreParts: another part follows.
	ErrMoreParts = errors.New("wire: the body has more than one part")
)

// Part is a part of a body while it is read.
type Part struct {
	// FileName is the name as it was sent, and with that no name to open a file under;
	// empty for none.
	FileName string
	// MediaType is the part's Content-Type; empty for none.
	MediaType string
	// Content ends with io.EOF once the whole body has been read and was this part alone,
	// else with ErrMoreParts, ErrParts or what the body fails with.
	Content io.Reader
}

const (
	// partHead bounds what is read of a body up to a part's content, and after the last.
	partHead = 16 << 10
	// maxBoundary is the length of a boundary (RFC 2046 section 5.1.1).
	maxBoundary = 70
)

// OnePart reads the head of a multipart/form-data body (RFC 7578) that is one part of the
// given name. What it keeps in memory does not grow with the body.
func OnePart(contentType, name string, body io.Reader) (Part, error) {
	media, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || media != "multipart/form-data" || boundary == "" || len(boundary) > maxBoundary {
		return Part{}, ErrParts
	}
	g := &gate{from: body, left: partHead, bounded: true, mark: "\r\n--" + boundary + "\r\n" + endMark + ": x\r\n\r\n"}
	parts := multipart.NewReader(g, boundary)
	part, err := parts.NextRawPart()
	switch {
	case err == io.EOF, g.ended && g.read == 0: //nolint:errorlint // the parser returns it bare after the last part
		return Part{}, ErrNoPart
	case err != nil:
		return Part{}, fmt.Errorf("%w: %w", ErrParts, err)
	case part.Header.Get(endMark) != "":
		return Part{}, ErrParts
	}
	disposition := part.Header["Content-Disposition"]
	if len(disposition) != 1 {
		return Part{}, ErrParts
	}
	kind, params, err := mime.ParseMediaType(disposition[0])
	if err != nil || kind != "form-data" {
		return Part{}, ErrParts
	}
	if params["name"] != name {
		return Part{}, ErrNoPart
	}
	g.bounded = false
	return Part{
		FileName: params["filename"], MediaType: strings.Join(part.Header["Content-Type"], ", "),
		Content: &lonely{part: part, parts: parts, gate: g},
	}, nil
}

// lonely reads the content of a part and then makes sure that no other follows, so that who
// reads it does not learn of its end before.
type lonely struct {
	part  *multipart.Part
	parts *multipart.Reader
	gate  *gate
	err   error
}

// Read implements io.Reader.
func (l *lonely) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.part.Read(p)
	switch {
	case err == io.EOF: //nolint:errorlint // the parser returns it bare at the next boundary
		l.err = l.alone()
	case err != nil:
		l.err = fmt.Errorf("%w: %w", ErrParts, err)
	}
	return n, l.err
}

// alone reads what follows a part's content: the last boundary, and what is to be ignored
// after it (RFC 2046 section 5.1.1).
func (l *lonely) alone() error {
	l.gate.left, l.gate.bounded = partHead, true
	switch next, err := l.parts.NextRawPart(); {
	case err == nil && next.Header.Get(endMark) != "":
		return fmt.Errorf("%w: %w", ErrParts, io.ErrUnexpectedEOF)
	case err == nil:
		return ErrMoreParts
	case err != io.EOF: // as above
		return fmt.Errorf("%w: %w", ErrParts, err)
	}
	if _, err := io.Copy(io.Discard, l.gate); err != nil {
		return fmt.Errorf("%w: %w", ErrParts, err)
	}
	return io.EOF
}

var errGate = errors.New("wire: too much beside the content")

// endMark is the header of a part that is made to follow every body. Go's parser tells the
// last boundary of a form and the end of its bytes in the head of a part by one error; so it
// finds no end of the bytes, and whoever comes to this part has missed the last boundary.
const endMark = "X-End-Of-Body"

// gate bounds what may be read while it is shut. The parser reads ahead by a buffer.
type gate struct {
	from    io.Reader
	mark    string // what follows
	left    int64
	read    int64
	bounded bool
	ended   bool
}

// Read implements io.Reader.
func (g *gate) Read(p []byte) (int, error) {
	if g.bounded && g.left <= 0 {
		return 0, errGate
	}
	if g.ended {
		if g.mark == "" {
			return 0, io.EOF
		}
		n := copy(p, g.mark)
		g.mark = g.mark[n:]
		return n, nil
	}
	if g.bounded {
		p = p[:min(int64(len(p)), g.left)]
	}
	n, err := g.from.Read(p)
	g.read += int64(n)
	g.left -= int64(n)
	if err == io.EOF { // io.Reader returns it bare
		g.ended, err = true, nil
	}
	return n, err
}
