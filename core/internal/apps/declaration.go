// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// MaxDeclarations is how many apps are declared at once.
const MaxDeclarations = 500

// Declaration is an app as a file declares it. A member that is absent is left as it is,
// and has its default in a new app. An app is the one with the ID, or else the one of
// that workspace with exactly this name; where there is none, it is made.
type Declaration struct {
	// ID names an app that exists; it may then be given another name.
	ID string `json:"id,omitempty" yaml:"id,omitempty"`
	// Workspace is the id of a workspace, or a name that one alone has; it may be left out
	// where there is one workspace alone.
	Workspace     string                `json:"workspace,omitempty" yaml:"workspace,omitempty"`
	Name          string                `json:"name" yaml:"name"`
	Description   *string               `json:"description,omitempty" yaml:"description,omitempty"`
	Mode          *Mode                 `json:"mode,omitempty" yaml:"mode,omitempty"` // a new app needs one
	Tags          *[]string             `json:"tags,omitempty" yaml:"tags,omitempty"`
	Author        *string               `json:"author,omitempty" yaml:"author,omitempty"`
	Runtime       *Runtime              `json:"runtime,omitempty" yaml:"runtime,omitempty"`
	RuntimeURL    *string               `json:"runtime_url,omitempty" yaml:"runtime_url,omitempty"`
	RuntimeConfig map[string]any        `json:"runtime_config,omitempty" yaml:"runtime_config,omitempty"`
	Features      *DeclarationsFeatures `json:"runtime_features,omitempty" yaml:"runtime_features,omitempty"`
	APIEnabled    *bool                 `json:"api_enabled,omitempty" yaml:"api_enabled,omitempty"` // true in a new app
	Access        *Access               `json:"access_mode,omitempty" yaml:"access_mode,omitempty"`
	MaxActive     *int                  `json:"max_active_requests,omitempty" yaml:"max_active_requests,omitempty"`
	Status        *Status               `json:"status,omitempty" yaml:"status,omitempty"`
	// Allowed are members of the workspace, by e-mail or account id.
	Allowed *[]string `json:"allowed,omitempty" yaml:"allowed,omitempty"`
	// Key is in clear and in no file of declarations: whoever reads one reads the key from
	// where that says. Nil leaves the key, an empty one takes it away.
	Key *secret.Text `json:"-" yaml:"-"`
}

// DeclarationsFeatures are Features as a file declares them.
type DeclarationsFeatures struct {
	DSL        bool `json:"dsl,omitempty" yaml:"dsl,omitempty"`
	HumanInput bool `json:"human_input,omitempty" yaml:"human_input,omitempty"`
}

// What becomes of a declared app.
const (
	PlanCreate = "create"
	PlanUpdate = "update"
	PlanNone   = "unchanged"
)

// Planned is what becomes, or would become, of one declaration, in their order.
type Planned struct {
	Action      string `json:"action"` // PlanCreate, PlanUpdate or PlanNone
	AppID       string `json:"app_id,omitempty"`
	WorkspaceID string `json:"workspace_id"`
	Workspace   string `json:"workspace"`
	Name        string `json:"name"`
	// Changes are the members that change; those of a new app are all that it is given.
	Changes []PlannedChange `json:"changes"`
}

// PlannedChange is a member that changes, as text: lists and objects as JSON. That a key
// changes is said by "set", "changed" and "removed" in To, and by nothing else.
type PlannedChange struct {
	Member string `json:"member"`
	From   string `json:"from"`
	To     string `json:"to"`
}

// change gives what a declaration asks for. An app that is made has the defaults in what
// it does not say.
func (d Declaration) change(fresh bool, members []Allowed, p problems) Change {
	c := Change{
		Description: d.Description, Mode: d.Mode, Tags: d.Tags, Author: d.Author, Runtime: d.Runtime, RuntimeURL: d.RuntimeURL,
		APIEnabled: d.APIEnabled, Access: d.Access, MaxActive: d.MaxActive, Status: d.Status, Key: d.Key,
	}
	if d.Name != "" || fresh {
		c.Name = &d.Name
	}
	if d.Features != nil {
		c.Features = &Features{DSL: d.Features.DSL, HumanInput: d.Features.HumanInput}
	}
	if d.RuntimeConfig != nil {
		text, err := json.Marshal(d.RuntimeConfig)
		if err != nil {
			p.add(errConfig.Error(), memberConfig)
		}
		c.RuntimeConfig = new(string(text))
	}
	if d.Allowed != nil {
		c.Allowed = new(accountsOf(*d.Allowed, members))
	}
	if fresh {
		if c.Mode == nil {
			p.Add("missing", "must say what kind of app a new one is", append(slices.Clone(p.at), memberMode)...)
			c.Mode = new(Chat)
		}
		c.Runtime = cmp.Or(c.Runtime, new(RuntimeDify))
		c.RuntimeURL = cmp.Or(c.RuntimeURL, new(string))
		c.Access = cmp.Or(c.Access, new(InternalAll))
		c.APIEnabled = cmp.Or(c.APIEnabled, new(true))
		c.Status = cmp.Or(c.Status, new(StatusNormal))
	}
	return c
}

// accountsOf gives the ids of members who are named by e-mail or id. Who is none stays as
// named, and is refused as no member.
func accountsOf(named []string, members []Allowed) []string {
	ids := slices.Clone(named)
	for i, who := range named {
		email, ok := canon.Email(who)
		if !ok {
			continue
		}
		if at := slices.IndexFunc(members, func(m Allowed) bool { return m.Email == email }); at >= 0 {
			ids[i] = members[at].AccountID
		}
	}
	return ids
}

// told tells a plan to people.
func told(now place, to plan, members []Allowed) Planned {
	t := Planned{Action: PlanUpdate, AppID: now.ID, WorkspaceID: now.WorkspaceID, Workspace: now.WorkspaceName, Name: to.next.Name, Changes: []PlannedChange{}}
	names := to.changed()
	switch {
	case now.fresh:
		t.Action, t.AppID = PlanCreate, ""
	case len(names) == 0:
		t.Action = PlanNone
	}
	for _, name := range names {
		c := PlannedChange{Member: name}
		switch name {
		case memberKey:
			c.To = "changed"
			if to.next.SealedKey == "" {
				c.To = "removed"
			} else if now.SealedKey == "" {
				c.To = "set"
			}
		case memberAllowed:
			c.From, c.To = listed(now.allowed, to, members)
		default:
			c.To = shown(to.next, name)
			if !now.fresh {
				c.From = shown(now.App, name)
			}
		}
		t.Changes = append(t.Changes, c)
	}
	return t
}

// listed gives the e-mails of a list of access before and after.
func listed(was []Allowed, to plan, members []Allowed) (before, after string) {
	old, next := []string{}, []string{}
	for _, a := range was {
		old = append(old, a.Email)
		if !slices.Contains(to.remove, a.AccountID) {
			next = append(next, a.Email)
		}
	}
	for _, m := range members {
		if slices.Contains(to.added, m.AccountID) {
			next = append(next, m.Email)
		}
	}
	slices.Sort(next)
	return asJSON(old), asJSON(next)
}

// shown gives a member of an app as text.
func shown(a App, name string) string {
	switch name {
	case memberName:
		return a.Name
	case memberDescription:
		return a.Description
	case memberMode:
		return string(a.Mode)
	case memberTags:
		return asJSON(a.Tags)
	case memberAuthor:
		return a.Author
	case memberRuntime:
		return string(a.Runtime)
	case memberURL:
		return a.RuntimeURL
	case memberConfig:
		return a.RuntimeConfig
	case memberFeatures:
		return asJSON(DeclarationsFeatures(a.Features))
	case memberEnabled:
		return strconv.FormatBool(a.APIEnabled)
	case memberAccess:
		return string(a.Access)
	case memberMaxActive:
		return strconv.Itoa(a.MaxActive)
	case memberStatus:
		return string(a.Status)
	}
	return ""
}
