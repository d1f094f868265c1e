// SPDX-License-Identifier: Apache-2.0

package webui

import "html/template"

// AppRow is a row of the list of apps.
type AppRow struct {
	ID, Name, Mode, Access, Runtime string
	// Host is the runtime's, where it has one.
	Host          string
	API, Archived bool
}

// AppsDone names what was done to an app.
type AppsDone string

// What the pages of apps tell of.
const (
	AppCreated AppsDone = "created"
	AppSaved   AppsDone = "saved"
	AppOpened  AppsDone = "access"
	AppRemoved AppsDone = "removed"
	AppKeyless AppsDone = "keyless" // saved, and its key is not for where its address leads now
)

// Known reports whether the pages have words for it.
func (d AppsDone) Known() bool {
	return d == AppCreated || d == AppSaved || d == AppOpened || d == AppRemoved || d == AppKeyless
}

// Apps lists what a workspace has in the registry; without a workspace it has no Workspace.
type Apps struct {
	Workspace, Role string
	// Keeps offers the registry; others are told who does.
	Keeps   bool
	Apps    []AppRow
	Page    int
	HasMore bool
	Done    AppsDone
}

// Before is the page of the list before this one.
func (a Apps) Before() int { return a.Page - 1 }

// After is the next page of the list.
func (a Apps) After() int { return a.Page + 1 }

// App is the editor of an app; without an ID it makes one.
type App struct {
	WorkspaceID, Workspace string
	ID, Name, Description  string
	Mode, Tags, Author     string
	// Manages: what reaches the runtime may be changed, and not only seen.
	Manages             bool
	Runtime, RuntimeURL string
	DSL, HumanInput     bool
	// KeySet and Fingerprint tell of the key at the runtime; the key itself is never shown.
	KeySet      bool
	Fingerprint string
	API         bool
	MaxActive   string
	Access      string
	Archived    bool
	// Modes, Runtimes and Accesses are what can be chosen.
	Modes, Runtimes, Accesses []string
	Problems                  []Problem
	Done                      AppsDone
}

// At is the address that the form goes to.
func (a App) At() string {
	if a.ID == "" {
		return "/workspace/apps/new"
	}
	return "/workspace/apps/" + a.ID
}

// AppMember is somebody who can be let in. Chosen is on the list.
type AppMember struct {
	ID, Name, Email string
	Pending, Chosen bool
}

// AppAccess says who may use an app.
type AppAccess struct {
	ID, Name, Workspace, Access string
	Accesses                    []string
	Members                     []AppMember
	// Shown are the ids of Members as the form sends them back.
	Shown   string
	Page    int
	HasMore bool
	// Listed is how many the whole list names.
	Listed   int
	Problems []Problem
	Done     AppsDone
}

// Before is the page of members before this one.
func (a AppAccess) Before() int { return a.Page - 1 }

// After is the next page of members.
func (a AppAccess) After() int { return a.Page + 1 }

// RemoveApp asks once more.
type RemoveApp struct{ ID, Name string }

func (Apps) template() string      { return "apps" }
func (App) template() string       { return "app" }
func (AppAccess) template() string { return "app_access" }
func (RemoveApp) template() string { return "app_remove" }

// Optional is Field for one that may stay empty.
func (s scene) Optional(name, value, label, help string, problems []Problem) (input, error) {
	in, err := s.Field(name, "text", "off", value, label, "", problems)
	if err == nil && help != "" {
		in.Help, err = s.T(help)
	}
	return in, err
}

// choice is a select of one of few words.
type choice struct {
	input
	Options []option
}

type option struct {
	Value, Text string
	Chosen      bool
}

// Choice describes a select: its options are called prefix.value in the texts.
func (s scene) Choice(name, value, prefix, label, help string, options []string, problems []Problem) (choice, error) {
	in, err := s.Optional(name, value, label, help, problems)
	c := choice{input: in}
	for _, o := range options {
		var text string
		if err == nil {
			text, err = s.T(prefix + "." + o)
		}
		c.Options = append(c.Options, option{Value: o, Text: text, Chosen: o == value})
	}
	return c, err
}

// Word is the text of one of few words; one that nobody knows stands for itself.
func (s scene) Word(prefix, value string) template.HTML {
	text, err := s.T(prefix + "." + value)
	if err != nil {
		return s.Foreign(value)
	}
	return template.HTML(template.HTMLEscapeString(text)) //nolint:gosec // escaped here
}
