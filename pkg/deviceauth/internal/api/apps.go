// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// App is a row of a list of apps. Times are RFC 3339 as the server writes them.
type App struct {
	ID            string  `json:"id"`
	Name          string  `json:"name"`
	Description   *string `json:"description"`
	Mode          string  `json:"mode"`
	Tags          []Tag   `json:"tags"`
	UpdatedAt     *string `json:"updated_at"`
	CreatedBy     *string `json:"created_by_name"`
	WorkspaceID   *string `json:"workspace_id"`
	WorkspaceName *string `json:"workspace_name"`
}

// Tag is a word that an app was given.
type Tag struct {
	Name string `json:"name"`
}

// AppFilter says which apps; an empty member asks nothing.
type AppFilter struct {
	Workspace, Mode, Name, Tag string
	// Permitted asks for what a subject of an identity provider may run, in every
	// workspace.
	Permitted   bool
	Page, Limit int
}

// Apps gives one page.
func (a *API) Apps(ctx context.Context, f AppFilter) (Page[App], error) {
	path, q := "/apps?", url.Values{}
	if f.Permitted {
		path = "/permitted-external-apps?"
	} else {
		q.Set("workspace_id", f.Workspace)
	}
	q.Set("page", strconv.Itoa(max(f.Page, 1)))
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	for name, value := range map[string]string{"mode": f.Mode, "name": f.Name, "tag": f.Tag} {
		if value != "" {
			q.Set(name, value)
		}
	}
	var p Page[App]
	err := a.call(ctx, http.MethodGet, path+q.Encode(), &p)
	if p.Data == nil {
		p.Data = []App{}
	}
	return p, err
}

// AllApps gives every page.
func (a *API) AllApps(ctx context.Context, f AppFilter) ([]App, error) {
	f.Limit = pageLimit
	return whole(func(page int) (Page[App], error) {
		f.Page = page
		return a.Apps(ctx, f)
	})
}

// AppInfo is what describe says of an app itself.
type AppInfo struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	Mode        string  `json:"mode"`
	Author      *string `json:"author"`
	Tags        []Tag   `json:"tags"`
	UpdatedAt   *string `json:"updated_at"`
	Enabled     bool    `json:"service_api_enabled"`
}

// Description is what describe says, in the server's own JSON where nothing here reads
// it.
type Description struct {
	Info       *AppInfo
	Parameters json.RawMessage
	Schema     json.RawMessage
	Raw        json.RawMessage
}

// Describe gives all that is known of an app.
func (a *API) Describe(ctx context.Context, id string) (Description, error) {
	var d Description
	if err := a.call(ctx, http.MethodGet, appPath(id)+"/describe?fields=info,parameters,input_schema", &d.Raw); err != nil {
		return d, err
	}
	var v struct {
		Info       *AppInfo        `json:"info"`
		Parameters json.RawMessage `json:"parameters"`
		Schema     json.RawMessage `json:"input_schema"`
	}
	if json.Unmarshal(d.Raw, &v) != nil || v.Info == nil {
		return d, badAnswer(http.StatusOK, "it does not describe an app")
	}
	d.Info, d.Parameters, d.Schema = v.Info, v.Parameters, v.Schema
	return d, nil
}

func appPath(id string) string { return "/apps/" + url.PathEscape(id) }
