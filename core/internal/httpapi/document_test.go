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
		{"M-27 a stream, and JSON or a stream", nil, operation{summary: "s", answers: map[int]any{200: events{}, 201: mixed{named{}, events{}}}}, ""},
		{"M-27 examples", []string{json}, operation{summary: "s", body: asked{}, sample: asked{A: "x"}, answers: map[int]any{200: mixed{named{}, events{}}, 201: events{}, 202: named{}},
			samples: map[int]any{200: mixed{named{A: "x"}, "data: {}\n\n"}, 201: "data: {}\n\n", 202: named{A: "y"}}}, ""},
		{"M-27 an example of what is not answered", nil, operation{summary: "s", answers: answers, samples: map[int]any{201: named{}}}, "201"},
		{"M-27 a stream's example is a text", nil, operation{summary: "s", answers: map[int]any{200: events{}}, samples: map[int]any{200: named{}}}, "its text"},
		{"M-27 one example for two answers", nil, operation{summary: "s", answers: map[int]any{200: mixed{named{}, events{}}}, samples: map[int]any{200: named{}}}, "other answers"},
		{"M-27 two answers of one content type", nil, operation{summary: "s", answers: map[int]any{200: mixed{named{}, asked{}}}}, "OneOf"},
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
	t.Run("M-27 an answer of two content types, with examples of both and of the request", func(t *testing.T) {
		r := row{method: "POST", path: base + "/x", caller: open, media: []string{json}, body: small, handle: nothing, about: operation{summary: "s", body: asked{}, sample: asked{A: "q"},
			answers: map[int]any{200: mixed{named{}, events{}}}, samples: map[int]any{200: mixed{named{A: "x"}, "data: {}\n\n"}}}}
		raw, err := newAPI(Deps{Public: &url.URL{Scheme: "http", Host: "x"}}).describe([]row{r})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Named"},"example":{"a":"x"}},"text/event-stream":{"schema":{"description":`,
			`"type":"string"},"example":"data: {}\n\n"}}`, `"requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Asked"},"example":{"a":"q"}}}}`,
		} {
			if !strings.Contains(string(raw), want) {
				t.Errorf("no %s in %s", want, raw)
			}
		}
	})
	t.Run("M-11 M-27 a GET that streams answers no HEAD", func(t *testing.T) {
		for _, tc := range []struct {
			answer any
			want   bool
		}{{named{}, true}, {events{}, false}, {mixed{named{}, events{}}, false}} {
			if r := (row{method: "GET", about: operation{answers: map[int]any{200: tc.answer}}}); r.answersHead() != tc.want || r.streams() == tc.want {
				t.Errorf("%T: %v", tc.answer, r.answersHead())
			}
		}
	})
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
