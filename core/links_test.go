// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	codeBlock = regexp.MustCompile("(?ms)^\\s*```.*?^\\s*```")
	codeSpan  = regexp.MustCompile("`[^`\n]*`")
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// What the documents of the repository point at is there: a file, and the heading in it.
func TestLinksOfDocuments(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != root && d.IsDir() && strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules":
			return fs.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		prose := codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(string(text), ""), "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			u, err := url.Parse(m[1])
			if err != nil || u.IsAbs() {
				continue
			}
			checked++
			target := path
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(path), u.Path)
			}
			if problem := follow(target, u.Fragment); problem != "" {
				at, _ := filepath.Rel(root, path)
				t.Errorf("%s: %s %s", at, m[1], problem)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 100 {
		t.Errorf("%d links found: is this the repository?", checked)
	}
}

// follow says what is wrong with a link, as the forges resolve it; nothing when it leads
// somewhere.
func follow(target, fragment string) string {
	content, err := os.ReadFile(target)
	if info, statErr := os.Stat(target); statErr != nil {
		return "is not there"
	} else if info.IsDir() || fragment == "" {
		return ""
	}
	if err != nil {
		return err.Error()
	}
	var slugs []string
	for _, h := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(content), ""), -1) {
		slugs = append(slugs, strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	if !slices.Contains(slugs, fragment) {
		return "has no such heading"
	}
	return ""
}
