// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Step is one thing that a run does: it waits, then sends. Event is the JSON of an event;
// Raw is sent as it is.
type Step struct {
	After      time.Duration
	Event, Raw string
	Cut        bool // the connection breaks
	Hold       bool // nothing more is sent, until the caller leaves
	Stopped    bool // it waits until a task is stopped
}

// Steps gives a script of events that come at once.
func Steps(events ...string) (all []Step) {
	for _, e := range events {
		all = append(all, Step{Event: e})
	}
	return all
}

// Upload is a file that arrived.
type Upload struct{ Name, Type, Content string }

// Stopped gives the tasks that were stopped so far, as app/task.
func (s *Server) Stopped() []string { return locked(s, &s.stopped) }

// Left gives the apps whose runs were left by their caller.
func (s *Server) Left() []string { return locked(s, &s.left) }

// Answered gives the forms that were answered, as their bodies.
func (s *Server) Answered() []string { return locked(s, &s.answered) }

// Uploads gives the files that arrived.
func (s *Server) Uploads() []Upload { return locked(s, &s.uploads) }

func locked[T any](s *Server, list *[]T) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(*list)
}

func (s *Server) app(w http.ResponseWriter, r *http.Request, external bool, id string, rest []string, body []byte) {
	at := slices.IndexFunc(s.Apps, func(a App) bool { return a.ID == id && (!external || a.Open) })
	if at < 0 {
		refuse(w, http.StatusNotFound, "app_not_found", "No such app.")
		return
	}
	a := s.Apps[at]
	switch route := r.Method + " " + strings.Join(rest, "/"); {
	case route == "GET describe":
		write(w, http.StatusOK, map[string]any{
			"info": map[string]any{"id": a.ID, "name": a.Name, "description": a.Description, "mode": a.Mode, "author": "Ada", "tags": tagged(a.Tags), "updated_at": "2026-01-02T15:04:05Z",
				"service_api_enabled": true, "is_agent": false},
			"parameters": raw(a.Parameters), "input_schema": raw(a.Schema),
		})
	case route == "POST run":
		var v struct {
			Query *string
			Mode  string `json:"response_mode"`
		}
		_ = json.Unmarshal(body, &v)
		switch {
		case a.Mode == "workflow" && v.Query != nil:
			refuse(w, http.StatusUnprocessableEntity, "query_not_supported_for_workflow", "A workflow takes inputs and no query.")
		case a.Mode == "chat" && v.Query == nil:
			refuse(w, http.StatusUnprocessableEntity, "query_required_for_chat", "A chat app needs a query.")
		case v.Mode == "blocking":
			write(w, http.StatusOK, raw(a.Blocking))
		default:
			s.play(w, r, a.ID, a.Script)
		}
	case route == "POST files/upload":
		s.upload(w, r, body)
	case len(rest) == 3 && rest[0] == "tasks" && rest[2] == "stop":
		s.stopped = append(s.stopped, id+"/"+rest[1])
		if s.stops != nil {
			close(s.stops)
			s.stops = nil
		}
		write(w, http.StatusOK, map[string]string{"result": "success"})
	case len(rest) == 3 && rest[0] == "tasks" && rest[2] == "events":
		s.play(w, r, a.ID, a.Resumed)
	case len(rest) == 3 && rest[0] == "form" && (rest[2] != FormToken || a.Form == ""):
		refuse(w, http.StatusNotFound, "form_not_found", "No such form.")
	case len(rest) == 3 && rest[0] == "form" && r.Method == http.MethodGet:
		write(w, http.StatusOK, raw(a.Form))
	case len(rest) == 3 && rest[0] == "form":
		s.Apps[at].Form = ""
		s.answered = append(s.answered, string(body))
		write(w, http.StatusOK, map[string]any{})
	default:
		refuse(w, http.StatusNotFound, "not_found", "Not found")
	}
}

func raw(s string) json.RawMessage {
	if s == "" {
		return json.RawMessage("null")
	}
	return json.RawMessage(s)
}

// play sends a script. The server goes on serving others meanwhile.
func (s *Server) play(w http.ResponseWriter, r *http.Request, app string, script []Step) {
	s.mu.Unlock()
	defer s.mu.Lock()
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	flush := func() {
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	flush()
	for _, step := range script {
		wait := time.NewTimer(step.After)
		if step.Hold {
			wait.Stop()
		}
		var stopped chan struct{}
		if step.Stopped {
			wait.Stop()
			s.mu.Lock()
			if s.stops == nil {
				s.stops = make(chan struct{})
			}
			stopped = s.stops
			s.mu.Unlock()
		}
		select {
		case <-wait.C:
		case <-stopped:
		case <-r.Context().Done():
			s.mu.Lock()
			s.left = append(s.left, app)
			s.mu.Unlock()
			return
		}
		if step.Cut {
			panic(http.ErrAbortHandler)
		}
		text := step.Raw
		if step.Event != "" {
			text += "data: " + step.Event + "\n\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
		flush()
	}
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request, body []byte) {
	_, boundary, _ := strings.Cut(r.Header.Get("Content-Type"), "boundary=")
	form := multipart.NewReader(strings.NewReader(string(body)), boundary)
	part, err := form.NextPart()
	if err != nil || part.FormName() != "file" {
		refuse(w, http.StatusBadRequest, "no_file_uploaded", "No file.")
		return
	}
	content, _ := io.ReadAll(part)
	s.uploads = append(s.uploads, Upload{part.FileName(), part.Header.Get("Content-Type"), string(content)})
	write(w, http.StatusCreated, map[string]any{"id": AppID(900 + len(s.uploads)), "name": part.FileName()})
}
