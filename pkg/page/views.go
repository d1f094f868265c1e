// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"sync"
)

// Views are the pages of a service, each a file NAME.html within layout.html, both in the
// folder templates. They are parsed on first use, so that a service starts without them.
// They are safe for concurrent use.
type Views struct {
	files fs.FS
	names []string

	once   sync.Once
	err    error
	parsed map[string]*template.Template
}

// NewViews names the pages.
func NewViews(files fs.FS, names ...string) *Views { return &Views{files: files, names: names} }

func (v *Views) load() {
	v.parsed = map[string]*template.Template{}
	for _, name := range v.names {
		t, err := template.New("layout.html").Option("missingkey=error").ParseFS(v.files, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			v.err = fmt.Errorf("page: %w", err)
			return
		}
		v.parsed[name] = t
	}
}

// Render writes a page of what it shows. Nothing is written when it cannot be made.
func (v *Views) Render(w io.Writer, name string, shows any) error {
	v.once.Do(v.load)
	if v.err != nil {
		return v.err
	}
	t, ok := v.parsed[name]
	if !ok {
		return fmt.Errorf("page: no view is named %s", name)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, shows); err != nil {
		return fmt.Errorf("page: %s: %w", name, err)
	}
	_, err := w.Write(out.Bytes())
	return err
}
