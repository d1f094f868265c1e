// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// A route that does not describe itself keeps the service from starting.
func TestRoutesDescribeThemselves(t *testing.T) {
	type named struct {
		A string `json:"a"`
	}
	type asked struct {
		A string `json:"a"`
	}
	answers := map[int]any{200: named{}}
	for _, tc := range []struct {
		name  string
		media []string
		about operation
		want  string // part of the refusal; empty: it is taken
	}{
		{"M-27 a whole one", nil, operation{summary: "s", answers: answers}, ""},
		{"M-27 with a body", []string{json, form}, operation{summary: "s", answers: answers, body: asked{}}, ""},
		{"M-27 nothing is said", nil, operation{}, "does not say"},
		{"M-27 no summary", nil, operation{answers: answers}, "does not say"},
		{"M-27 no answer", nil, operation{summary: "s"}, "does not say"},
		{"M-27 a body is read and not described", []string{json}, operation{summary: "s", answers: answers}, "body"},
		{"M-27 a body is described and not read", nil, operation{summary: "s", answers: answers, body: asked{}}, "body"},
		{"M-27 a failure among the answers", nil, operation{summary: "s", answers: map[int]any{404: named{}}}, "404"},
		{"M-27 an answer without a name", nil, operation{summary: "s", answers: map[int]any{200: struct {
			A int `json:"a"`
		}{}}}, "without a name"},
		{"M-27 a member without one", nil, operation{summary: "s", answers: map[int]any{200: struct{ A int }{}}}, "without a name"},
		{"M-27 a query that is no struct", nil, operation{summary: "s", answers: answers, query: "page"}, "a query"},
		{"M-27 a failure that is none", nil, operation{summary: "s", answers: answers, fails: []*fault.Error{nil}}, "a failure that is none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := row{method: "POST", path: base + "/x", caller: open, media: tc.media, body: small, about: tc.about, handle: nothing}
			_, err := newAPI(Deps{Public: &url.URL{Scheme: "http", Host: "x"}}).describe([]row{r})
			if (tc.want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "POST "+base+"/x")) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("M-27 two with one name", func(t *testing.T) {
		about := operation{summary: "s", answers: answers}
		rows := []row{
			{method: "GET", path: base + "/a-b", caller: open, about: about, handle: nothing}, {method: "GET", path: base + "/a/b", caller: open, about: about, handle: nothing},
		}
		if _, err := newAPI(Deps{Public: &url.URL{Scheme: "http", Host: "x"}}).describe(rows); err == nil || !strings.Contains(err.Error(), "getAB") {
			t.Errorf("got %v", err)
		}
	})
}
