// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/app"
)

func TestTheRuntimeOfImports(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("importer-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const runtime = "DSL_IMPORT_RUNTIME=https://dify.example.com/v1"
	for name, tc := range map[string]struct {
		environ []string
		wrong   string
	}{
		"none":                        {nil, ""},
		"address and key":             {[]string{runtime, "DSL_IMPORT_KEY=importer-key"}, ""},
		"a key from a file":           {[]string{runtime, "DSL_IMPORT_KEY_FILE=" + file}, ""},
		"an address without a key":    {[]string{runtime}, "DSL_IMPORT_KEY"},
		"a key without an address":    {[]string{"DSL_IMPORT_KEY=importer-key"}, "DSL_IMPORT_RUNTIME"},
		"a key that no header holds":  {[]string{runtime, "DSL_IMPORT_KEY=importer key"}, "DSL_IMPORT_KEY"},
		"a file with something after": {[]string{runtime, "DSL_IMPORT_KEY=importer\nkey"}, "DSL_IMPORT_KEY"},
	} {
		t.Run("API-29 "+name, func(t *testing.T) {
			s, err := app.Load(app.Sources{Environ: tc.environ})
			switch {
			case tc.wrong == "" && err != nil:
				t.Fatal(err)
			case tc.wrong != "" && (err == nil || !slices.Equal(keysOf(t, err), []string{tc.wrong})):
				t.Fatal(err)
			case err != nil && strings.Contains(err.Error(), "importer"):
				t.Errorf("the key is shown: %v", err)
			case err == nil && len(tc.environ) > 0 && s.DSLImportKey.Reveal() != "importer-key":
				t.Error("another key")
			}
		})
	}
	t.Run("API-32 an address that core would not call keeps it from starting", func(t *testing.T) {
		for address, good := range map[string]bool{
			"https://dify.example.com": true, "http://10.0.0.5:5001/v1/": true, "http://127.0.0.1:9": false, "ftp://dify.example.com": false, "https://u:p@dify.example.com": false, "dify": false,
		} {
			_, err := app.Load(app.Sources{Environ: []string{"DSL_IMPORT_RUNTIME=" + address, "DSL_IMPORT_KEY=importer-key"}})
			if good != (err == nil) || err != nil && !slices.Equal(keysOf(t, err), []string{"DSL_IMPORT_RUNTIME"}) {
				t.Errorf("%s: %v", address, err)
			}
		}
	})
}
