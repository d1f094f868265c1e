// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Workspace is one that the person belongs to.
type Workspace struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Role    string `json:"role"`
	Status  string `json:"status"`
	Current bool   `json:"current"`
}

// Member is one person of the workspaces.
type Member struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Email  string  `json:"email"`
	Role   string  `json:"role"`
	Status string  `json:"status"`
	Avatar *string `json:"avatar"`
}

// App is an app of a workspace.
type App struct {
	ID, Workspace, Name, Mode, Description string
	Tags                                   []string
	Open                                   bool // to subjects of identity providers
	Parameters, Schema                     string
	// Script is what each of its runs does, Resumed what it does once a form is answered.
	Script, Resumed []Step
	// Form is a form that waits, by FormToken.
	Form string
	// Blocking is the answer of a blocking run.
	Blocking string
}

// FormToken names the form of an app.
const FormToken = "form-1"

// WorkspaceID gives the id of the nth workspace.
func WorkspaceID(n int) string { return fmt.Sprintf("01910000-0000-7000-8000-%012d", n) }

// AppID gives the id of the nth app.
func AppID(n int) string { return fmt.Sprintf("01920000-0000-7000-8000-%012d", n) }

func memberID(n int) string { return fmt.Sprintf("01930000-0000-7000-8000-%012d", n) }

// work serves what a person works with: their workspaces and apps.
func (s *Server) work(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	me := s.bearer(r)
	if me == nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="api", error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "invalid_token", "The access token is not valid")
		return
	}
	external := strings.HasPrefix(me.Token, "dfoe_")
	part := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i := range part {
		part[i], _ = url.PathUnescape(part[i])
	}
	switch {
	case external != (part[0] == "permitted-external-apps") && (part[0] != "apps" || len(part) == 1):
		refuse(w, http.StatusForbidden, "wrong_surface", "This kind of token is not served here.")
	case part[0] == "permitted-external-apps", part[0] == "apps" && len(part) == 1:
		s.apps(w, r, external)
	case part[0] == "apps":
		s.app(w, r, external, part[1], part[2:], body)
	case len(part) == 1:
		write(w, http.StatusOK, map[string]any{"workspaces": append([]Workspace{}, s.Workspaces...)})
	default:
		s.workspace(w, r, part[1], part[2:], body)
	}
}

func (s *Server) workspace(w http.ResponseWriter, r *http.Request, id string, rest []string, body []byte) {
	at := slices.IndexFunc(s.Workspaces, func(v Workspace) bool { return v.ID == id })
	if at < 0 {
		refuse(w, http.StatusNotFound, "workspace_not_found", "No such workspace.")
		return
	}
	route := r.Method + " " + strings.Join(rest, "/")
	switch {
	case route == "POST switch":
		for i := range s.Workspaces {
			s.Workspaces[i].Current = i == at
		}
		write(w, http.StatusOK, s.Workspaces[at])
	case route == "GET members":
		rows, page := cut(s.Members, r)
		page["data"] = rows
		write(w, http.StatusOK, page)
	case s.Workspaces[at].Role != "owner" && s.Workspaces[at].Role != "admin":
		refuse(w, http.StatusForbidden, "insufficient_workspace_role", "Your role in this workspace does not allow this.")
	case route == "POST members":
		s.invite(w, id, body)
	case len(rest) >= 2:
		s.member(w, r, rest, body)
	default:
		refuse(w, http.StatusNotFound, "not_found", "Not found")
	}
}

func (s *Server) invite(w http.ResponseWriter, workspace string, body []byte) {
	var v struct{ Email, Role string }
	_ = json.Unmarshal(body, &v)
	if slices.ContainsFunc(s.Members, func(m Member) bool { return m.Email == v.Email }) {
		refuse(w, http.StatusConflict, "already_member", "This person is a member already.")
		return
	}
	m := Member{ID: memberID(len(s.Members) + 1), Name: v.Email, Email: v.Email, Role: v.Role, Status: "pending"}
	s.Members = append(s.Members, m)
	write(w, http.StatusCreated, map[string]string{"result": "success", "email": v.Email, "role": v.Role, "member_id": m.ID,
		"invite_url": s.Public + "/activate?token=" + strings.Repeat("x", 43), "tenant_id": workspace, "status": "invited"})
}

func (s *Server) member(w http.ResponseWriter, r *http.Request, rest []string, body []byte) {
	at := slices.IndexFunc(s.Members, func(m Member) bool { return m.ID == rest[1] })
	var v struct{ Role string }
	_ = json.Unmarshal(body, &v)
	switch {
	case at < 0:
		refuse(w, http.StatusNotFound, "member_not_found", "No such member in this workspace.")
	case at == 0:
		refuse(w, http.StatusBadRequest, "cannot_act_on_self", "You cannot do this to yourself.")
	case r.Method == http.MethodDelete:
		s.Members = slices.Delete(s.Members, at, at+1)
		write(w, http.StatusOK, map[string]string{"result": "success"})
	case s.Members[at].Role == v.Role:
		refuse(w, http.StatusBadRequest, "role_unchanged", "The member has this role already.")
	default:
		s.Members[at].Role = v.Role
		write(w, http.StatusOK, map[string]string{"result": "success"})
	}
}

// cut gives one page of a list, with the members of a page beside data.
func cut[T any](all []T, r *http.Request) ([]T, map[string]any) {
	number := func(name string, other int) int {
		if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil {
			return n
		}
		return other
	}
	page, limit := number("page", 1), number("limit", 20)
	from := min((page-1)*limit, len(all))
	rows := append([]T{}, all[from:min(from+limit, len(all))]...)
	return rows, map[string]any{"page": page, "limit": limit, "total": len(all), "has_more": page*limit < len(all)}
}

func (s *Server) apps(w http.ResponseWriter, r *http.Request, external bool) {
	q := r.URL.Query()
	known := slices.ContainsFunc(s.Workspaces, func(v Workspace) bool { return v.ID == q.Get("workspace_id") })
	if !external && !known {
		refuse(w, http.StatusNotFound, "workspace_not_found", "No such workspace.")
		return
	}
	var found []map[string]any
	for _, a := range s.Apps {
		if external && !a.Open || !external && a.Workspace != q.Get("workspace_id") || q.Get("mode") != "" && q.Get("mode") != a.Mode ||
			!strings.Contains(strings.ToLower(a.Name), strings.ToLower(q.Get("name"))) || q.Get("tag") != "" && !slices.Contains(a.Tags, q.Get("tag")) {
			continue
		}
		row := map[string]any{"id": a.ID, "name": a.Name, "description": a.Description, "mode": a.Mode, "tags": []any{}, "updated_at": "2026-01-02T15:04:05Z",
			"created_by_name": nil, "workspace_id": a.Workspace, "workspace_name": nil}
		for _, v := range s.Workspaces {
			if v.ID == a.Workspace {
				row["workspace_name"] = v.Name
			}
		}
		if !external {
			row["tags"] = tagged(a.Tags)
		}
		found = append(found, row)
	}
	rows, page := cut(found, r)
	page["data"] = rows
	write(w, http.StatusOK, page)
}

func tagged(names []string) []map[string]string {
	list := []map[string]string{}
	for _, n := range names {
		list = append(list, map[string]string{"name": n})
	}
	return list
}
