// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

func (s *Server) account(w http.ResponseWriter, r *http.Request, path string) {
	me := s.bearer(r)
	if me == nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="api", error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "invalid_token", "The access token is not valid")
		return
	}
	me.Used = time.Now()
	switch {
	case r.Method == http.MethodGet && path == "/account":
		write(w, http.StatusOK, s.identity())
	case r.Method == http.MethodGet && path == "/account/sessions":
		s.list(w, r, me)
	case r.Method == http.MethodDelete && path == "/account/sessions":
		n := 0
		for _, v := range s.sessions {
			if v != me && v.Killed.IsZero() {
				v.Killed = time.Now()
				n++
			}
		}
		write(w, http.StatusOK, map[string]any{"status": "revoked", "revoked": n})
	case r.Method == http.MethodDelete && path == "/account/sessions/self":
		me.Killed = time.Now()
		write(w, http.StatusOK, map[string]any{"status": "revoked"})
	case r.Method == http.MethodDelete:
		id := strings.TrimPrefix(path, "/account/sessions/")
		for _, v := range s.sessions {
			if v.ID == id {
				v.Killed = time.Now()
				write(w, http.StatusOK, map[string]any{"status": "revoked"})
				return
			}
		}
		refuse(w, http.StatusNotFound, "session_not_found", "Session not found")
	default:
		refuse(w, http.StatusNotFound, "not_found", "Not found")
	}
}

func (s *Server) bearer(r *http.Request) *Session {
	for _, v := range s.sessions {
		if r.Header.Get("Authorization") == "Bearer "+v.Token && v.Killed.IsZero() && time.Now().Before(v.Expires) {
			return v
		}
	}
	return nil
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, me *Session) {
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	if page < 1 || limit < 1 || limit > 200 {
		refuse(w, http.StatusUnprocessableEntity, "invalid_param", "Request validation failed")
		return
	}
	rows := []any{}
	total := 0
	for i := len(s.sessions) - 1; i >= 0; i-- { // newest first
		v := s.sessions[i]
		if !v.Killed.IsZero() {
			continue
		}
		if total++; total > (page-1)*limit && total <= page*limit {
			row := map[string]any{"id": v.ID, "prefix": "dfoa_", "client_id": "difyauth", "device_label": v.Label, "created_at": stamp(v.Created),
				"last_used_at": nil, "expires_at": stamp(v.Expires), "current": v == me, "subject_type": "account"}
			if !v.Used.IsZero() {
				row["last_used_at"] = stamp(v.Used)
			}
			rows = append(rows, row)
		}
	}
	write(w, http.StatusOK, map[string]any{"page": page, "limit": limit, "total": total, "has_more": page*limit < total, "data": rows})
}
