// SPDX-License-Identifier: Apache-2.0

// Package parts says what a binary is made of: a list in CycloneDX, and the licences of
// what other people wrote.
package parts

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// BOM is the part of CycloneDX 1.6 that we write.
type BOM struct {
	Format   string `json:"bomFormat"`
	Spec     string `json:"specVersion"`
	Serial   string `json:"serialNumber"`
	Version  int    `json:"version"`
	Metadata struct {
		Component Component `json:"component"`
	} `json:"metadata"`
	Components   []Component  `json:"components"`
	Dependencies []Dependency `json:"dependencies"`
}

// Component is a module, a file, or the thing itself.
type Component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	Purl       string     `json:"purl,omitempty"`
	Hashes     []Hash     `json:"hashes,omitempty"`
	Licenses   []License  `json:"licenses,omitempty"`
	Properties []Property `json:"properties,omitempty"`
}

// Hash is a digest of a whole file.
type Hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

// License names a licence by an SPDX expression.
type License struct {
	Expression string `json:"expression"`
}

// Property is what CycloneDX has no word for.
type Property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Dependency says what a component is made of. A binary does not tell which of its modules
// asked for which, so all stand below it.
type Dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn,omitempty"`
}

const ours = "github.com/dify-sso/dify-sso"

// Binary reads what the go command wrote into a binary. Nothing of the day or of the machine
// is in the list: the same binary has the same one.
func Binary(file, version string) (*BOM, error) {
	content, err := os.ReadFile(file) //nolint:gosec // a binary that we made
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	b := &BOM{Format: "CycloneDX", Spec: "1.6", Version: 1}
	self := Component{Type: "application", Ref: purl(info.Path, version), Name: filepath.Base(info.Path), Version: version, Purl: purl(info.Path, version),
		Hashes: sha(content), Licenses: []License{{"Apache-2.0"}}, Properties: settings(info)}
	b.Metadata.Component = self
	b.Components = []Component{{Type: "library", Ref: purl("std", strings.TrimPrefix(info.GoVersion, "go")), Name: "std", Version: strings.TrimPrefix(info.GoVersion, "go"),
		Purl: purl("std", strings.TrimPrefix(info.GoVersion, "go")), Licenses: []License{{"BSD-3-Clause"}}}}
	for _, m := range info.Deps {
		c, err := module(m, version)
		if err != nil {
			return nil, err
		}
		b.Components = append(b.Components, c)
	}
	b.finish()
	return b, nil
}

func module(m *debug.Module, version string) (Component, error) {
	// A folder of ours that stands in for somebody's module is listed as what it is: under that
	// module's name, a scanner would tell of faults in code that is not there.
	own := m.Path
	if m.Replace != nil && strings.HasPrefix(m.Replace.Path, ".") { // its version is "(devel)", or none
		own = path.Join(ours, m.Replace.Path)
	}
	if own == ours || strings.HasPrefix(own, ours+"/") {
		return Component{Type: "library", Ref: purl(own, version), Name: own, Version: version, Purl: purl(own, version), Licenses: []License{{"Apache-2.0"}}}, nil
	}
	if m.Replace != nil {
		m = m.Replace
	}
	licence, err := licenceOf(m.Path, m.Version)
	if err != nil {
		return Component{}, err
	}
	c := Component{Type: "library", Ref: purl(m.Path, m.Version), Name: m.Path, Version: m.Version, Purl: purl(m.Path, m.Version), Licenses: []License{{licence}}}
	if m.Sum != "" {
		c.Properties = []Property{{"go:sum", m.Sum}} // of the files' names and digests, hence no hash of CycloneDX
	}
	return c, nil
}

// settings are those by which a build can be repeated.
func settings(info *debug.BuildInfo) (list []Property) {
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS", "GOARCH", "GOAMD64", "GOARM64", "CGO_ENABLED", "-tags", "-trimpath":
			list = append(list, Property{"go:" + s.Key, s.Value})
		}
	}
	return list
}

// Contain makes the list one of an image, which holds the binary and some files.
func (b *BOM) Contain(name, version, digest string, files ...Component) {
	b.Components = append(append([]Component{b.Metadata.Component}, b.Components...), files...)
	b.Metadata.Component = Component{Type: "container", Ref: "pkg:oci/" + name + "@" + strings.Replace(digest, ":", "%3A", 1), Name: name, Version: version,
		Purl: "pkg:oci/" + name + "@" + strings.Replace(digest, ":", "%3A", 1), Properties: []Property{{"oci:digest", digest}}}
	b.finish()
}

// File is a part that comes with the image and not with the binary.
func File(name, licence string, content []byte) Component {
	return Component{Type: "file", Ref: "file:" + name, Name: name, Hashes: sha(content), Licenses: []License{{licence}}}
}

// finish writes what depends on all the rest.
func (b *BOM) finish() {
	root := Dependency{Ref: b.Metadata.Component.Ref}
	for _, c := range b.Components {
		root.On = append(root.On, c.Ref)
	}
	b.Dependencies = []Dependency{root}
	b.Serial = ""
	content, _ := json.Marshal(b) // strings alone
	d := sha256.Sum256(content)
	d[6], d[8] = d[6]&0x0f|0x80, d[8]&0x3f|0x80 // RFC 9562, section 5.8: a UUID of the maker's own making
	b.Serial = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", d[:4], d[4:6], d[6:8], d[8:10], d[10:16])
}

func purl(module, version string) string { return "pkg:golang/" + module + "@" + version }

func sha(content []byte) []Hash {
	d := sha256.Sum256(content)
	return []Hash{{"SHA-256", hex.EncodeToString(d[:])}}
}

// Save writes a list to a file.
func Save(file string, b *BOM) error {
	content, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(content, '\n'), 0o644) //nolint:gosec // given away
}
