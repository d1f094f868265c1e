// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Workspace is one that the holder belongs to.
type Workspace struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Role    string `json:"role"`
	Status  string `json:"status"`
	Current bool   `json:"current"`
}

// Member is one person of a workspace.
type Member struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Role   string `json:"role"`
	Status string `json:"status"`
}

// Invitation is what inviting somebody gives. The link is told this once.
type Invitation struct {
	Email       string `json:"email"`
	Role        string `json:"role"`
	MemberID    string `json:"member_id"`
	Link        string `json:"invite_url"`
	WorkspaceID string `json:"tenant_id"`
	Status      string `json:"status"`
}

// Workspaces lists the holder's, oldest first.
func (a *API) Workspaces(ctx context.Context) ([]Workspace, error) {
	v := struct {
		Workspaces []Workspace `json:"workspaces"`
	}{}
	err := a.call(ctx, http.MethodGet, "/workspaces", &v)
	if v.Workspaces == nil {
		v.Workspaces = []Workspace{}
	}
	return v.Workspaces, err
}

// Use makes a workspace the current one.
func (a *API) Use(ctx context.Context, id string) (Workspace, error) {
	var v Workspace
	err := a.call(ctx, http.MethodPost, workspacePath(id)+"/switch", &v)
	return v, err
}

func workspacePath(id string) string { return "/workspaces/" + url.PathEscape(id) }

func memberPath(workspace, id string) string {
	return workspacePath(workspace) + "/members/" + url.PathEscape(id)
}

// Members lists the people of a workspace, by when they joined.
func (a *API) Members(ctx context.Context, workspace string) ([]Member, error) {
	return whole(func(page int) (Page[Member], error) {
		var p Page[Member]
		err := a.call(ctx, http.MethodGet, workspacePath(workspace)+"/members?page="+strconv.Itoa(page)+"&limit="+strconv.Itoa(pageLimit), &p)
		return p, err
	})
}

// Invite invites somebody by e-mail.
func (a *API) Invite(ctx context.Context, workspace, email, role string) (Invitation, error) {
	var v Invitation
	err := a.send(ctx, http.MethodPost, workspacePath(workspace)+"/members", map[string]string{"email": email, "role": role}, &v)
	return v, err
}

// SetRole gives a member another role.
func (a *API) SetRole(ctx context.Context, workspace, member, role string) error {
	return a.send(ctx, http.MethodPut, memberPath(workspace, member)+"/role", map[string]string{"role": role}, nil)
}

// Remove takes a member out of a workspace.
func (a *API) Remove(ctx context.Context, workspace, member string) error {
	return a.call(ctx, http.MethodDelete, memberPath(workspace, member), nil)
}

// Page is one page of a list.
type Page[T any] struct {
	Page    int  `json:"page"`
	Limit   int  `json:"limit"`
	Total   int  `json:"total"`
	HasMore bool `json:"has_more"`
	Data    []T  `json:"data"`
}

// whole reads page after page, up to a bound that no honest list reaches.
func whole[T any](read func(page int) (Page[T], error)) ([]T, error) {
	all := []T{}
	for n := 1; n <= maxPages; n++ {
		p, err := read(n)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Data...)
		if !p.HasMore || len(p.Data) == 0 {
			break
		}
	}
	return all, nil
}
