// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// exception is a vulnerability that is answered by our own code, for as long as there is no
// release without it.
type exception struct {
	id      string
	why     string
	answers []string // ids of the tests that show the answer
}

var exceptions = []exception{{
	id:  "GO-2026-6909",
	why: "crewjam/saml reads no identity here: pkg samlsp has a reader of its own, and calls the library behind a recover",
	// A name of a foreign namespace, a doubled one, an absent issuer or subject, what panics.
	answers: []string{"SAML-12", "SAML-13", "SAML-40", "SAML-41", "SAML-46"},
}}

// judge says what was found, and what of it has no answer. A function that is called, or a
// package that is imported, with a known vulnerability is a problem; a module of which only
// other packages are concerned is said.
func judge(findings []finding, exceptions []exception, tests map[string]bool) (said, problems []string) {
	found := map[string]finding{}
	for _, f := range findings {
		// One vulnerability comes once for its module, its package and each call.
		if old, ok := found[f.OSV]; !ok || depth(f) > depth(old) {
			found[f.OSV] = f
		}
	}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		f := found[id]
		what := fmt.Sprintf("%s in %s %s (%s)", id, f.Trace[0].Module, f.Trace[0].Version, []string{"of the module", "imported", "called"}[depth(f)])
		i := slices.IndexFunc(exceptions, func(e exception) bool { return e.id == id })
		switch {
		case i >= 0 && f.Fixed != "":
			problems = append(problems, fmt.Sprintf("%s is mended in %s: take that release and the exception away", what, f.Fixed))
		case i >= 0:
			said = append(said, what+": "+exceptions[i].why)
		case depth(f) == 0:
			said = append(said, what+": nothing here imports the package")
		case f.Fixed != "":
			problems = append(problems, fmt.Sprintf("%s: take %s", what, f.Fixed))
		default:
			problems = append(problems, what+": there is no release without it")
		}
	}
	for _, e := range exceptions {
		if _, ok := found[e.id]; !ok {
			problems = append(problems, e.id+" is not found any more: take its exception away")
		}
		problems = append(problems, unanswered(e, tests)...)
	}
	return said, problems
}

// unanswered says which tests of an exception are gone.
func unanswered(e exception, tests map[string]bool) (problems []string) {
	for _, id := range e.answers {
		if !tests[id] {
			problems = append(problems, fmt.Sprintf("%s is answered by %s, and no test of that name is left", e.id, id))
		}
	}
	return problems
}

func depth(f finding) int {
	switch t := f.Trace[0]; {
	case t.Function != "":
		return 2
	case t.Package != "":
		return 1
	}
	return 0
}

var leading = regexp.MustCompile("[\"`]((?:[A-Z]+-[0-9]+ )+)")

// namedTests are the ids with which names of tests begin in the bridge.
func namedTests(root string) (map[string]bool, error) {
	ids := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(root, "sso-bridge"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // of the repository
		for _, m := range leading.FindAllSubmatch(content, -1) {
			for id := range strings.FieldsSeq(string(m[1])) {
				ids[id] = true
			}
		}
		return err
	})
	return ids, err
}
