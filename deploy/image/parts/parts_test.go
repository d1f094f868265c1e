// SPDX-License-Identifier: Apache-2.0

package parts

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"runtime/debug"
	"testing"
)

func TestLicencesAreToldApart(t *testing.T) {
	const bsd = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted"
	for _, tc := range []struct{ name, text, want string }{
		{"MIT", "Permission is hereby granted, free of charge, to any person\nTHE SOFTWARE IS PROVIDED “AS IS”", "MIT"},
		{"BSD of two clauses", bsd, "BSD-2-Clause"},
		{"BSD of three", bsd + " may be used to endorse or\n  promote products derived", "BSD-3-Clause"},
		{"Apache", "Apache License\n   Version 2.0, January 2004", "Apache-2.0"},
		{"Mozilla names others", "Mozilla Public License Version 2.0 ... the GNU Affero General Public License, Version 3.0", "MPL-2.0"},
		{"what asks for the source of the whole", "GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3", "AGPL-3.0"},
		{"a part of each", "Apache License Version 2.0\n" + bsd, "Apache-2.0 AND BSD-2-Clause"},
		{"none", "All rights reserved.", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := expression([]text{{"LICENSE", tc.text}, {"NOTICE", "This product includes"}}); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhatStandsInForAModule(t *testing.T) {
	c, err := module(&debug.Module{Path: "github.com/x/y", Version: "v1.3.0", Replace: &debug.Module{Path: "./third_party/noy", Version: "(devel)"}}, "v1.0.0")
	if err != nil || c.Purl != "pkg:golang/github.com/dify-sso/dify-sso/third_party/noy@v1.0.0" || c.Licenses[0].Expression != "Apache-2.0" {
		t.Errorf("%+v, %v", c, err)
	}
}

// The same binary has the same list, and a list of an image names the image first.
func TestListOfABinary(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a, err := Binary(path, "v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Binary(path, "v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	if !bytes.Equal(x, y) {
		t.Error("two lists of one binary differ")
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(a.Serial) {
		t.Errorf("serial number %s", a.Serial)
	}
	serial := a.Serial
	a.Contain("core", "v1.0.0", "sha256:00", File("/x", "MIT", []byte("x")))
	if a.Serial == serial || a.Metadata.Component.Type != "container" || a.Components[0].Type != "application" {
		t.Errorf("list of an image: %+v", a.Metadata)
	}
	refs := map[string]bool{}
	for _, c := range a.Components {
		if refs[c.Ref] {
			t.Errorf("two components are called %s", c.Ref)
		}
		refs[c.Ref] = true
	}
	if len(a.Dependencies) != 1 || len(a.Dependencies[0].On) != len(a.Components) {
		t.Errorf("%d components, and %d below the image", len(a.Components), len(a.Dependencies[0].On))
	}
}
