// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

// The one exception stands for as long as the tests that answer it.
func TestExceptionsAreAnswered(t *testing.T) {
	tests, err := namedTests("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exceptions {
		t.Run("SUP-01 the answers to "+e.id+" are there", func(t *testing.T) {
			for _, problem := range unanswered(e, tests) {
				t.Error(problem)
			}
			if len(unanswered(e, nil)) != len(e.answers) || len(e.answers) == 0 {
				t.Error("an exception without an answer passes")
			}
		})
	}
}

const stream = `{"config":{"db_last_modified":"2026-11-05T00:00:00Z"}}
{"osv":{"id":"GO-1"}}
{"finding":{"osv":"GO-1","trace":[{"module":"example.com/a","version":"v1.0.0"}]}}
{"finding":{"osv":"GO-2","fixed_version":"v1.2.0","trace":[{"module":"example.com/b","version":"v1.1.0"}]}}
{"finding":{"osv":"GO-2","fixed_version":"v1.2.0","trace":[{"module":"example.com/b","version":"v1.1.0","package":"example.com/b/c","function":"F"},{"module":"ours"}]}}
{"finding":{"osv":"GO-3","trace":[{"module":"example.com/d","version":"v1.0.0","package":"example.com/d"}]}}
`

func TestWhatIsFoundIsJudged(t *testing.T) {
	findings, err := read(strings.NewReader(stream))
	if err != nil || len(findings) != 4 {
		t.Fatalf("%d findings: %v", len(findings), err)
	}
	open := exception{id: "GO-3", why: "answered", answers: []string{"A-1"}}
	for _, tc := range []struct {
		name       string
		exceptions []exception
		tests      map[string]bool
		want       []string
	}{
		{"SUP-01 what is called or imported has no excuse", nil, nil, []string{"GO-2 in example.com/b v1.1.0 (called): take v1.2.0", "GO-3 in example.com/d v1.0.0 (imported): there is no release without it"}},
		{"SUP-01 an exception with its tests", []exception{open}, map[string]bool{"A-1": true}, []string{"GO-2"}},
		{"SUP-01 an exception whose tests are gone", []exception{open}, nil, []string{"GO-2", "GO-3 is answered by A-1"}},
		{"SUP-01 an exception that a release mends", []exception{open, {id: "GO-2"}}, map[string]bool{"A-1": true}, []string{"GO-2 in example.com/b v1.1.0 (called) is mended in v1.2.0"}},
		{"SUP-01 an exception that is found no more", []exception{open, {id: "GO-9"}}, map[string]bool{"A-1": true}, []string{"GO-2", "GO-9 is not found any more"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			said, problems := judge(findings, tc.exceptions, tc.tests)
			if !strings.Contains(strings.Join(said, "\n"), "GO-1 in example.com/a v1.0.0 (of the module)") {
				t.Errorf("said %q", said)
			}
			if len(problems) != len(tc.want) {
				t.Fatalf("problems %q, want %q", problems, tc.want)
			}
			for i, p := range problems {
				if !strings.HasPrefix(p, tc.want[i]) {
					t.Errorf("%q, want %q", p, tc.want[i])
				}
			}
		})
	}
	if _, err := read(strings.NewReader("{")); err == nil {
		t.Error("half a message was read")
	}
}

func TestAnOldDatabaseIsRefused(t *testing.T) {
	day := time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name string
		days int
		ok   bool
	}{{"SUP-01 a database of a month", 30, true}, {"SUP-01 an older one", 31, false}} {
		t.Run(tc.name, func(t *testing.T) {
			if err := fresh(day, day.AddDate(0, 0, tc.days)); (err == nil) != tc.ok {
				t.Error(err)
			}
		})
	}
}

// Each file of the supplement is read by the same rules as the database's.
func TestTheSupplementIsWhole(t *testing.T) {
	files, err := supplement.ReadDir("supplement")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := supplement.ReadFile("supplement/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`"id": "` + strings.TrimSuffix(f.Name(), ".json") + `"`, `"fixed": "`, `"ecosystem": "Go"`} {
			if !strings.Contains(string(content), part) {
				t.Errorf("%s lacks %s", f.Name(), part)
			}
		}
	}
}
