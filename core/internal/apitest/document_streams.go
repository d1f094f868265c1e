// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/openapi"
)

const eventStream = "text/event-stream"

// form reads a request's form. A file of a multipart form stands there with its content.
func (e Exchange) form(media string) (url.Values, error) {
	if media != "multipart/form-data" {
		return url.ParseQuery(string(e.Body))
	}
	_, params, err := mime.ParseMediaType(e.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	values := url.Values{}
	for parts := multipart.NewReader(bytes.NewReader(e.Body), params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		values.Add(part.FormName(), string(content))
	}
}

// CheckRaw is Checked for a request that a test wrote itself, byte by byte, and the whole
// answer to it. What net/http cannot read as a request is no exchange with the API.
func CheckRaw(request string, a Answer) error {
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		return nil //nolint:nilerr // that it cannot be read is what the test wants
	}
	if !httpapi.InDocument(req.URL.Path) || req.Method == http.MethodOptions {
		return nil
	}
	e := Exchange{Method: req.Method, URL: req.URL, Header: req.Header, Status: a.Status, Answer: a.Header, AnswerBody: []byte(a.Body)}
	if e.Body, err = io.ReadAll(req.Body); err != nil {
		e.Body, e.Unread = nil, true
	}
	doc, err := document()
	if err == nil {
		err = doc.Check(e)
	}
	if err == nil && e.streams() && e.Method != http.MethodHead {
		err = CheckEvents(strings.NewReader(a.Body))
	}
	if err != nil {
		return misfit(err)
	}
	return nil
}

// CheckEvents reads a stream to its end and says what in it does not fit the document's
// words about streams.
func CheckEvents(r io.Reader) error {
	_, err := io.Copy(io.Discard, &watched{ReadCloser: io.NopCloser(r), of: Exchange{URL: &url.URL{}}, tell: func(err error) error { return err }})
	return err
}

// watched looks at the events of a stream while somebody reads them. What does not fit the
// document's words about streams is an error of the read.
type watched struct {
	io.ReadCloser
	of   Exchange
	tell func(error) error
	rest []byte // of an event that is not whole yet
	err  error
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.ReadCloser.Read(p)
	w.rest = append(w.rest, p[:n]...)
	for {
		event, rest, whole := bytes.Cut(w.rest, []byte("\n\n"))
		if !whole {
			break
		}
		if w.rest = rest; w.err == nil {
			w.err = w.look(event)
		}
	}
	if errors.Is(err, io.EOF) && len(w.rest) > 0 && w.err == nil {
		w.err = w.tell(w.of.misfit("the stream ends within an event: %.300q", w.rest))
	}
	if w.err != nil {
		return n, w.err
	}
	return n, err
}

// look judges one event: a ping, or a JSON object that says its name.
func (w *watched) look(event []byte) error {
	if string(event) == "event: ping" {
		return nil
	}
	data, ok := bytes.CutPrefix(event, []byte("data: "))
	var says struct {
		Event  *string `json:"event"`
		Status int     `json:"status"` // a client drops what is none
	}
	switch {
	case !ok || bytes.IndexByte(data, '\n') >= 0:
		return w.tell(w.of.misfit("an event is no line of data: %.300q", event))
	case json.Unmarshal(data, &says) != nil || says.Event == nil:
		return w.tell(w.of.misfit("an event is no JSON object with its name: %.300q", event))
	}
	return nil
}

// Examples says which of the document's examples do not fit their schemas, and which
// operations of the tags lack one: of their JSON body, and of each success that has a body.
func (c *Contract) Examples(tags ...string) (problems []string) {
	add := func(place, what string, args ...any) {
		problems = append(problems, place+": "+fmt.Sprintf(what, args...))
	}
	for path, ops := range c.doc.Paths {
		for method, op := range ops {
			place := pointer("paths", path, method)
			look := func(at, media string, m openapi.Media) {
				at += pointer("content", media)
				switch {
				case m.Example != nil && media == eventStream:
					text, _ := m.Example.(string)
					if err := CheckEvents(strings.NewReader(text)); err != nil {
						add(at, "%v", err)
					}
				case m.Example != nil:
					if s, err := c.schema(at + "/schema"); err != nil {
						add(at, "%v", err)
					} else if err := s.Validate(m.Example); err != nil {
						add(at, "%v", err)
					}
				case slices.Contains(tags, op.Tags[0]) && media != "multipart/form-data":
					add(at, "has no example (row.about.sample, samples)")
				}
			}
			if op.Body != nil {
				for media, m := range op.Body.Content {
					look(place+pointer("requestBody"), media, m)
				}
			}
			for status, res := range op.Responses {
				for media, m := range res.Content {
					look(place+pointer("responses", status), media, m)
				}
			}
		}
	}
	slices.Sort(problems)
	return problems
}
