// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// maxEvent is what one event may have, in bytes: 1 MiB as the server passes it on, and
// room for what stands around it.
const maxEvent = 1<<20 + 1<<16

// ErrTooLong says that an event is longer than any that a server passes on.
var ErrTooLong = errors.New("an event is longer than 1 MiB")

// ErrSilent says that nothing came for so long that the connection must be dead.
var ErrSilent = errors.New("nothing came for " + silenceLimit.String())

// ErrNoJSON says that an event is none that a program can read.
var ErrNoJSON = errors.New("an event is no JSON object")

// Event is one event of a run. Data is valid until the next one is read.
type Event struct {
	Name string
	Data []byte // a JSON object
	// Task, Run and Conversation are what it names, empty for none.
	Task, Run, Conversation string
}

// Stream is the events of a run as they come.
type Stream struct {
	in     *bufio.Reader
	body   io.Closer
	cancel context.CancelCauseFunc
	ctx    context.Context
	watch  *time.Timer
	data   []byte
}

// stream sends a request whose answer is events.
func (a *API) stream(req *http.Request) (*Stream, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	begin := time.AfterFunc(beginWait, func() { cancel(fmt.Errorf("nothing came for %s", beginWait)) })
	defer begin.Stop()
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "text/event-stream")
	res, err := a.do(a.unhurried(), req)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "text/event-stream" {
		cancel(nil)
		_ = res.Body.Close()
		return nil, badAnswer(res.StatusCode, "it is no stream of events")
	}
	return &Stream{
		in: bufio.NewReaderSize(res.Body, 64<<10), body: res.Body, ctx: ctx, cancel: cancel,
		watch: time.AfterFunc(silenceLimit, func() { cancel(ErrSilent) }),
	}, nil
}

// Close drops the connection. It may be called while Next waits.
func (s *Stream) Close() {
	s.watch.Stop()
	s.cancel(nil)
	_ = s.body.Close()
}

// Next gives the next event; io.EOF says that the server ended the stream. Comments and
// pings are read over. What stands after the last blank line is no event (HTML Living
// Standard, §9.2.6).
func (s *Stream) Next() (Event, error) {
	for {
		name, err := s.read()
		switch {
		case err != nil && s.ctx.Err() != nil:
			return Event{}, context.Cause(s.ctx)
		case err != nil:
			return Event{}, err
		}
		if len(s.data) == 0 {
			continue // a ping
		}
		var v struct {
			Event        string `json:"event"`
			Task         string `json:"task_id"`
			Run          string `json:"workflow_run_id"`
			Conversation string `json:"conversation_id"`
		}
		if s.data[0] != '{' || !json.Valid(s.data) {
			return Event{}, ErrNoJSON
		}
		_ = json.Unmarshal(s.data, &v) // a member of another type is not there
		if name == "" {
			name = v.Event
		}
		return Event{Name: name, Data: s.data, Task: v.Task, Run: v.Run, Conversation: v.Conversation}, nil
	}
}

// read fills data with the next event's and gives the name beside it.
func (s *Stream) read() (name string, err error) {
	s.data = s.data[:0]
	if cap(s.data) > 256<<10 {
		s.data = nil // one large event does not keep its room for a long run
	}
	size, first := 0, true
	for {
		line, err := s.line(&size)
		if err != nil {
			return "", err
		}
		s.watch.Reset(silenceLimit)
		if len(line) == 0 {
			if first {
				size = 0
				continue
			}
			s.data = bytes.TrimSpace(s.data)
			return name, nil
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "": // a comment keeps the connection alive and nothing else
			size = len(s.data)
		case "event":
			name, first = string(value), false
		case "data":
			if len(s.data) > 0 {
				s.data = append(s.data, '\n')
			}
			s.data, first = append(s.data, value...), false
		}
	}
}

// line reads one line without its end, LF or CRLF. size is what the event has so far.
func (s *Stream) line(size *int) ([]byte, error) {
	var long []byte
	for {
		part, err := s.in.ReadSlice('\n')
		if *size += len(part); *size > maxEvent {
			return nil, ErrTooLong
		}
		if err == nil && long == nil {
			return trim(part), nil
		}
		long = append(long, part...)
		switch {
		case err == nil:
			return trim(long), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func trim(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}
