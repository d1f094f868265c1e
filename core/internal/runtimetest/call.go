// SPDX-License-Identifier: Apache-2.0

package runtimetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Call is a request as it came.
type Call struct {
	Route  Route
	Method string
	// Path is as it was sent, with what is escaped in it.
	Path   string
	Query  url.Values
	Header http.Header
	// Body is what came, but for an upload, of which File tells.
	Body []byte
	File *File
	// User is the member, field or parameter of this name.
	User string
	// Task and Run are the ids that take the place of {task} and {run} in what this call is
	// answered with. They are UUIDs, and other ones in every call.
	Task, Run string
	At        time.Time

	number  int
	done    chan struct{}
	dropped chan struct{}
	once    sync.Once
}

// File is an upload that was read and not kept.
type File struct {
	Name, MediaType, SHA256 string
	Size                    int64
	// Parts names the parts of the form in their order.
	Parts []string
	// Whole: the form ended as a form does.
	Whole bool
}

// Dropped is closed once the client has closed the connection before the answer was over.
func (c *Call) Dropped() <-chan struct{} { return c.dropped }

// Done is closed once the call is over.
func (c *Call) Done() <-chan struct{} { return c.done }

func (c *Call) drop() { c.once.Do(func() { close(c.dropped) }) }

// Member gives a member of the body as JSON; empty for none.
func (c *Call) Member(name string) string {
	var members map[string]json.RawMessage
	_ = json.Unmarshal(c.Body, &members)
	return string(members[name])
}

func read(route Route, q *http.Request) *Call {
	c := &Call{
		Route: route, Method: q.Method, Path: q.URL.EscapedPath(), Query: q.URL.Query(), Header: q.Header.Clone(), At: time.Now(),
		done: make(chan struct{}), dropped: make(chan struct{}),
	}
	kind, params, _ := mime.ParseMediaType(q.Header.Get("Content-Type"))
	if kind == "multipart/form-data" {
		c.File = c.upload(multipart.NewReader(q.Body, params["boundary"]))
		_, _ = io.Copy(io.Discard, q.Body) // to its end: a connection that closes shows after it
		return c
	}
	c.Body, _ = io.ReadAll(q.Body)
	var named struct {
		User string `json:"user"`
	}
	if json.Unmarshal(c.Body, &named) == nil && named.User != "" {
		c.User = named.User
	} else {
		c.User = c.Query.Get("user")
	}
	return c
}

func (c *Call) upload(form *multipart.Reader) *File {
	f := &File{}
	for {
		part, err := form.NextPart()
		if err != nil {
			f.Whole = err == io.EOF
			return f
		}
		f.Parts = append(f.Parts, part.FormName())
		if part.FormName() == "file" {
			sum := sha256.New()
			_, params, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
			f.Name, f.MediaType = params["filename"], part.Header.Get("Content-Type")
			f.Size, _ = io.Copy(sum, part)
			f.SHA256 = hex.EncodeToString(sum.Sum(nil))
			continue
		}
		var value bytes.Buffer
		_, _ = io.Copy(&value, io.LimitReader(part, 1<<16))
		if part.FormName() == "user" {
			c.User = value.String()
		}
	}
}
