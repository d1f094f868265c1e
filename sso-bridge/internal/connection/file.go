// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// The limits of the connections file.
const (
	fileVersion    = 1
	maxFile        = 1 << 20 // bytes
	maxConnections = 500
)

// FileProblem is one thing that is wrong in the connections file. Text never holds a
// value of the file.
type FileProblem struct {
	Path         string // such as connections[1].oidc.issuer; empty for the whole file
	Line, Column int    // from 1; 0 when the file has no such place
	Text         string
}

// FileError is everything that is wrong in the connections file, in its order.
type FileError []FileProblem

// Error gives one line per problem.
func (e FileError) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// String gives the problem with its place.
func (p FileProblem) String() string {
	place := p.Path
	if place == "" {
		place = "connections file"
	}
	if p.Line > 0 {
		place += fmt.Sprintf(" (line %d, column %d)", p.Line, p.Column)
	}
	return place + ": " + p.Text
}

// ParseFile reads the connections file, CONNECTIONS_FILE: YAML with the version and the
// connections. readFile reads the files that it names. Each member is judged and all
// problems are reported together, as a FileError; nothing is declared then. An empty file
// declares nothing, and is refused: too much would end with it.
func ParseFile(content []byte, readFile func(string) ([]byte, error)) ([]Declaration, error) {
	if len(content) > maxFile || !utf8.Valid(content) {
		return nil, FileError{{Text: "must be UTF-8 of at most 1 MiB"}}
	}
	doc, err := readDocument(content)
	if err != nil {
		return nil, err
	}
	f := file{doc: doc, readFile: readFile, parse: idpmetadata.Parse}
	declared := f.read()
	if len(f.problems) > 0 {
		return nil, f.sorted()
	}
	return declared, nil
}

// file is one reading of the connections file.
type file struct {
	doc      document
	readFile func(string) ([]byte, error)
	parse    func(text []byte, want string, now time.Time) (idpmetadata.IdP, idpmetadata.Terms, error)
	problems FileError
}

// say notes a problem at a path, with the place of the path or of what is around it.
func (f *file) say(text string, loc ...any) {
	p := FileProblem{Path: pathOf(loc), Text: text}
	for n := len(loc); n >= 0; n-- {
		if at, ok := f.doc.places[pathOf(loc[:n])]; ok {
			p.Line, p.Column = at.line, at.column
			break
		}
	}
	f.problems = append(f.problems, p)
}

func (f *file) sorted() FileError {
	slices.SortStableFunc(f.problems, func(a, b FileProblem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return f.problems
}

func (f *file) details(list []detail, before ...any) {
	for _, d := range list {
		text := d.Msg
		if d.Type == "extra_forbidden" {
			text = "is not known here"
		}
		f.say(text, append(slices.Clip(before), d.Loc...)...)
		if name, ok := lastName(d.Loc); d.Type == "extra_forbidden" && ok && !memberForm.MatchString(name) {
			// What is no name may be a value that slipped, perhaps a secret.
			last := &f.problems[len(f.problems)-1]
			last.Path = strings.TrimSuffix(last.Path, name) + "…"
		}
	}
}

var memberForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

func lastName(loc []any) (string, bool) {
	if len(loc) == 0 {
		return "", false
	}
	name, ok := loc[len(loc)-1].(string)
	return name, ok
}

func (f *file) read() []Declaration {
	var top struct {
		Version     *int              `json:"version"`
		Connections []json.RawMessage `json:"connections"`
	}
	if err := wire.JSON(f.doc.json, &top, wire.Refuse); err != nil {
		f.refused(err)
		return nil
	}
	if top.Version == nil || *top.Version != fileVersion {
		f.say("must be 1", "version")
	}
	if top.Connections == nil {
		f.say("is missing; an empty list declares none", "connections")
	}
	if len(top.Connections) > maxConnections {
		f.say("at most 500", "connections")
		return nil
	}
	declared := make([]Declaration, 0, len(top.Connections))
	for i, raw := range top.Connections {
		if d, ok := f.connection(i, raw); ok {
			f.against(declared, d, i)
			declared = append(declared, d)
		}
	}
	return declared
}

// refused notes a refusal of the decoder.
func (f *file) refused(err error, before ...any) {
	list := detailsOf(shaped(err))
	if len(list) == 0 {
		f.say("must be a mapping, nested at most 32 deep, of plain text", before...)
	}
	f.details(list, before...)
}

func (f *file) connection(i int, raw json.RawMessage) (Declaration, bool) {
	at := []any{"connections", i}
	var s shape
	if err := wire.JSON(raw, &s, wire.Refuse); err != nil {
		f.refused(err, at...)
		return Declaration{}, false
	}
	r := resolver{readFile: f.readFile, parse: f.parse}
	c := r.content(s)
	d := Declaration{
		ID: c.ID, Name: c.Name, Button: c.Button, Listed: c.Listed, Default: c.Default, Position: c.Position, Intents: c.Intents,
		Config: c.Config, Secrets: c.Secrets, SecretsInFiles: r.inFiles, Enable: EnableTested,
	}
	set(&d.Enable, s.Enable)
	set(&d.Reason, s.Reason)
	set(&d.TakeOverIssuer, s.TakeOverIssuer)
	r.when(!oneOf(d.Enable, EnableTested, EnableForce), "tested or force", "enable")
	r.when(d.Enable == EnableForce && strings.TrimSpace(d.Reason) == "", "is missing: why no test is asked for", "reason")
	r.when(d.Enable == EnableTested && d.Reason != "", "goes with enable: force", "reason")
	r.when(s.TakeOverIssuer != nil && strings.TrimSpace(d.TakeOverIssuer) == "", "is the reason, and empty", "take_over_issuer")
	r.when(len([]rune(d.Reason)) > maxReason, "at most 255 characters", "reason")
	r.when(len([]rune(d.TakeOverIssuer)) > maxReason, "at most 255 characters", "take_over_issuer")
	r.complete(d)
	f.details(r.problems, at...)
	return d, len(r.problems) == 0
}

// complete asks for what no sign-in works without. An administrator may add it later,
// the file has nobody to ask.
func (r *resolver) complete(d Declaration) {
	missing := func(value string, loc ...any) {
		if value == "" && !slices.ContainsFunc(r.problems, func(had detail) bool { return strings.HasPrefix(pathOf(had.Loc), pathOf(loc)) }) {
			r.add("is missing", loc...)
		}
	}
	switch c := d.Config; {
	case c.OIDC != nil && c.OIDC.Auth == AuthKey:
		missing(c.OIDC.ClientID, "oidc", "client_id")
		missing(d.Secrets.PrivateKey.Reveal(), "oidc", "private_key")
	case c.OIDC != nil:
		missing(c.OIDC.ClientID, "oidc", "client_id")
		missing(d.Secrets.ClientSecret.Reveal(), "oidc", "client_secret")
	case c.OAuth2 != nil:
		missing(c.OAuth2.ClientID, "oauth2", "client_id")
		missing(d.Secrets.ClientSecret.Reveal(), "oauth2", "client_secret")
	case c.SAML != nil && c.SAML.IdP == nil && !slices.ContainsFunc(r.problems, ofFacts):
		missing(c.SAML.MetadataURL, "saml", "metadata_url")
	}
}

// ofFacts reports whether a problem is one of a provider's facts, which are there then.
func ofFacts(had detail) bool {
	return len(had.Loc) > 1 && had.Loc[0] == "saml" && slices.Contains([]any{"metadata", "metadata_file", "idp"}, had.Loc[1])
}

// against judges a declaration beside those before it.
func (f *file) against(before []Declaration, d Declaration, i int) {
	issuers := d.Config.Issuers(d.ID)
	for _, other := range before {
		if other.ID == d.ID {
			f.say("is declared twice", "connections", i, "id")
			continue
		}
		if other.Default && d.Default {
			f.say("is the default already: connection "+other.ID, "connections", i, "default")
		}
		for n, domain := range d.Config.Domains {
			if slices.Contains(other.Config.Domains, domain) {
				f.say("belongs to connection "+other.ID, "connections", i, "domains", n)
			}
		}
		if slices.ContainsFunc(other.Config.Issuers(other.ID), func(s string) bool { return slices.Contains(issuers, s) }) {
			f.say("belongs to connection "+other.ID, append([]any{"connections", i}, d.Config.issuerPath()...)...)
		}
	}
}
