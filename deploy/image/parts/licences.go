// SPDX-License-Identifier: Apache-2.0

package parts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// text is a file of a module that says what may be done with it.
type text struct {
	Name    string
	Content string
}

var speaksOfLicence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright|patents)([-.].*)?$`)

// texts reads the files at the root of a module, where the go command has put it.
func texts(dir string) (list []text, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.IsDir() || !speaksOfLicence.MatchString(f.Name()) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, f.Name())) //nolint:gosec // of the module cache
		if err != nil {
			return nil, err
		}
		list = append(list, text{f.Name(), strings.TrimSpace(strings.ReplaceAll(string(content), "\r\n", "\n"))})
	}
	return list, nil
}

// kinds tell a licence by words that it has; not is one whose text holds those words too.
var kinds = []struct {
	name, not string
	words     []string
}{
	{"MPL-2.0", "", []string{"mozilla public license", "version 2.0"}},
	{"AGPL-3.0", "MPL-2.0", []string{"gnu affero general public license"}},
	{"LGPL-3.0", "MPL-2.0", []string{"gnu lesser general public license"}},
	{"GPL-3.0", "MPL-2.0", []string{"gnu general public license"}},
	{"Apache-2.0", "", []string{"apache license", "version 2.0"}},
	{"MIT", "", []string{"permission is hereby granted, free of charge", "the software is provided \"as is\""}},
	{"BSD-3-Clause", "", []string{"redistribution and use in source and binary forms", "endorse or promote products"}},
	{"BSD-2-Clause", "BSD-3-Clause", []string{"redistribution and use in source and binary forms"}},
	{"ISC", "", []string{"permission to use, copy, modify, and/or distribute this software for any purpose"}},
	{"Unlicense", "", []string{"this is free and unencumbered software released into the public domain"}},
	{"CC0-1.0", "", []string{"cc0 1.0 universal"}},
}

// kindsOf names the licences of one text.
func kindsOf(content string) (found []string) {
	words := strings.Join(strings.Fields(strings.ToLower(content)), " ")
	words = strings.NewReplacer("“", `"`, "”", `"`, "''", `"`, "``", `"`).Replace(words)
	for _, k := range kinds {
		if !slices.ContainsFunc(k.words, func(w string) bool { return !strings.Contains(words, w) }) && !slices.Contains(found, k.not) {
			found = append(found, k.name)
		}
	}
	return found
}

// expression joins the licences of a module's files; a file that names none, such as NOTICE,
// adds nothing.
func expression(list []text) string {
	var found []string
	for _, t := range list {
		found = append(found, kindsOf(t.Content)...)
	}
	slices.Sort(found)
	return strings.Join(slices.Compact(found), " AND ")
}

// licenceOf looks a module up in the module cache; it is there, for something was built of it.
func licenceOf(path, version string) (string, error) {
	out, err := goCommand("mod", "download", "-json", path+"@"+version)
	if err != nil {
		return "", err
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", err
	}
	list, err := texts(m.Dir)
	if err != nil {
		return "", err
	}
	if e := expression(list); e != "" {
		return e, nil
	}
	return "", fmt.Errorf("%s@%s says no licence that we know: read it, and add its words to parts/licences.go", path, version)
}

func goCommand(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...) //nolint:gosec // the go command, on modules that we name
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out, nil
}
