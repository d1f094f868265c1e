// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	stdjson "encoding/json"
	"net/url"
	"os"
	"testing"
)

// compareReference keeps a generated file of docs/reference equal to what the code says:
// UPDATE=1, or make reference, writes it anew.
func compareReference(t *testing.T, name string, want []byte) {
	t.Helper()
	path := "../../../docs/reference/" + name
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("docs/reference/%s is out of date; make reference writes it anew", name)
	}
}

func TestReferenceOfTheAPI(t *testing.T) {
	doc, err := Document(&url.URL{Scheme: "http", Host: "127.0.0.1:5001"}, "")
	if err != nil {
		t.Fatal(err)
	}
	var readable bytes.Buffer
	if err := stdjson.Indent(&readable, doc, "", " "); err != nil {
		t.Fatal(err)
	}
	readable.WriteByte('\n')
	compareReference(t, "openapi.json", readable.Bytes())
}
