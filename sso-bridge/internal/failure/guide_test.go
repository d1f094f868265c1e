// SPDX-License-Identifier: Apache-2.0

package failure_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/page"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

const guide = "../../../docs/identity-providers/failures.md"

// docs/identity-providers/failures.md is generated: UPDATE=1 go test -run Guide ./sso-bridge/internal/failure
func TestTheGuideToFailuresIsUpToDate(t *testing.T) {
	text := guideText()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(guide, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != text {
		t.Error("failures.md is out of date: UPDATE=1 go test -run Guide ./sso-bridge/internal/failure")
	}
}

func TestGuide(t *testing.T) {
	for _, code := range failure.Codes() {
		t.Run("SSO-91 "+string(code)+" has a heading, a cause and a mend", func(t *testing.T) {
			e, ok := failure.About(code)
			if !ok || e.Cause == "" || e.Mend == "" || !slices.Contains(ssocode.Known(), e.Public) {
				t.Errorf("%+v", e)
			}
			if n := strings.Count(guideText(), "\n## "+string(code)+"\n"); n != 1 {
				t.Errorf("%d headings", n)
			}
		})
	}
	t.Run("SSO-91 a click path belongs to a code and a preset that there are", func(t *testing.T) {
		for code, paths := range clicks {
			if _, ok := failure.About(code); !ok {
				t.Errorf("no code is named %s", code)
			}
			for _, p := range paths {
				if _, ok := connection.PresetNamed(p.preset); !ok {
					t.Errorf("%s: no preset is named %s", code, p.preset)
				}
			}
		}
	})
	t.Run("SSO-91 the causes of core are those that its code names", func(t *testing.T) {
		var want []string
		for _, c := range ofCore {
			want = append(want, c.code)
		}
		if got := causesOfCore(t); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("core names %q, the guide %q", got, want)
		}
	})
	t.Run("SSO-91 a code of core is none of the bridge", func(t *testing.T) {
		for _, c := range ofCore {
			if _, ok := failure.About(failure.Code(c.code)); ok {
				t.Errorf("%s is in the catalogue", c.code)
			}
			if !slices.Contains(ssocode.Known(), c.public) {
				t.Errorf("%s: nobody reads %s", c.code, c.public)
			}
		}
	})
}

// causesOfCore reads core's source, which this service may not import: the constants by
// which an assertion is refused, a bridge is not heard and a subject gets no token. What
// the bridge explains as well is left out.
func causesOfCore(t *testing.T) []string {
	t.Helper()
	var causes []string
	for _, from := range []struct{ file, prefix string }{
		{"sso/complete.go", "cause"}, {"sso/bridge.go", "cause"}, {"token/mint.go", "Reason"},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "../../../core/internal/"+from.file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, from.prefix) {
				return true
			}
			if text, ok := spec.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
				cause, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				causes = append(causes, strings.TrimSuffix(cause, ":"))
			}
			return true
		})
	}
	causes = slices.DeleteFunc(causes, func(c string) bool { return c == string(failure.StoreUnavailable) })
	return slices.Sorted(slices.Values(causes))
}

func guideText() string {
	var b strings.Builder
	b.WriteString(`# When a sign-in fails

Generated from the catalogue of the code; a test compares the two. The person reads one of a few sentences and a reference. With the reference,
` + "`sso-bridge attempts show REFERENCE`" + ` says the code, what was expected and what came; the audit and the log carry the same.

Two rules help with most of them: what is compared is compared byte by byte, case and final slash included; and
` + "`sso-bridge connection test ID`" + ` shows every check on one page, without letting anybody in.
`)
	for _, code := range failure.Codes() {
		e, _ := failure.About(code)
		entry(&b, string(code), e.Public, e.Cause, e.Mend, e.Fields)
		for _, p := range clicks[code] {
			preset, _ := connection.PresetNamed(p.preset)
			fmt.Fprintf(&b, "- **%s** (`%s`): %s\n", preset.Title, p.preset, p.path)
		}
	}
	b.WriteString("\n# Causes that core finds\n\nThese stand in core's audit and log, under the same reference where there is one.\n")
	for _, c := range ofCore {
		entry(&b, c.code, c.public, c.cause, c.mend, c.fields)
	}
	return b.String()
}

func entry(b *strings.Builder, code string, public ssocode.Code, cause, mend string, fields []string) {
	fmt.Fprintf(b, "\n## %s\n\nThe person reads: “%s” (`%s`)\n\n- What has happened: %s\n- What to do: %s\n", code, public.Text(page.English), public, cause, mend)
	if len(fields) > 0 {
		fmt.Fprintf(b, "- It comes with: `%s`\n", strings.Join(fields, "`, `"))
	}
}
