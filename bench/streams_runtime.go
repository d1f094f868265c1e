// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// plan says what a stream of the runtime is to be. It travels as the inputs of a run, which
// core passes on as they are.
type plan struct {
	Events int `json:"events"`
	// First and Every are microseconds before the first event and between two. With no Every
	// events are written as fast as they are taken, many at a time.
	First int `json:"first,omitempty"`
	Every int `json:"every,omitempty"`
	Size  int `json:"size,omitempty"` // bytes of an event that is not paced
}

const (
	// The mark before the time at which an event was sent, and that of a stream's last event.
	sentMark = `"sent":`
	lastMark = `"message_end"`
	// bulkWrite is how much a runtime that does not wait writes at once.
	bulkWrite = 32 << 10
)

// benchRuntime speaks as much of the Service API as a run needs, with bare net/http.
type benchRuntime struct {
	mu sync.Mutex
	// streams are the connections on which a stream has begun and is not over.
	streams map[net.Conn]bool
}

type connKey struct{}

// serveRuntime serves it on an address.
func serveRuntime(address string) error {
	r := &benchRuntime{streams: map[net.Conn]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat-messages", r.run)
	mux.HandleFunc("POST /v1/chat-messages/{task}/stop", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, `{"result":"success"}`) })
	mux.HandleFunc("GET /v1/parameters", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, `{}`) })
	mux.HandleFunc("GET /streams", func(w http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		answerJSON(w, strconv.Itoa(len(r.streams)))
	})
	s := &http.Server{
		Addr: address, Handler: mux, ReadHeaderTimeout: time.Minute,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateClosed || state == http.StateIdle { // kept for the next one
				r.mu.Lock()
				defer r.mu.Unlock()
				delete(r.streams, c)
			}
		},
	}
	return s.ListenAndServe()
}

func answerJSON(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(text))
}

func (r *benchRuntime) run(w http.ResponseWriter, req *http.Request) {
	var body struct {
		Inputs plan `json:"inputs"`
	}
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		http.Error(w, `{"code":"invalid_param"}`, http.StatusBadRequest)
		return
	}
	if c, ok := req.Context().Value(connKey{}).(net.Conn); ok {
		r.mu.Lock()
		r.streams[c] = true
		r.mu.Unlock()
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	if out.Flush() != nil { // the head goes first, as a server of Dify's has it
		return
	}
	p, task := body.Inputs, rand.Text()
	if p.Every == 0 {
		unpaced(w, p, task)
	} else {
		paced(req.Context(), w, out, p, task)
	}
	_, _ = fmt.Fprintf(w, "data: {\"event\":%s,\"task_id\":%q}\n\n", lastMark, task)
}

// paced writes events one by one, each with the time at which it is sent.
func paced(ctx context.Context, w http.ResponseWriter, out *http.ResponseController, p plan, task string) {
	head := fmt.Appendf(nil, "data: {\"event\":\"message\",\"task_id\":%q,\"message_id\":%q,\"conversation_id\":%q,\"answer\":\" another word\",\"created_at\":1764000000,%s", task, task, task, sentMark)
	event := make([]byte, 0, 2*len(head))
	next := time.Now().Add(time.Duration(p.First) * time.Microsecond)
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for range p.Events {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		event = append(event[:0], head...)
		event = strconv.AppendInt(event, time.Now().UnixNano(), 10)
		event = append(event, "}\n\n"...)
		if _, err := w.Write(event); err != nil || out.Flush() != nil {
			return
		}
		next = next.Add(time.Duration(p.Every) * time.Microsecond)
		timer.Reset(time.Until(next))
	}
}

// unpaced writes events of one size, many at a time.
func unpaced(w http.ResponseWriter, p plan, task string) {
	head := fmt.Sprintf("data: {\"event\":\"message\",\"task_id\":%q,\"answer\":\"", task)
	const tail = "\"}\n\n"
	event := head + string(bytes.Repeat([]byte("x"), max(0, p.Size-len(head)-len(tail)))) + tail
	most := max(1, bulkWrite/len(event))
	block := bytes.Repeat([]byte(event), most)
	for left := p.Events; left > 0; left -= most {
		if _, err := w.Write(block[:min(left, most)*len(event)]); err != nil {
			return
		}
	}
}
