// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/openapi"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/core/internal/token"
)

// apiPage writes docs/reference/api.md: the document as somebody reads it who is about to
// write a client.
type apiPage struct {
	bytes.Buffer
	t         *testing.T
	doc       openapi.Document
	community openapi.Document
	examples  rawExamples
	rows      []row
	// everywhere are the failures that each route may answer, ofClass those of each route of
	// a class of caller.
	everywhere []string
	ofClass    map[caller][]string
}

func TestReferenceOfOperations(t *testing.T) {
	p := &apiPage{t: t, rows: slices.DeleteFunc((&api{Deps: Deps{SSO: &sso.Service{}}}).table(), func(r row) bool { return !InDocument(r.path) })}
	p.read(&p.doc, true)
	p.read(&p.examples, true)
	p.read(&p.community, false)
	p.common()
	p.intro()
	for _, tag := range p.doc.Tags {
		fmt.Fprintf(p, "\n## %s\n\n%s\n", tag.Name, tag.Description)
		for _, r := range p.rows {
			if tagOf(r.path) == tag.Name {
				p.operation(r)
			}
		}
	}
	p.objects()
	compareReference(t, "api.md", p.Bytes())
}

// rawExamples are the document's examples with their members in its order.
type rawExamples struct {
	Paths map[string]map[string]struct {
		RequestBody rawContent
		Responses   map[string]rawContent
	}
}

type rawContent struct {
	Content map[string]struct{ Example stdjson.RawMessage }
}

func (p *apiPage) read(doc any, enterprise bool) {
	p.t.Helper()
	raw, err := Document(&url.URL{Scheme: "https", Host: "sso.example.com"}, "", enterprise)
	if err == nil {
		err = stdjson.Unmarshal(raw, doc)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// codesOf are the failures of a row as "404 app_not_found".
func (p *apiPage) codesOf(r row) (list []string) {
	for status, res := range p.find(r).Responses {
		if status < "300" {
			continue
		}
		for _, code := range p.codes(p.response(res)) {
			list = append(list, status+" "+code)
		}
	}
	slices.Sort(list)
	return list
}

// codes are the values of code and error that the schemas of a failure allow.
func (p *apiPage) codes(res *openapi.Response) (list []string) {
	var walk func(s *openapi.Schema)
	walk = func(s *openapi.Schema) {
		for _, name := range []string{"code", "error"} {
			if m := s.Properties[name]; m != nil {
				for _, v := range m.Enum {
					list = append(list, fmt.Sprint(v))
				}
			}
		}
		for _, one := range slices.Concat(s.AllOf, s.OneOf) {
			walk(one)
		}
	}
	walk(res.Content[json].Schema)
	return list
}

func (p *apiPage) find(r row) *openapi.Operation {
	return p.doc.Paths[template(r.path)][strings.ToLower(r.method)]
}

func (p *apiPage) response(res *openapi.Response) *openapi.Response {
	if res.Ref == "" {
		return res
	}
	return p.doc.Components.Responses[nameOf(res.Ref)]
}

func nameOf(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

// common finds what need not be said of each route again.
func (p *apiPage) common() {
	count, classes, of := map[string]int{}, map[caller]int{}, map[caller]map[string]int{}
	for _, r := range p.rows {
		classes[r.caller]++
		if of[r.caller] == nil {
			of[r.caller] = map[string]int{}
		}
		for _, code := range p.codesOf(r) {
			count[code]++
			of[r.caller][code]++
		}
	}
	p.ofClass = map[caller][]string{}
	for code, n := range count {
		if n == len(p.rows) {
			p.everywhere = append(p.everywhere, code)
		}
	}
	slices.Sort(p.everywhere)
	for class, codes := range of {
		if classes[class] < 5 {
			continue // too few to be a rule
		}
		for code, n := range codes {
			if n == classes[class] && !slices.Contains(p.everywhere, code) {
				p.ofClass[class] = append(p.ofClass[class], code)
			}
		}
		slices.Sort(p.ofClass[class])
	}
}

func (p *apiPage) intro() {
	p.WriteString(apiIntro)
	classes := []struct {
		class caller
		text  string
	}{{bearer, "behind a bearer"}, {cookieRead, "that reads by a console session"}, {cookieWrite, "that writes by a console session"}}
	fmt.Fprintf(p, "Every route may answer %s; every one ", p.list(p.everywhere))
	for i, c := range classes {
		if i > 0 {
			p.WriteString("; one ")
		}
		fmt.Fprintf(p, "%s %s", c.text, p.list(p.ofClass[c.class]))
	}
	p.WriteString(". Below are the others.\n\n## Operations\n\n")
	for _, tag := range p.doc.Tags {
		fmt.Fprintf(p, "- [%s](#%s)\n", tag.Name, slug(tag.Name))
		for _, r := range p.rows {
			if tagOf(r.path) == tag.Name {
				fmt.Fprintf(p, "  - [%s](#%s)%s: %s\n", heading(r), slug(heading(r)), p.edition(r), p.find(r).Summary)
			}
		}
	}
	p.WriteString("- [Objects](#objects)\n")
}

func (p *apiPage) list(codes []string) string {
	var out []string
	for _, c := range codes {
		status, code, _ := strings.Cut(c, " ")
		out = append(out, status+" `"+code+"`")
	}
	return strings.Join(out, ", ")
}

func (p *apiPage) edition(r row) string {
	if p.community.Paths[template(r.path)][strings.ToLower(r.method)] == nil {
		return " *EE*"
	}
	return ""
}

func heading(r row) string { return r.method + " " + strings.TrimPrefix(template(r.path), base) }

var notOfSlug = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)

func slug(heading string) string {
	return strings.ReplaceAll(notOfSlug.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

func (p *apiPage) operation(r row) {
	op := p.find(r)
	fmt.Fprintf(p, "\n### %s\n\n%s.%s\n\n", heading(r), strings.TrimSuffix(op.Summary, "."), p.edition(r))
	fmt.Fprintf(p, "- Who: %s\n", p.who(r))
	if names := r.asked(); len(names) > 0 {
		var limits []string
		for _, n := range names {
			limits = append(limits, "`"+string(n)+"`")
		}
		if slices.Contains(r.about.fails, run.ErrBusy) {
			limits = append(limits, "the runs that the app may have at once (429 `too_many_requests`, `Retry-After: 5`)")
		}
		fmt.Fprintf(p, "- Limits: %s\n", strings.Join(limits, ", "))
	}
	if len(r.media) > 0 {
		strict := "members that nobody knows are ignored"
		if r.about.strict {
			strict = "a member that nobody knows is refused"
		}
		if r.unread {
			strict = "exactly one part; the settings say how large it may be"
		}
		fmt.Fprintf(p, "- Body: `%s` of at most %s; %s\n", strings.Join(r.media, "` or `"), sizeOf(r.body), strict)
	}
	if len(op.Parameters) > 0 {
		p.WriteString("\n| Parameter | In | Type | Says |\n| --- | --- | --- | --- |\n")
		for _, q := range op.Parameters {
			fmt.Fprintf(p, "| `%s`%s | %s | %s | %s |\n", q.Name, star(q.Required), q.In, p.typeOf(q.Schema), orDash(q.Description))
		}
	}
	if op.Body != nil {
		p.members("Member of the body", op.Body.Content[r.media[0]].Schema)
	}
	fmt.Fprintf(p, "\n```sh\n%s\n```\n", p.curl(r, op))
	p.answers(r, op)
	p.failures(r)
}

func sizeOf(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

func star(required bool) string {
	if required {
		return " *"
	}
	return ""
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// who says in words whom a row serves.
func (p *apiPage) who(r row) string {
	if r.caller != bearer {
		if credential, ok := strings.CutPrefix(credentials[r.caller], "none"); ok {
			return "anybody" + credential
		}
		return credentials[r.caller]
	}
	who := "a bearer of an account, or of somebody without one (*EE*)"
	switch {
	case slices.Equal(r.rule.Subjects, accountsOnly):
		who = "a bearer of an account"
	case slices.Equal(r.rule.Subjects, externalOnly):
		who = "a bearer of somebody without an account"
	}
	if r.rule.Scope != "" {
		who += ", with the scope `" + string(r.rule.Scope) + "`"
	}
	if r.rule.Or != "" {
		who += " or `" + string(r.rule.Or) + "`"
	}
	return who + place(r.rule)
}

func place(rule authz.Rule) string {
	var roles []string
	for _, r := range rule.Roles {
		roles = append(roles, string(r))
	}
	switch {
	case len(roles) > 0:
		return ", whose role in the workspace is " + strings.Join(roles, " or ")
	case rule.Workspace:
		return ", who is a member of the workspace"
	case rule.App && slices.Contains(rule.Subjects, token.SubjectAccount):
		return ", whom the app's access mode lets in; an account is a member of the app's workspace too"
	case rule.App:
		return ", whom the app's access mode lets in"
	}
	return ""
}

// failures lists what holds of this route and not of all of its kind.
func (p *apiPage) failures(r row) {
	own := slices.DeleteFunc(p.codesOf(r), func(c string) bool {
		return slices.Contains(p.everywhere, c) || slices.Contains(p.ofClass[r.caller], c)
	})
	if len(own) == 0 {
		return
	}
	p.WriteString("\n| Failure | When |\n| --- | --- |\n")
	for _, c := range own {
		status, code, _ := strings.Cut(c, " ")
		when := whens[code]
		if when == "" {
			p.t.Errorf("%s: nobody says when it is answered (whens)", code)
		}
		fmt.Fprintf(p, "| %s `%s` | %s |\n", status, code, when)
	}
}

// answers shows what a success has, and an example of it.
func (p *apiPage) answers(r row, op *openapi.Operation) {
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if status > "299" {
			continue
		}
		res := op.Responses[status]
		for _, media := range slices.SortedFunc(maps.Keys(res.Content), func(x, y string) int { return strings.Compare(y, x) }) {
			m := res.Content[media]
			if media == eventStream {
				fmt.Fprintf(p, "\n%s, [events](#events-of-a-run):\n\n```text\n%s\n```\n", status, strings.TrimRight(m.Example.(string), "\n"))
				continue
			}
			what := ""
			if len(res.Content) > 1 {
				what = " with `response_mode` `blocking`"
			}
			var of string
			if of = p.typeOf(m.Schema); of == "object" {
				of = "an object"
			}
			fmt.Fprintf(p, "\n%s%s, %s:\n\n```json\n%s\n```\n", status, what, of, p.indented(p.examples.Paths[template(r.path)][strings.ToLower(r.method)].Responses[status].Content[media].Example))
		}
	}
	if len(slices.DeleteFunc(slices.Collect(maps.Keys(op.Responses)), func(s string) bool { return s > "299" })) == 0 {
		p.WriteString("\nIt has no success in this version.\n")
	}
}

func (p *apiPage) indented(raw []byte) string {
	p.t.Helper()
	var b bytes.Buffer
	if err := stdjson.Indent(&b, raw, "", "  "); err != nil {
		p.t.Fatal(err)
	}
	return b.String()
}

// objects describes what answers and bodies are made of.
func (p *apiPage) objects() {
	p.WriteString(apiEvents)
	p.WriteString("\n## Objects\n\nA member with * is always there, or has to be sent.\n")
	for _, name := range slices.Sorted(maps.Keys(p.doc.Components.Schemas)) {
		s := p.doc.Components.Schemas[name]
		fmt.Fprintf(p, "\n### %s\n", name)
		if len(s.Properties) == 0 {
			p.WriteString("\nAn empty object.\n")
			continue
		}
		p.table("Member", s)
	}
}

// members shows a body's, or refers to what they are.
func (p *apiPage) members(what string, s *openapi.Schema) {
	if s.Ref != "" {
		s = p.doc.Components.Schemas[nameOf(s.Ref)]
	}
	p.table(what, s)
}

func (p *apiPage) table(what string, s *openapi.Schema) {
	fmt.Fprintf(p, "\n| %s | Type | Says |\n| --- | --- | --- |\n", what)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		m := s.Properties[name]
		fmt.Fprintf(p, "| `%s`%s | %s | %s |\n", name, star(slices.Contains(s.Required, name)), p.typeOf(m), orDash(m.Description))
	}
}
