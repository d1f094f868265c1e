// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

const guides = "../../../docs/identity-providers"

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// What a guide tells people to write is read, and what the preset knows of the provider's
// console stands in it.
func TestGuides(t *testing.T) {
	overview := read(t, "README.md")
	pem := pemOf(t, rsaCertificate(t))
	anySecret := func(name string) ([]byte, error) {
		if strings.HasSuffix(name, ".pem") {
			return []byte(pem), nil
		}
		return []byte("secret"), nil
	}
	for _, p := range connection.Presets() {
		t.Run(p.Name, func(t *testing.T) {
			text := read(t, p.Name+".md")
			if !strings.Contains(overview, "]("+p.Name+".md)") {
				t.Error("the overview does not link to it")
			}
			for _, c := range append(p.ToThem, p.ToUs...) {
				if !strings.Contains(text, "*"+c.Field+"*") {
					t.Errorf("the field %q of the console is not in it", c.Field)
				}
				if !ours(c.Value) && !strings.Contains(text, "`"+c.Value) {
					t.Errorf("the member %s is not in it", c.Value)
				}
			}
			addresses := []string{"/sso/" + string(p.Defaults.Protocol) + "/callback/"}
			if p.Defaults.Protocol == connection.SAML {
				addresses = []string{"/sso/saml/acs/", "/sso/saml/metadata/"}
			}
			blocks := yamlBlock.FindAllStringSubmatch(text, -1)
			if len(blocks) == 0 {
				t.Error("there is no file to write")
			}
			for _, b := range blocks {
				declared, err := connection.ParseFile([]byte(b[1]), anySecret)
				if err != nil {
					t.Errorf("%v in\n%s", err, b[1])
					continue
				}
				if len(declared) != 1 || declared[0].Config.Preset != p.Name {
					t.Errorf("it declares %+v", declared)
					continue
				}
				for _, address := range addresses {
					if !strings.Contains(text, address+declared[0].ID+"`") {
						t.Errorf("the address %s in the guide is not that of connection %s", address, declared[0].ID)
					}
				}
			}
		})
	}
	t.Run("overview", func(t *testing.T) {
		for _, b := range yamlBlock.FindAllStringSubmatch(overview, -1) {
			if _, err := connection.ParseFile([]byte(b[1]), anySecret); err != nil {
				t.Error(err)
			}
		}
	})
}

// ours reports whether a value is one of our own addresses.
func ours(value string) bool {
	return value == connection.RedirectURI || value == connection.EntityID || value == connection.MetadataAddress
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(guides, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
