// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// The limits of an app's members.
const (
	MaxName        = 255
	MaxDescription = 4000
	MaxTags        = 20
	MaxTag         = 100
	MaxAuthor      = 255
	MaxAddress     = 2048
	MaxKey         = 512
	MaxConfig      = 64 << 10 // bytes, as it is kept
	MaxActiveRuns  = 1_000_000
	MaxAllowed     = 1000
)

// The names of an app's members, as they are on the wire, in the audit trail and in
// declarations.
const (
	memberName        = "name"
	memberDescription = "description"
	memberMode        = "mode"
	memberTags        = "tags"
	memberAuthor      = "author"
	memberRuntime     = "runtime"
	memberURL         = "runtime_url"
	memberConfig      = "runtime_config"
	memberFeatures    = "runtime_features"
	memberEnabled     = "api_enabled"
	memberAccess      = "access_mode"
	memberMaxActive   = "max_active_requests"
	memberStatus      = "status"
	memberKey         = "runtime_key"
	memberAllowed     = "allowed"
)

// problems collects what does not hold, under a path.
type problems struct {
	*wire.Problems
	at []any
}

func (p problems) add(msg string, loc ...any) {
	p.Add("value_error", msg, slices.Concat(p.at, loc)...)
}

// settle gives an app as a change leaves it, each member in the form in which it is kept,
// and notes what does not hold. What does not change is not judged again: rules may have
// become narrower since. An editor's app may have no address yet: who manages gives it one.
func (r *Registry) settle(a App, c Change, manages bool, p problems) App {
	if c.Name != nil {
		a.Name = p.line(*c.Name, MaxName, memberName)
	}
	if c.Description != nil {
		a.Description = p.prose(*c.Description, MaxDescription, memberDescription)
	}
	if c.Mode != nil {
		if a.Mode = *c.Mode; !a.Mode.Known() {
			p.add("must be chat, agent-chat, advanced-chat, completion, workflow, agent, channel or rag-pipeline", memberMode)
		}
	}
	if c.Tags != nil {
		a.Tags = p.tags(*c.Tags)
	}
	if c.Author != nil {
		if a.Author = strings.TrimSpace(*c.Author); a.Author != "" {
			a.Author = p.line(a.Author, MaxAuthor, memberAuthor)
		}
	}
	r.settleRuntime(&a, c, manages, p)
	if c.Features != nil {
		a.Features = *c.Features
	}
	if c.APIEnabled != nil {
		a.APIEnabled = *c.APIEnabled
	}
	if c.Access != nil && *c.Access != a.Access {
		a.Access = *c.Access
		switch {
		case !a.Access.Known():
			p.add("must be internal, internal_all, sso_verified or public", memberAccess)
		case a.Access.External() && !r.Enterprise:
			p.add("lets people without an account in, and is of the Enterprise Edition alone: choose internal_all or internal", memberAccess)
		}
	}
	if c.MaxActive != nil {
		if a.MaxActive = *c.MaxActive; a.MaxActive < 0 || a.MaxActive > MaxActiveRuns {
			p.add("must be 0, which takes the installation's default, or at most 1000000", memberMaxActive)
		}
	}
	if c.Status != nil {
		if a.Status = *c.Status; a.Status != StatusNormal && a.Status != StatusArchived {
			p.add("must be normal or archived", memberStatus)
		}
	}
	return a
}

// settleRuntime is settle for what reaches an app's runtime.
func (r *Registry) settleRuntime(a *App, c Change, manages bool, p problems) {
	before := a.RuntimeURL
	if c.RuntimeURL != nil {
		a.RuntimeURL = address(*c.RuntimeURL)
	}
	if c.Runtime != nil {
		if a.Runtime = *c.Runtime; a.Runtime != RuntimeDify && a.Runtime != RuntimeEcho {
			p.add("must be dify or echo", memberRuntime)
		}
		if a.Runtime == RuntimeEcho && c.RuntimeURL == nil {
			a.RuntimeURL = "" // it is reached nowhere
		}
	}
	switch {
	case a.Runtime == RuntimeEcho:
		if a.RuntimeURL != "" {
			p.add("must be empty: the echo runtime is reached nowhere", memberURL)
		}
	case a.RuntimeURL == "":
		if manages && (c.Runtime != nil || before != "") {
			p.Add("missing", "must be the base address of the app's runtime", slices.Concat(p.at, []any{memberURL})...)
		}
	case a.RuntimeURL != before:
		if err := wellFormed(a.RuntimeURL); err != nil {
			p.add(err.Error(), memberURL)
		} else if err := r.Acceptable(a.RuntimeURL); err != nil {
			p.add("is not called: "+err.Error(), memberURL)
		}
	}
	if c.RuntimeConfig != nil {
		kept, err := config(*c.RuntimeConfig)
		if a.RuntimeConfig = kept; err != nil {
			p.add(err.Error(), memberConfig)
		}
	}
}

func (p problems) line(s string, most int, loc ...any) string {
	kept, ok := canon.Text(s, most)
	switch {
	case ok:
	case strings.TrimSpace(s) == "":
		p.Add("missing", "must not be empty", slices.Concat(p.at, loc)...)
	case utf8.RuneCountInString(s) > most:
		p.add("is too long", loc...)
	default:
		p.add("has characters that nobody sees, or that a name cannot have", loc...)
	}
	return kept
}

// prose takes a text of several lines, which may be empty. A browser ends lines in its own
// way, which is no change.
func (p problems) prose(s string, most int, loc ...any) string {
	s = norm.NFC.String(strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")))
	if utf8.RuneCountInString(s) > most {
		p.add("is too long", loc...)
		return s
	}
	for line := range strings.SplitSeq(s, "\n") {
		if line = strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")); line == "" {
			continue
		}
		if _, ok := canon.Text(line, most); !ok {
			p.add("has characters that nobody sees, or that a text cannot have", loc...)
			break
		}
	}
	return s
}

// NoTag are the signs that no tag has: tags are kept as a JSON text and sought in it, and
// people write several with commas between.
const NoTag = `,"\`

// tags judges names by which apps are found.
func (p problems) tags(list []string) []string {
	kept := make([]string, 0, len(list))
	if len(list) > MaxTags {
		p.add("must be at most 20", memberTags)
		return kept
	}
	for i, s := range list {
		tag := p.line(s, MaxTag, memberTags, i)
		switch {
		case strings.ContainsAny(tag, NoTag):
			p.add("must not have a comma, a quotation mark or a backslash", memberTags, i)
		case tag != "" && slices.Contains(kept, tag):
			p.add("is there twice", memberTags, i)
		default:
			kept = append(kept, tag)
		}
	}
	return kept
}

// address brings a base address to one form, which is its own. Dify shows it with the
// version of its API at the end, which every call adds.
func address(s string) string {
	s = strings.TrimRight(strings.TrimSpace(s), "/")
	for strings.HasSuffix(s, "/v1") {
		s = strings.TrimRight(strings.TrimSuffix(s, "/v1"), "/")
	}
	return s
}

// origin is where calls of a base address go: scheme, host and port. It is empty for none;
// what is no address is its own.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

var (
	errLongAddress = errors.New("is too long")
	errAddress     = errors.New("must be an http or https address")
	errParts       = errors.New("must have no user, no query and no fragment")
	errConfig      = errors.New("must be a JSON object")
	errLongConfig  = errors.New("must be at most 64 KiB")
)

// wellFormed judges what every runtime's address has to be.
func wellFormed(s string) error {
	if len(s) > MaxAddress {
		return errLongAddress
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Opaque != "", !printable(s):
		return errAddress
	case u.User != nil, u.RawQuery != "", u.ForceQuery, strings.Contains(s, "#"):
		return errParts
	}
	return nil
}

// config brings a JSON object to one form, in which two that say the same are the same
// bytes. Empty is none.
func config(s string) (string, error) {
	if s = strings.TrimSpace(s); s == "" {
		return "", nil
	}
	if len(s) > 2*MaxConfig { // white space apart, it is judged as it is kept
		return s, errLongConfig
	}
	var object map[string]any
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(&object); err != nil || object == nil {
		return s, errConfig // a decoder's error repeats what it was given
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return s, errConfig
	}
	if kept := asJSON(object); len(kept) <= MaxConfig {
		return kept, nil
	}
	return s, errLongConfig
}

// asJSON encodes what always does, without the escapes that HTML asks for.
func asJSON(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n")
}

// judgeKey notes what is wrong with a key, which may be empty. It is said that it is not
// valid, never what it is.
func (p problems) judgeKey(key secret.Text) {
	s := key.Reveal()
	switch {
	case s == "":
	case utf8.RuneCountInString(s) > MaxKey:
		p.add("is too long", memberKey)
	case !printable(s):
		p.add("has spaces, or characters that a key cannot have", memberKey)
	}
}

// printable reports a text of printable ASCII; a header's value takes no other.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsPrint(r) || r == ' '
	})
}

// differences names the members in which two states of an app differ, other than its key
// and who may use it.
func differences(a, b App) (names []string) {
	for _, m := range []struct {
		name string
		same bool
	}{
		{memberName, a.Name == b.Name},
		{memberDescription, a.Description == b.Description},
		{memberMode, a.Mode == b.Mode},
		{memberTags, slices.Equal(a.Tags, b.Tags)},
		{memberAuthor, a.Author == b.Author},
		{memberRuntime, a.Runtime == b.Runtime},
		{memberURL, a.RuntimeURL == b.RuntimeURL},
		{memberConfig, a.RuntimeConfig == b.RuntimeConfig},
		{memberFeatures, a.Features == b.Features},
		{memberEnabled, a.APIEnabled == b.APIEnabled},
		{memberMaxActive, a.MaxActive == b.MaxActive},
		{memberStatus, a.Status == b.Status},
	} {
		if !m.same {
			names = append(names, m.name)
		}
	}
	return names
}
