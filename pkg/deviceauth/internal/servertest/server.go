// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Origin is the address of a server that is reached by Transport.
const Origin = "https://sso.example.com"

// What the person does with a code.
const (
	Nothing = ""
	Allow   = "allow"
	Refuse  = "refuse"
)

// Server answers as the product does. Its fields are set before the first request.
type Server struct {
	Public    string        // where the verification URI points
	ExpiresIn time.Duration // of a code
	Interval  time.Duration
	Complete  bool          // offer verification_uri_complete
	Decision  string        // what the person does with each code …
	After     time.Duration // … this long after it was issued
	Email     string        // of the person
	External  bool          // the person has no account
	Old       bool          // a version without workspaces and apps
	// Workspaces, Members (of each workspace alike) and Apps are what there is to see.
	Workspaces []Workspace
	Members    []Member
	Apps       []App
	// Fault, when set, is asked before each request; nil means none.
	Fault func(*http.Request) *Fault
	// Date is the server's clock; nil means one that is right.
	Date func() time.Time
	// On, when set, is called for each request before it is answered.
	On func(*http.Request)

	mu       sync.Mutex
	grants   map[string]*grant
	sessions []*Session
	polls    []Poll
	requests []Request
	issued   int
	stopped  []string
	stops    chan struct{} // closed by the next stop; nil when nobody waits for one
	left     []string
	answered []string
	uploads  []Upload
}

// Fault is what goes wrong with one request.
type Fault struct {
	Status int // answered in place of the request; 0 lets it through
	Header http.Header
	Body   string
	Cut    bool // the connection ends without an answer …
	Late   bool // … after the request has been served
}

// Session is a signed-in device.
type Session struct {
	ID, Token, Label, Email        string
	Created, Expires, Used, Killed time.Time
}

// Poll is one request for the token that reached the grant.
type Poll struct {
	At     time.Time
	Answer string // the error's word, "token", or "fault"
}

// Request is one request as it arrived.
type Request struct {
	Method, Path, Host string
	Header             http.Header
	Body               string
}

type grant struct {
	code, user, client, label string
	issued, ends, last        time.Time
	interval                  time.Duration
}

// New gives a server whose person allows every code at once, and owns a workspace.
func New() *Server {
	return &Server{
		Public: Origin, ExpiresIn: 15 * time.Minute, Interval: 5 * time.Second, Decision: Allow, Email: "ada@example.com", grants: map[string]*grant{},
		Workspaces: []Workspace{{ID: WorkspaceID(1), Name: "Engines", Role: "owner", Status: "normal", Current: true}, {ID: WorkspaceID(2), Name: "Looms", Role: "normal", Status: "normal"}},
		Members:    []Member{{ID: memberID(1), Name: "Ada", Email: "ada@example.com", Role: "owner", Status: "active"}},
	}
}

// Polls gives all polls so far.
func (s *Server) Polls() []Poll {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Poll(nil), s.polls...)
}

// Requests gives all requests so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Live gives the sessions that are not ended.
func (s *Server) Live() (live []Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.sessions {
		if v.Killed.IsZero() {
			live = append(live, *v)
		}
	}
	return live
}

// Secrets gives every device code and token that was ever issued.
func (s *Server) Secrets() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.issued {
		all = append(all, deviceCode(n+1))
	}
	for _, v := range s.sessions {
		all = append(all, v.Token)
	}
	return all
}

// Add signs another device in and gives its session.
func (s *Server) Add(label string) Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.mint(label)
}

func deviceCode(n int) string { return fmt.Sprintf("dc_%042d0", n) }

func (s *Server) mint(label string) *Session {
	n := len(s.sessions) + 1
	v := &Session{
		ID: fmt.Sprintf("01900000-0000-7000-8000-%012d", n), Token: fmt.Sprintf("%s%042d1", map[bool]string{false: "dfoa_", true: "dfoe_"}[s.External], n), Label: label, Email: s.Email,
		Created: time.Now(), Expires: time.Now().Add(14 * 24 * time.Hour),
	}
	s.sessions = append(s.sessions, v)
	return v
}

// ServeHTTP implements http.Handler. A cut connection is http.ErrAbortHandler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if s.On != nil {
		s.On(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{Method: r.Method, Path: r.URL.RequestURI(), Host: r.Host, Header: r.Header.Clone(), Body: string(body)})
	var fault *Fault
	if s.Fault != nil {
		fault = s.Fault(r)
	}
	switch {
	case fault == nil:
	case fault.Late:
		s.serve(discard{http.Header{}}, r, body)
		panic(http.ErrAbortHandler)
	default:
		if strings.HasSuffix(r.URL.Path, "/oauth/device/token") {
			s.polls = append(s.polls, Poll{At: time.Now(), Answer: "fault"})
		}
		if fault.Cut {
			panic(http.ErrAbortHandler)
		}
		for name, values := range fault.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(fault.Status)
		_, _ = io.WriteString(w, fault.Body)
		return
	}
	s.serve(w, r, body)
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	now := time.Now()
	if s.Date != nil {
		now = s.Date()
	}
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	path, known := strings.CutPrefix(r.URL.Path, "/openapi/v1")
	switch {
	case !known:
		refuse(w, http.StatusNotFound, "not_found", "Not found")
	case r.Method == http.MethodGet && path == "/_version":
		write(w, http.StatusOK, map[string]string{"version": "1.14.0+test", "edition": "SELF_HOSTED"})
	case r.Method == http.MethodPost && path == "/oauth/device/code":
		s.code(w, body)
	case r.Method == http.MethodPost && path == "/oauth/device/token":
		s.token(w, body)
	case strings.HasPrefix(path, "/account"):
		s.account(w, r, path)
	case !s.Old && (strings.HasPrefix(path, "/workspaces") || strings.HasPrefix(path, "/apps") || path == "/permitted-external-apps"):
		s.work(w, r, path, body)
	default:
		refuse(w, http.StatusNotFound, "not_found", "Not found")
	}
}

func (s *Server) code(w http.ResponseWriter, body []byte) {
	var req struct {
		ClientID string `json:"client_id"`
		Label    string `json:"device_label"`
	}
	if json.Unmarshal(body, &req) != nil || req.Label == "" || len(req.Label) > 255 {
		write(w, http.StatusBadRequest, map[string]any{"code": "bad_request", "message": "Request validation failed", "status": 400, "error": "invalid_request",
			"details": []any{map[string]any{"type": "value_error", "loc": []string{"device_label"}, "msg": "must be 1 to 255 characters"}}})
		return
	}
	if req.ClientID != "difyauth" {
		verdict(w, "unsupported_client")
		return
	}
	s.issued++
	now := time.Now()
	g := &grant{code: deviceCode(s.issued), user: fmt.Sprintf("WDJB-M%03d", s.issued), client: req.ClientID, label: req.Label, issued: now, ends: now.Add(s.ExpiresIn), interval: s.Interval}
	s.grants[g.code] = g
	answer := map[string]any{
		"device_code": g.code, "user_code": g.user, "verification_uri": s.Public + "/device",
		"expires_in": int(s.ExpiresIn.Seconds()), "interval": int(s.Interval.Seconds()),
	}
	if s.Complete {
		answer["verification_uri_complete"] = s.Public + "/device?user_code=" + g.user
	}
	write(w, http.StatusOK, answer)
}

// token is one poll, with the checks in the product's order.
func (s *Server) token(w http.ResponseWriter, body []byte) {
	var req struct {
		ClientID  string  `json:"client_id"`
		Code      string  `json:"device_code"`
		GrantType *string `json:"grant_type"`
	}
	now := time.Now()
	say := func(word string) {
		s.polls = append(s.polls, Poll{At: now, Answer: word})
		if word != "token" {
			verdict(w, word)
		}
	}
	if json.Unmarshal(body, &req) != nil || req.GrantType != nil && *req.GrantType != "urn:ietf:params:oauth:grant-type:device_code" {
		say("unsupported_grant_type")
		return
	}
	g := s.grants[req.Code]
	switch {
	case g == nil || !now.Before(g.ends):
		say("expired_token")
		return
	case g.client != req.ClientID:
		say("invalid_grant")
		return
	case !g.last.IsZero() && now.Sub(g.last) < g.interval-500*time.Millisecond:
		g.last, g.interval = now, min(g.interval+5*time.Second, time.Minute)
		say("slow_down")
		return
	}
	g.last = now
	decided := g.issued.Add(s.After)
	switch {
	case s.Decision == Nothing || now.Before(decided):
		say("authorization_pending")
	case s.Decision == Refuse:
		delete(s.grants, g.code)
		say("access_denied")
	default:
		delete(s.grants, g.code)
		v := s.mint(g.label)
		say("token")
		write(w, http.StatusOK, s.tokenAnswer(v))
	}
}

func (s *Server) tokenAnswer(v *Session) map[string]any {
	answer := s.identity()
	answer["token"], answer["access_token"], answer["token_type"] = v.Token, v.Token, "Bearer"
	answer["expires_in"], answer["expires_at"] = int(time.Until(v.Expires).Seconds()), stamp(v.Expires)
	answer["scope"], answer["token_id"] = "full", v.ID
	return answer
}

func (s *Server) identity() map[string]any {
	if s.External {
		return map[string]any{"subject_type": "external_sso", "subject_email": s.Email, "subject_issuer": "https://idp.example.com", "account": nil, "workspaces": []any{}, "default_workspace_id": nil}
	}
	return map[string]any{
		"subject_type": "account", "subject_email": s.Email, "subject_issuer": nil,
		"account":    map[string]string{"id": "acc-1", "email": s.Email, "name": "Ada"},
		"workspaces": []any{map[string]string{"id": "ws-1", "name": "Engines", "role": "owner"}, map[string]string{"id": "ws-2", "name": "Looms", "role": "normal"}}, "default_workspace_id": "ws-1",
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func verdict(w http.ResponseWriter, code string) {
	write(w, http.StatusBadRequest, map[string]any{"error": code})
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	write(w, status, map[string]any{"code": code, "message": message, "status": status})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
