// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/user"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// Refusals of the transport itself.
var (
	errRequest = fault.New(fault.Invalid, "request_unknown", "The service does not take the command's values.")
	errUnknown = fault.New(fault.NotFound, "operation_unknown", "The service does not know what the command asks.")
)

// Deps is what a Server needs; all fields but Slow and Large are required.
type Deps struct {
	// Service is the program's name in lower case, such as core.
	Service string
	// Operations are all that a client can ask, by their names on the wire.
	Operations map[string]Operation
	Slow       Slow
	Large      Large
	Log        *slog.Logger
	Now        func() time.Time
	Version    string
}

// Server answers commands on one Listener.
type Server struct {
	Deps
	http *http.Server
}

// NewServer checks the dependencies.
func NewServer(d Deps) (*Server, error) {
	if d.Service == "" || len(d.Operations) == 0 || d.Log == nil || d.Now == nil {
		return nil, errors.New("control: service, operations, log and clock are required")
	}
	s := &Server{Deps: d}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.handle),
		ReadHeaderTimeout: readLimit, ReadTimeout: readLimit, WriteTimeout: answerLimit, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, uidKey{}, c.(*conn).uid)
		},
	}
	s.http.SetKeepAlivesEnabled(false) // one command, one question
	return s, nil
}

type uidKey struct{}

// Serve answers until Shutdown.
func (s *Server) Serve(l *Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown takes the socket away, lets what runs end, and cuts it off when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// handle answers one request and writes one line about it.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	start := s.Now()
	by := Caller{Service: s.Service, User: UserName(r.Context().Value(uidKey{}).(int)), Version: foreign(r.Header.Get(versionHeader(s.Service)))}
	// What has begun is finished though the command be interrupted: half a kill is none.
	limit := s.Slow.limit(strings.TrimPrefix(r.URL.Path, prefix))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), limit)
	defer cancel()
	if limit > callLimit {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit + answerLimit - callLimit))
	}
	ctx, id := by.Request(ctx)
	w.Header().Set(versionHeader(s.Service), s.Version)
	w.Header().Set("Content-Type", jsonType)

	name, answer, err := s.answer(ctx, w, r, by)
	status, level := http.StatusOK, slog.LevelInfo
	attrs := []slog.Attr{slog.String("operation", name), slog.String("actor_id", by.Actor().ID), slog.String("request_id", id)}
	if err != nil {
		f := fault.Of(err)
		status = server.Status(f.Kind())
		attrs = append(attrs, slog.String("code", f.Code()))
		if status >= http.StatusInternalServerError {
			level = slog.LevelError
			attrs = append(attrs, slog.String("error", f.Error()))
			if f.Hint() == "" {
				f = f.Hinted("The service's log has the reason under request_id " + id + ".")
			}
		}
		answer = put(f)
	}
	body, err := json.Marshal(answer)
	if err != nil { // an answer of ours that does not encode
		status, body = http.StatusInternalServerError, []byte("{}")
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
	if name != "" {
		attrs = append(attrs, slog.Int("status", status), slog.Float64("ms", float64(s.Now().Sub(start).Microseconds())/1000))
		s.Log.LogAttrs(context.Background(), level, "command", attrs...)
	}
}

// answer does what is asked. A panic is a failure of this one request. The name is that
// of an operation we have, empty for the greeting, and never a stranger's word.
func (s *Server) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, by Caller) (name string, answer any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.ErrInternal.Because(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	name, ok := strings.CutPrefix(r.URL.Path, prefix)
	if ok && name == "" && r.Method == http.MethodGet {
		return "", Hello{Version: s.Version, PID: os.Getpid(), Operations: slices.Sorted(maps.Keys(s.Operations))}, nil
	}
	do, known := s.Operations[name]
	if !ok || !known {
		return "unknown", nil, errUnknown
	}
	if r.Method != http.MethodPost {
		return name, nil, server.ErrMethodNotAllowed
	}
	if media, ok := wire.MediaType(r.Header.Get("Content-Type")); !ok || media != jsonType {
		return name, nil, server.ErrUnsupportedMedia
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.Large.limit(name)))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return name, nil, server.ErrTooLarge
		}
		return name, nil, server.ErrBadRequest.Because(err)
	}
	answer, err = do(ctx, by, body)
	return name, answer, err
}

// UserName names a user of this machine as the audit trail does.
func UserName(uid int) string {
	if uid == anybody {
		return "unknown"
	}
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// foreign brings a version that somebody says of themselves to a bound.
func foreign(version string) string {
	const most = 64
	if len(version) > most {
		version = version[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, version)
}
