// SPDX-License-Identifier: Apache-2.0

package runtimetest

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Route is a call that runtimes know. The zero value stands for all of them.
type Route string

// The routes.
const (
	Chat         Route = "POST /v1/chat-messages"
	Completion   Route = "POST /v1/completion-messages"
	Workflow     Route = "POST /v1/workflows/run"
	WorkflowByID Route = "POST /v1/workflows/{id}/run"
	StopChat     Route = "POST /v1/chat-messages/{task}/stop"
	StopComplete Route = "POST /v1/completion-messages/{task}/stop"
	StopWorkflow Route = "POST /v1/workflows/tasks/{task}/stop"
	Parameters   Route = "GET /v1/parameters"
	Info         Route = "GET /v1/info"
	Upload       Route = "POST /v1/files/upload"
	Events       Route = "GET /v1/workflow/{run}/events"
	Detail       Route = "GET /v1/workflows/run/{run}"
	Form         Route = "GET /v1/form/human_input/{token}"
	Submit       Route = "POST /v1/form/human_input/{token}"
	Conversation Route = "DELETE /v1/conversations/{id}"
	Export       Route = "GET /v1/apps/export"
	Dependencies Route = "GET /v1/apps/check-dependencies"
	Import       Route = "POST /v1/apps/imports"
	Confirm      Route = "POST /v1/apps/imports/{id}/confirm"
)

var routes = []Route{
	Chat, Completion, Workflow, WorkflowByID, StopChat, StopComplete, StopWorkflow, Parameters, Info, Upload, Events, Detail, Form, Submit, Conversation,
	Export, Dependencies, Import, Confirm,
}

// patience bounds every wait of this package.
const patience = 20 * time.Second

// Runtime listens until its test is over.
type Runtime struct {
	// URL is the base address, without a slash at its end.
	URL string
	// Key is the app key that it takes.
	Key string

	server *httptest.Server
	over   chan struct{}

	mu      sync.Mutex
	scripts map[Route][]Script
	calls   []*Call
	changed chan struct{} // closed and replaced at each call
	opened  int           // connections so far
	open    map[net.Conn]bool
}

// New starts a runtime on a port of 127.0.0.1, without TLS.
func New(t testing.TB, key string) *Runtime { return start(t, key, false) }

// NewTLS is New with a certificate that nobody trusts but the pool of its server's.
func NewTLS(t testing.TB, key string) *Runtime { return start(t, key, true) }

func start(t testing.TB, key string, secure bool) *Runtime {
	t.Helper()
	r := &Runtime{Key: key, over: make(chan struct{}), scripts: map[Route][]Script{}, changed: make(chan struct{}), open: map[net.Conn]bool{}}
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(string(route), func(w http.ResponseWriter, q *http.Request) { r.serve(route, w, q) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, q *http.Request) { r.serve("", w, q) })
	r.server = httptest.NewUnstartedServer(mux)
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0) // connections are meant to fail
	r.server.Config.ConnState = r.connection
	if secure {
		r.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		r.server.StartTLS()
	} else {
		r.server.Start()
	}
	r.URL = r.server.URL
	t.Cleanup(func() {
		close(r.over) // whoever hangs goes on
		r.server.CloseClientConnections()
		r.server.Close()
	})
	return r
}

// Server is what listens, for its certificate.
func (r *Runtime) Server() *httptest.Server { return r.server }

// On says what the next calls of a route get: each the next script, the last one for ever.
// Without a script the route is healthy again.
func (r *Runtime) On(route Route, scripts ...Script) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scripts[route] = scripts
}

func (r *Runtime) next(route Route) Script {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.scripts[route]
	if len(list) == 0 {
		return nil
	}
	if len(list) > 1 {
		r.scripts[route] = list[1:]
	}
	return list[0]
}

// Calls are those of a route so far, in the order of their arrival, those with a wrong key
// too. The empty route gives all calls, those of no route among them.
func (r *Runtime) Calls(route Route) []*Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(route)
}

func (r *Runtime) of(route Route) (list []*Call) {
	for _, c := range r.calls {
		if route == "" || c.Route == route {
			list = append(list, c)
		}
	}
	return list
}

// Wait gives the calls of a route once there are n of them; their bodies have been read.
func (r *Runtime) Wait(t testing.TB, route Route, n int) []*Call {
	t.Helper()
	late := time.After(patience)
	for {
		r.mu.Lock()
		list, changed := r.of(route), r.changed
		r.mu.Unlock()
		if len(list) >= n {
			return list
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("the runtime was called %d times at %q, not %d", len(list), route, n)
		}
	}
}

// Opened counts the connections that were made to it.
func (r *Runtime) Opened() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened
}

// Open counts those that are open.
func (r *Runtime) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

func (r *Runtime) connection(c net.Conn, s http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch s {
	case http.StateNew:
		r.opened++
		r.open[c] = true
	case http.StateClosed, http.StateHijacked:
		delete(r.open, c)
	}
}

func (r *Runtime) record(c *Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.number = len(r.calls) + 1
	c.Task, c.Run = fmt.Sprintf("00000000-0000-4000-8000-%012d", c.number), fmt.Sprintf("00000000-0000-4000-9000-%012d", c.number)
	r.calls = append(r.calls, c)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Runtime) serve(route Route, w http.ResponseWriter, q *http.Request) {
	c := read(route, q)
	e := &Exchange{Call: c, w: w, over: r.over}
	defer close(c.done)
	r.record(c)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // the context ends with the connection, or when this handler returns
		select {
		case <-q.Context().Done():
			select {
			case <-stop:
			case <-r.over:
			default:
				c.drop()
			}
		case <-stop:
		}
	}()
	switch {
	case route == "":
		Status(http.StatusNotFound, "not_found", "The requested URL was not found on the server.")(e)
	case q.Header.Get("Authorization") != "Bearer "+r.Key:
		Status(http.StatusUnauthorized, "unauthorized", "Access token is invalid")(e)
	default:
		script := r.next(route)
		if script == nil {
			script = healthy(c)
		}
		for _, step := range script {
			step(e)
		}
	}
}

// placeholders puts the ids of a call into a text.
func placeholders(c *Call, text string) string {
	return strings.NewReplacer("{task}", c.Task, "{run}", c.Run).Replace(text)
}
