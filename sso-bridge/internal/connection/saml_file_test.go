// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// aCertificate is self-signed, of P-256.
const aCertificate = "MIIBBzCBr6ADAgECAgEBMAoGCCqGSM49BAMCMA4xDDAKBgNVBAMTA2lkcDAeFw0yNjAxMDEwMDAwMDBaFw0yNjAxMDIwMDAwMDBaMA4xDDAKBgNVBAMTA2lk" +
	"cDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJdc3ryJ5d7H3izpZV/aCIqch5iqGpkSZqzQmMpJO8OHdA3lYO6roe9nTBsFaBopdmxvn28JP9qRO7Rhl59X" +
	"HPUwCgYIKoZIzj0EAwIDRwAwRAIgOwmEWMIt0BUqdYnufeHVKNa3Wbq0Zr/qKT3BC/v6NX0CIEn01hLU9iYALMe5V3+4MxG4C7EtpAyfau7xf71qzwJS"

// reads stands for package idpmetadata, which has tests of its own: the document's text
// is the entity id.
func reads(t *testing.T) func(text []byte, want string, now time.Time) (idpmetadata.IdP, idpmetadata.Terms, error) {
	return func(text []byte, want string, now time.Time) (idpmetadata.IdP, idpmetadata.Terms, error) {
		if !now.IsZero() {
			t.Error("a document that was given by hand has an end")
		}
		id := strings.TrimSpace(string(text))
		switch {
		case id == "broken":
			return idpmetadata.IdP{}, idpmetadata.Terms{}, &idpmetadata.Error{Rule: "scan", Message: "The document is no plain XML."}
		case id == "panics":
			return idpmetadata.IdP{}, idpmetadata.Terms{}, errors.New("something with a value in it")
		case want != "" && want != id:
			return idpmetadata.IdP{}, idpmetadata.Terms{}, &idpmetadata.Error{Rule: "entity_id", Message: "The document is of another provider."}
		}
		return idpmetadata.IdP{EntityID: id, Post: "https://idp.example/sso", Certificates: []string{aCertificate}}, idpmetadata.Terms{}, nil
	}
}

func inFiles(name string) ([]byte, error) {
	content, ok := map[string]string{"/etc/idp.xml": "http://idp.example/\n", "/etc/broken.xml": "broken", "/etc/empty.xml": "", "/etc/large.xml": strings.Repeat("a", maxMetadata+1)}[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return []byte(content), nil
}

func TestMetadataInTheFile(t *testing.T) {
	parse := func(t *testing.T, saml string) ([]Declaration, error) {
		t.Helper()
		content := "version: 1\nconnections:\n  - id: corp\n    name: Corp\n    preset: generic-saml\n    saml:\n" + saml
		doc, err := readDocument([]byte(content))
		if err != nil {
			t.Fatal(err)
		}
		f := file{doc: doc, readFile: inFiles, parse: reads(t)}
		declared := f.read()
		if len(f.problems) > 0 {
			return nil, f.sorted()
		}
		return declared, nil
	}
	facts := &idpmetadata.IdP{EntityID: "http://idp.example/", Post: "https://idp.example/sso", Certificates: []string{aCertificate}}
	for name, saml := range map[string]string{
		"SSO-81 metadata out of a file":                  "      metadata_file: /etc/idp.xml\n",
		"SSO-81 metadata out of a file, with its entity": "      metadata_file: /etc/idp.xml\n      idp_entity_id: http://idp.example/\n",
		"SSO-81 pasted metadata":                         "      metadata: |\n        http://idp.example/\n",
	} {
		t.Run(name, func(t *testing.T) {
			declared, err := parse(t, saml)
			if err != nil {
				t.Fatal(err)
			}
			got := declared[0]
			if diff := cmp.Diff(facts, got.Config.SAML.IdP); diff != "" || got.Config.SAML.IdPEntityID != "" || got.SecretsInFiles {
				t.Errorf("%s %+v", diff, got)
			}
			if issuers := got.Config.Issuers("corp"); len(issuers) != 1 || issuers[0] != facts.EntityID {
				t.Error(issuers)
			}
		})
	}
	for _, tc := range []struct{ name, saml, want string }{
		{"SSO-81 a metadata file that is not there", "      metadata_file: /etc/none.xml\n", "connections[0].saml.metadata_file (line 7, column 7): names a file that cannot be read"},
		{"SSO-81 an empty metadata file", "      metadata_file: /etc/empty.xml\n", "names an empty file"},
		{"SSO-81 SAML-52 a metadata file of 1 MiB and a byte", "      metadata_file: /etc/large.xml\n", "too large"},
		{"SSO-81 SAML-52 a metadata file that is none", "      metadata_file: /etc/broken.xml\n", "connections[0].saml.metadata_file (line 7, column 7): The document is no plain XML."},
		{"SSO-81 SAML-52 pasted metadata of another provider", "      metadata: http://idp.example/\n      idp_entity_id: http://other.example/\n", "connections[0].saml.metadata (line 7, column 7): The document is of another provider."},
		{"SSO-81 what went wrong elsewhere is not repeated", "      metadata: panics\n", "connections[0].saml.metadata (line 7, column 7): is no metadata of an identity provider"},
		{"SSO-81 two sources", "      metadata: http://idp.example/\n      metadata_file: /etc/idp.xml\n", "connections[0].saml.metadata_file (line 8, column 7): and metadata are both there"},
		{"SSO-81 no source", "      signed: both\n", "connections[0].saml.metadata_url (line 6, column 5): is missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parse(t, tc.saml)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%q is not in\n%v", tc.want, err)
			}
			if n := len(err.(FileError)); n != 1 { //nolint:errorlint // it is nothing else
				t.Errorf("%d problems:\n%v", n, err)
			}
		})
	}
}

func TestPastedMetadata(t *testing.T) {
	url, text := "https://idp.example/metadata", "http://idp.example/"
	name, preset := "Corp", "generic-saml"
	r := resolver{parse: reads(t)}
	c := r.content(shape{Name: &name, Preset: &preset, SAML: &samlShape{MetadataURL: &url, Metadata: &text}})
	if c.Config.SAML.IdP != nil || len(r.problems) == 0 || fault.Of(r.fault(ErrInvalid)).Code() != "invalid_param" {
		t.Errorf("two sources are taken: %+v", c.Config.SAML)
	}
}
