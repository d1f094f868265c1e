// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

func at(of string) string { return filepath.Join(root, filepath.FromSlash(of)) }

// The list fits the code: every place, skip and second line of it is there, every entry
// of a chain has tests. And every guard that was found has a line in the document.
func TestTheListFitsTheCode(t *testing.T) {
	guards, err := find(root)
	if err != nil {
		t.Fatal(err)
	}
	known, err := read(at(document))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range guards {
		if _, ok := known[g.name()]; !ok && g.second == "" {
			t.Errorf("%s: nobody has shown that a test notices when it is gone: go run ./test/guards -missing", g.name())
		}
	}
	// Written again it is the same: it holds no guard that is gone.
	again := filepath.Join(t.TempDir(), "guards.md")
	if err := write(again, guards, known); err != nil {
		t.Fatal(err)
	}
	was, _ := os.ReadFile(at(document))
	if is, _ := os.ReadFile(again); string(is) != string(was) {
		t.Errorf("%s holds guards that are gone, or in another order: go run ./test/guards -missing", document)
	}
}

// A guard that nothing reaches is noticed by no test: each has a line that names one, or
// says what else refuses the same, and the routers' own chains are on the list.
func TestEveryGuardIsReached(t *testing.T) {
	t.Run("SUP-05 a test notices when a guard is gone", func(t *testing.T) {
		guards, err := find(root)
		if err != nil {
			t.Fatal(err)
		}
		known, err := read(at(document))
		if err != nil {
			t.Fatal(err)
		}
		noticed, chains := 0, map[string]int{}
		for _, g := range guards {
			if known[g.name()] != "" {
				noticed++
			} else if g.second == "" {
				t.Errorf("%s is noticed by no test", g.name())
			}
			if strings.Contains(g.file, "/httpapi/") || strings.Contains(g.file, "/innerapi/") {
				chains[strings.Split(g.file, "/")[0]]++
			}
		}
		if noticed < 300 || chains["core"] == 0 || chains["sso-bridge"] == 0 {
			t.Errorf("%d guards are noticed; of routers: %v", noticed, chains)
		}
	})
}

// The tests that the document names exist.
func TestTheDocumentNamesTests(t *testing.T) {
	known, err := read(at(document))
	if err != nil || len(known) == 0 {
		t.Fatal(len(known), err)
	}
	sources := map[string]string{}
	for guard, test := range known {
		pkg, name, ok := strings.Cut(test, " ")
		if _, read := sources[pkg]; !read {
			files, _ := filepath.Glob(filepath.Join(at(pkg), "*_test.go"))
			for _, f := range files {
				text, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				sources[pkg] += string(text)
			}
		}
		name, _, _ = strings.Cut(name, "/")
		if !ok || !regexp.MustCompile(`(?m)^func `+regexp.QuoteMeta(name)+`\(`).MatchString(sources[pkg]) {
			t.Errorf("%s: there is no test %s", guard, test)
		}
	}
}

// What is done to a source, and what is left alone.
func TestGuardsOfASource(t *testing.T) {
	const source = `package x

func f(a, b int, err error) (bool, error) {
	if a > 1 || b < 2 {
		return false, nil
	}
	if a == 7 {
		b++
	}
	for range b {
		if err != nil {
			continue
		}
	}
	switch {
	case a == 3:
		return true, nil
	}
	return a == 1 && b == 2, nil
}

func (s *S) guards(r row) {
	chain := append(first, s.always)
	switch r.caller {
	case open:
		chain = append(chain, s.limit(r), flags...)
	}
	return append(chain, r.handle)
}
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	was := places
	t.Cleanup(func() { places = was })
	places = []place{{file: "x.go", funcs: "f"}, {file: "x.go", funcs: "guards", chain: true, entries: map[string][]suite{"s.limit": nil, "flags": nil}}}
	found, err := find(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	all := make([]int, len(found))
	for i, g := range found {
		names, all[i] = append(names, g.what), i
	}
	if got, want := strings.Join(names, ", "), "a > 1, b < 2, return a == 1, return b == 2, a == 3, open: s.limit(r), open: flags"; got != want {
		t.Fatalf("found %s, want %s", got, want)
	}
	text, chain := switched([]byte(source), found, all)
	for _, want := range []string{
		"if (guardOff != 1 && (a > 1)) || (guardOff != 2 && (b < 2)) {", "return (guardOff == 3 || (a == 1)) && (guardOff == 4 || (b == 2)), nil",
		"case (guardOff != 5 && (a == 3)):", "append(chain, guardUnless(6, s.limit(r)), guardsUnless(7, flags)...)", "if a == 7 {", "if err != nil {", "append(first, s.always)",
	} {
		if !chain || !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	places[1].entries = map[string][]suite{"flags": nil}
	if _, err := find(dir); err == nil || !strings.Contains(err.Error(), "s.limit") {
		t.Errorf("an entry that the list does not know: %v", err)
	}
}

// Of guards that are spelled alike one may be named by its number.
func TestTheSecondOfGuardsSpelledAlike(t *testing.T) {
	dir := t.TempDir()
	const source = "package x\n\nfunc f(ok bool) {\n\tif !ok {\n\t\treturn\n\t}\n\tif !ok {\n\t\treturn\n\t}\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	was := places
	t.Cleanup(func() { places = was })
	for key, want := range map[string]string{"f: !ok": "why why", "f: !ok (1)": "why ", "f: !ok (2)": " why"} {
		places = []place{{file: "x.go", funcs: "f", second: map[string]string{key: "why"}}}
		found, err := find(dir)
		if err != nil || len(found) != 2 || found[0].second+" "+found[1].second != want {
			t.Errorf("%s: %v, %v", key, found, err)
		}
	}
	places = []place{{file: "x.go", funcs: "f", second: map[string]string{"f: !ok (3)": "why"}}}
	if _, err := find(dir); err == nil {
		t.Error("a reason for a guard that is not there was passed over")
	}
}

func TestFirstFailure(t *testing.T) {
	for out, want := range map[string]string{
		"=== RUN   TestA\n=== RUN   TestA/b\n--- FAIL: TestA (0.1s)\n    --- FAIL: TestA/b (0.0s)\n--- FAIL: TestC (0s)\nFAIL\n": "TestA/b",
		"=== RUN   TestA\n--- PASS: TestA (0s)\n=== RUN   TestB\npanic: no\n":                                                    "TestB",
		"PASS\n": "",
	} {
		if got := firstFailure([]byte(out)); got != want {
			t.Errorf("%q gives %q, want %q", out, got, want)
		}
	}
}
