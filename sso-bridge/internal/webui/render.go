// SPDX-License-Identifier: Apache-2.0

package webui

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/pkg/page"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

//go:embed templates/*.html locales/*.json static/*
var files embed.FS

// Deps is what a Renderer needs. Core is the origin to which people go back; Contact may
// be empty.
type Deps struct {
	Core    *url.URL
	Contact string
}

// Renderer renders views. It is safe for concurrent use; templates and texts are parsed
// on first use, so that a service starts without them.
type Renderer struct {
	Deps
	catalogue *page.Catalogue
	views     *page.Views
}

// New checks the dependencies.
func New(d Deps) (*Renderer, error) {
	if d.Core == nil {
		return nil, errors.New("webui: core's origin is required")
	}
	return &Renderer{Deps: d, catalogue: page.NewCatalogue(files, "locales"), views: page.NewViews(files, viewNames...)}, nil
}

// Frame is what surrounds every view.
type Frame struct {
	Lang string
	// Switch is this page's address in the other language; empty where it has none, since
	// what it answers cannot be asked again.
	Switch string
}

// View is one page.
type View interface{ template() string }

// Failure is the page of a public code. It shows no cause, no connection and no claim.
type Failure struct {
	Public    ssocode.Code
	Reference string    // empty where nothing was noted
	At        time.Time // zero where nothing was noted
	// Intent says where "begin again" leads; empty leads to the entry of device logins.
	Intent connection.Intent
	Wait   int // seconds, of a limit; 0 says nothing
}

// Test is the page of a connection test, with all that was found.
type Test struct{ login.Result }

// Leave is the page whose form takes a SAML request to the provider. It works without
// script; with it the form goes by itself. Post has the request, so the page is kept
// nowhere.
type Leave struct{ login.Destination }

func (Failure) template() string { return "failure" }
func (Test) template() string    { return "test" }
func (Leave) template() string   { return "leave" }

var viewNames = []string{"failure", "test", "leave"}

// Render writes a page. Nothing is written when it cannot be made.
func (r *Renderer) Render(w io.Writer, f Frame, v View) error {
	return r.views.Render(w, v.template(), scene{Frame: f, V: v, Contact: r.Contact, View: v.template(), r: r})
}

// scene is what templates see: the frame, the view and the words.
type scene struct {
	Frame
	V       View
	Contact string
	View    string
	r       *Renderer
}

// T gives a message as text.
func (s scene) T(key string, args ...any) (string, error) {
	return s.r.catalogue.Text(s.Lang, key, args...)
}

// Sentence is what a public code says.
func (s scene) Sentence(c ssocode.Code) string { return c.Text(s.Lang) }

// Host is core's, the product that people know.
func (s scene) Host() string { return s.r.Core.Host }

// Back is where a person of this intent begins again.
func (s scene) Back(i connection.Intent) string {
	switch i {
	case connection.AccountLogin:
		return s.r.Core.JoinPath("/signin").String()
	case connection.Test:
		return s.r.Core.JoinPath("/").String()
	}
	return s.r.Core.JoinPath("/device").String()
}

// Asset is the address of an embedded file.
func (scene) Asset(name string) (string, error) {
	hashed, ok := hashedName(name)
	if !ok {
		return "", fmt.Errorf("webui: no file is named %s", name)
	}
	return "/sso/static/" + hashed, nil
}

// Foreign gives foreign text in its own direction. What a test shows is bounded where it
// is made, so it is not cut here.
func (scene) Foreign(text string) template.HTML {
	return template.HTML("<bdi>" + template.HTMLEscapeString(text) + "</bdi>") //nolint:gosec // escaped here
}

// Date shows a moment to the minute, and in full to machines.
func (scene) Date(at time.Time) template.HTML {
	return template.HTML(`<time datetime="` + at.UTC().Format(time.RFC3339) + `">` + at.UTC().Format("2006-01-02 15:04") + ` UTC</time>`) //nolint:gosec // digits alone
}

// Seconds shows a clock's difference.
func (scene) Seconds(v *float64) string { return strconv.FormatFloat(*v, 'f', 1, 64) + " s" }

// OtherLang is the language that the switch leads to.
func (s scene) OtherLang() string {
	if s.Lang == page.Chinese {
		return page.English
	}
	return page.Chinese
}
