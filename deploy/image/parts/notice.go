// SPDX-License-Identifier: Apache-2.0

package parts

import (
	"bytes"
	"cmp"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Given are the programs that are given away, in archives, packages and images.
var Given = []string{"./core/cmd/core", "./sso-bridge/cmd/sso-bridge", "./pkg/deviceauth/cmd/difyauth"}

// May are the licences of parts of a binary. One that asks for the source of the whole is none.
var May = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "Unlicense"}

// part is a module that stands in a binary.
type part struct {
	path, version, licence string
	programs               []string
	texts                  []text
}

const head = `dify-sso
Copyright the authors of dify-sso

The programs core, sso-bridge and difyauth are licensed under the Apache License, Version 2.0 (see LICENSE).
They hold parts that other people wrote, listed here with the programs that hold them. Their own words follow.
Written by "make notice" from the module graph; a test compares the two.

`

// Notice is the text that goes with every binary. It is the same on every machine: the list
// is of all systems for which a program is given away.
func Notice(programs []string) ([]byte, error) {
	list, err := third(programs)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString(head)
	for _, p := range list {
		if slices.ContainsFunc(strings.Split(p.licence, " AND "), func(l string) bool { return !slices.Contains(May, l) }) {
			return nil, fmt.Errorf("%s %s is licensed %q, which may not be a part of a binary: take it out", p.path, p.version, p.licence)
		}
		fmt.Fprintf(&out, "%s %s (%s): %s\n", p.path, p.version, p.licence, strings.Join(p.programs, ", "))
	}
	out.WriteString(`
Images hold two more: the certification authorities of Mozilla (MPL-2.0), by golang.org/x/crypto/x509roots/fallback,
and the time zones of the IANA (public domain), as they come with Go.
`)
	// Many modules say the same words: each text stands once, below the names of those that say it.
	type said struct {
		by      []string
		content string
	}
	var all []*said
	seen := map[string]*said{}
	for _, p := range list {
		for _, t := range p.texts {
			s := seen[t.Content]
			if s == nil {
				s = &said{content: t.Content}
				seen[t.Content] = s
				all = append(all, s)
			}
			s.by = append(s.by, p.path+" "+t.Name)
		}
	}
	for _, s := range all {
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 78), strings.Join(s.by, "\n"), s.content)
	}
	return out.Bytes(), nil
}

// third lists the modules of others that the programs are made of.
func third(programs []string) ([]part, error) {
	found := map[string]*part{}
	for _, program := range programs {
		for _, system := range []string{"linux", "darwin", "windows"} {
			out, err := listed(program, system)
			if err != nil {
				return nil, err
			}
			for line := range strings.Lines(string(out)) {
				f := strings.Split(strings.TrimSpace(line), "\t")
				if len(f) != 3 || f[1] == "" {
					continue
				}
				p := found[f[0]]
				if p == nil {
					p = &part{path: f[0], version: f[1]}
					if p.texts, err = texts(f[2]); err != nil {
						return nil, err
					}
					if p.licence = expression(p.texts); p.licence == "" {
						return nil, fmt.Errorf("%s %s says no licence that we know: read it, and add its words to parts/licences.go", p.path, p.version)
					}
					found[f[0]] = p
				}
				if name := filepath.Base(program); !slices.Contains(p.programs, name) {
					p.programs = append(p.programs, name)
				}
			}
		}
	}
	goItself, err := standard()
	if err != nil {
		return nil, err
	}
	for _, program := range programs {
		goItself.programs = append(goItself.programs, filepath.Base(program))
	}
	list := []part{goItself}
	for _, p := range found {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b part) int { return cmp.Compare(a.path, b.path) })
	return list, nil
}

// listed asks for the modules of a program as scripts/build.sh makes it.
func listed(program, system string) ([]byte, error) {
	cmd := exec.Command("go", "list", "-deps", "-tags", "nethttpomithttp2", "-f", "{{with .Module}}{{$own := .Replace}}{{with .Replace}}{{if .Version}}{{$own = false}}{{end}}{{end}}{{if not $own}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}", program) //nolint:gosec // of a list of ours
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH=amd64")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing %s for %s: %w\n%s", program, system, err, errs.String())
	}
	return out, nil
}

// standard is Go's own library; its version is the builder's, and so stands in the list of
// parts alone.
func standard() (part, error) {
	root, err := goCommand("env", "GOROOT")
	if err != nil {
		return part{}, err
	}
	p := part{path: "Go", version: "standard library"}
	if p.texts, err = texts(strings.TrimSpace(string(root))); err != nil {
		return part{}, err
	}
	p.licence = expression(p.texts)
	return p, nil
}
