// SPDX-License-Identifier: Apache-2.0

package openapi_test

import (
	"os"
	"testing"

	"github.com/pb33f/libopenapi"
	"github.com/pb33f/libopenapi-validator/schema_validation"
)

// The copy in docs/reference is what core serves, which a test of httpapi keeps so. It is
// judged here, apart from the tests that are run often: the judge takes long to compile.
func TestDocumentIsValid(t *testing.T) {
	raw, err := os.ReadFile("../../../docs/reference/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := libopenapi.NewDocument(raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("M-27 every reference leads somewhere", func(t *testing.T) {
		if _, err := doc.BuildV3Model(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("M-27 it is a document of OpenAPI 3.1", func(t *testing.T) {
		if ok, problems := schema_validation.ValidateOpenAPIDocument(doc); !ok {
			for _, p := range problems {
				t.Errorf("%s: %s %v", p.Message, p.Reason, p.SchemaValidationErrors)
			}
		}
	})
}
