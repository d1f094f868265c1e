// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Upload implements run.Runtime. Nobody reads the file any more once it has returned; when
// the file breaks off, so does the request.
func (c *Client) Upload(ctx context.Context, t run.Target, user string, f run.File) (json.RawMessage, error) {
	if err := known(user); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	head, tail, kind, err := frame(user, f)
	if err != nil {
		return nil, fault.ErrInternal.Because(err)
	}
	out := &sending{from: io.MultiReader(bytes.NewReader(head), f.Content, bytes.NewReader(tail)), taken: c.Idle}
	out.timer = time.AfterFunc(c.Idle, func() { cancel(errSlow) })
	out.timer.Stop() // until something was given out
	defer func() { _ = out.end() }()
	req, err := c.request(ctx, t, http.MethodPost, "files/upload", nil, out)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	content, err := c.asked(ctx, cancel, t, req, nil)
	cancel(nil) // what is written to goes on no more
	if broken := out.end(); broken != nil {
		return nil, broken
	}
	if err != nil {
		return nil, err
	}
	return objectOf(content)
}

// frame is what stands around the file in a form (RFC 7578).
func frame(user string, f run.File) (head, tail []byte, kind string, err error) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part := textproto.MIMEHeader{"Content-Disposition": {multipart.FileContentDisposition("file", f.Name)}}
	if f.MediaType != "" {
		part.Set("Content-Type", f.MediaType)
	}
	if bytes.ContainsAny([]byte(f.MediaType), "\r\n") {
		return nil, nil, "", errors.New("serviceapi: a media type of several lines")
	}
	if err := form.WriteField("user", user); err != nil {
		return nil, nil, "", err
	}
	if _, err := form.CreatePart(part); err != nil {
		return nil, nil, "", err
	}
	n := b.Len()
	if err := form.Close(); err != nil {
		return nil, nil, "", err
	}
	return b.Bytes()[:n], b.Bytes()[n:], form.FormDataContentType(), nil
}

// sending is a body while it is sent. A runtime that takes nothing of it for a while ends
// the call; a client that sends nothing is its server's business.
type sending struct {
	from  io.Reader
	taken time.Duration
	timer *time.Timer

	mu    sync.Mutex // held while the file is read
	ended bool
	err   error // the file's
}

var errEnded = errors.New("serviceapi: the upload is over")

// Read implements io.Reader.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, errEnded
	}
	s.timer.Stop()
	n, err := s.from.Read(p)
	switch {
	case err == nil:
		s.timer.Reset(s.taken)
	case err != io.EOF: // io.Reader returns it bare
		s.err = err
	}
	return n, err
}

// end waits for a read that goes on and lets nothing more be read: net/http may read a body
// after it has returned. It gives why the file could not be read, or nil.
func (s *sending) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.timer.Stop()
	return s.err
}
