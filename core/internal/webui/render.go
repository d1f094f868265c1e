// SPDX-License-Identifier: Apache-2.0

package webui

import (
	"embed"
	"html/template"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/page"
)

//go:embed templates/*.html locales/*.json static/*
var files embed.FS

// Renderer renders views. It is safe for concurrent use; templates and texts are
// parsed on first use, so that a service starts without them.
type Renderer struct {
	host      string
	catalogue *page.Catalogue
	views     *page.Views
}

// New takes the public address, whose host every page shows.
func New(public *url.URL) *Renderer {
	return &Renderer{host: public.Host, catalogue: page.NewCatalogue(files, "locales"), views: page.NewViews(files, viewNames...)}
}

var viewNames = []string{
	"setup", "signin", "device_entry", "device_authorize", "device_outcome", "device_chooser", "sso_choose", "sso_continue", "sso_authorize", "sso_error", "sessions", "confirm_end", "security", "activate", "invite_signin", "invite_answer", "declined", "members", "member_edit", "member_remove", "apps", "app", "app_access", "app_remove", "failure",
}

// Render writes a page. Nothing is written when it cannot be made.
func (r *Renderer) Render(w io.Writer, f Frame, v View) error {
	return r.views.Render(w, v.template(), scene{Frame: f, V: v, Host: r.host, View: v.template(), catalogue: r.catalogue})
}

// scene is what templates see: the frame, the view and the words.
type scene struct {
	Frame
	V         View
	Host      string
	View      string
	catalogue *page.Catalogue
}

// T gives a message as text.
func (s scene) T(key string, args ...any) (string, error) {
	return s.catalogue.Text(s.Lang, key, args...)
}

// H gives a message whose text arguments are foreign: escaped, cut, and kept from
// turning the sentence around them. The message itself is ours.
func (s scene) H(key string, args ...any) (template.HTML, error) {
	safe := make([]any, len(args))
	copy(safe, args)
	for i := 1; i < len(safe); i += 2 {
		if text, ok := safe[i].(string); ok {
			safe[i] = "<bdi>" + template.HTMLEscapeString(Cut(text)) + "</bdi>"
		}
	}
	text, err := s.catalogue.Text(s.Lang, key, safe...)
	return template.HTML(text), err //nolint:gosec // the message is embedded, its arguments are escaped above
}

// maxForeign is how many characters of a foreign text a page shows.
const maxForeign = 64

// Cut shortens foreign text for view.
func Cut(s string) string {
	if runes := []rune(s); len(runes) > maxForeign {
		return string(runes[:maxForeign-1]) + "…"
	}
	return s
}

// Foreign gives foreign text in its own direction.
func (s scene) Foreign(text string) template.HTML { return s.Whole(Cut(text)) }

// Whole is foreign text whose end matters as much as its start: who somebody is.
func (scene) Whole(text string) template.HTML {
	return template.HTML("<bdi>" + template.HTMLEscapeString(text) + "</bdi>") //nolint:gosec // escaped here
}

// Short is foreign text for where no markup can stand.
func (scene) Short(text string) string { return Cut(text) }

// Role is what people call a role.
func (s scene) Role(role string) (string, error) { return s.T("role." + role) }

// Address shows a client's address; a long one breaks after its colons alone.
func (scene) Address(address string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(address), ":", ":<wbr>")) //nolint:gosec // escaped here
}

// Places are the pages that the navigation of a signed-in person leads to, in its order.
func (s scene) Places() []place {
	if s.Account == nil || !slices.Contains(navigated, s.View) {
		return nil
	}
	return places
}

// place is a page of the navigation: the view that it shows, its address and title.
type place struct{ View, Href, Title string }

var places = []place{
	{"sessions", "/account/sessions", "sessions.devices"},
	{"security", "/account/security", "security.title"},
	{"members", "/workspace/members", "members.title"},
	{"apps", "/workspace/apps", "apps.title"},
}

// navigated are the views that show the navigation. A page that asks something shows
// none: it is answered, not left.
var navigated = []string{"sessions", "security", "members", "apps"}

// Field describes an input for the template of that name: label and problem are
// texts, help may be empty.
func (s scene) Field(name, kind, complete, value, label, help string, problems []Problem) (input, error) {
	text, err := s.T(label)
	if err != nil {
		return input{}, err
	}
	problem, err := s.Problem(problems, name)
	return input{Name: name, Kind: kind, Complete: complete, Value: value, Label: text, Help: help, Problem: problem}, err
}

type input struct{ Name, Kind, Complete, Value, Label, Help, Problem string }

// Describes lists the texts that belong to the input, for those who hear the page.
func (i input) Describes() string {
	var ids []string
	if i.Help != "" {
		ids = append(ids, i.Name+"_help")
	}
	if i.Problem != "" {
		ids = append(ids, i.Name+"_err")
	}
	return strings.Join(ids, " ")
}

// Problem gives the message of a field's problem, or nothing.
func (s scene) Problem(problems []Problem, field string) (string, error) {
	for _, p := range problems {
		if p.Field == field {
			return s.catalogue.Text(s.Lang, p.Key, p.Args...)
		}
	}
	return "", nil
}

// ProblemText gives one problem's message.
func (s scene) ProblemText(p Problem) (string, error) {
	return s.catalogue.Text(s.Lang, p.Key, p.Args...)
}

// Age says how long ago something was, in plain words.
func (s scene) Age(at time.Time) (string, error) {
	age := s.Now.Sub(at)
	if age < time.Minute {
		return s.T("age.seconds", "count", max(0, int(age.Seconds())))
	}
	return s.T("age.minutes", "count", int(age.Minutes()))
}

// Date shows a moment to the minute, and in full to machines.
func (s scene) Date(at time.Time) template.HTML {
	return template.HTML(`<time datetime="` + s.Stamp(at) + `">` + at.UTC().Format("2006-01-02 15:04") + ` UTC</time>`) //nolint:gosec // digits alone
}

// Command shows what to type in a terminal.
func (scene) Command(text string) template.HTML {
	return template.HTML("<code>" + template.HTMLEscapeString(text) + "</code>") //nolint:gosec // escaped here
}

// Clock shows a moment of today.
func (scene) Clock(at time.Time) string { return at.UTC().Format("15:04") + " UTC" }

// Stamp is a moment for machines.
func (scene) Stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// SecondsTo counts whole seconds until a moment, never below zero: a browser's own
// clock may be wrong.
func (s scene) SecondsTo(at time.Time) int { return max(0, int(at.Sub(s.Now).Seconds())) }

// OtherLang is the language that the switch leads to.
func (s scene) OtherLang() string {
	if s.Lang == page.Chinese {
		return page.English
	}
	return page.Chinese
}
