// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"bytes"
	"testing"
	"testing/fstest"

	"github.com/dify-sso/dify-sso/pkg/page"
)

func TestViews(t *testing.T) {
	files := fstest.MapFS{
		"templates/layout.html": {Data: []byte(`<main>{{template "body" .}}</main>`)},
		"templates/hello.html":  {Data: []byte(`{{define "body"}}Hello {{.name}}{{end}}`)},
		"templates/broken.html": {Data: []byte(`{{define "body"}}{{`)},
	}
	v := page.NewViews(files, "hello")
	var out bytes.Buffer
	if err := v.Render(&out, "hello", map[string]string{"name": "<Ada>"}); err != nil || out.String() != "<main>Hello &lt;Ada&gt;</main>" {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	for what, err := range map[string]error{
		"what it shows is missing": v.Render(&out, "hello", map[string]string{}),
		"no such view":             v.Render(&out, "bye", nil),
		"a view that is none":      page.NewViews(files, "broken").Render(&out, "broken", nil),
	} {
		if err == nil || out.Len() != 0 {
			t.Errorf("%s: %v, and %q was written", what, err, out.String())
		}
	}
}
