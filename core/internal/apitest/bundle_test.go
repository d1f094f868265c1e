// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/operator"
)

func TestSupportBundle(t *testing.T) {
	const operatorKey = "the key of the operator, which nobody else has"
	h := kyNewHouse(t)
	s := h.server(t, kyNew, kyOld, apitest.Set("OPERATOR_API_KEY", operatorKey))
	b := s.SignedIn(t)
	token, _ := s.SignInDevice(t, b, "a laptop of Ada")
	waiting := s.Code(t, "another one")
	file := filepath.Join(t.TempDir(), "bundle.json")
	if got := h.command(kyNew, kyOld, "support-bundle", "--to", file); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("PPL-12 it holds no secret and no name", func(t *testing.T) {
		scan := &apitest.Scanner{}
		scan.Add("token", token)
		scan.Add("device code", waiting.Device)
		scan.AddUserCode(waiting.User)
		scan.Add("cookie", b.Cookie("console_session"))
		scan.Add("CSRF token", b.CSRF())
		scan.Add("password", apitest.OwnerPassword)
		scan.Add("key", kyNew, kyOld, operatorKey, apitest.SecretKey)
		scan.Add("person", apitest.OwnerEmail, "a laptop of Ada")
		if h.pair != nil {
			database, err := url.Parse(h.pair.Database)
			if err != nil {
				t.Fatal(err)
			}
			scan.Add("address", h.pair.Database, h.pair.URL, database.Host, h.pair.Prefix)
		} else {
			scan.Add("address", h.dir)
		}
		if found := scan.Find(content); len(found) > 0 {
			t.Fatalf("%v in\n%s", found, content)
		}
	})
	t.Run("PPL-12 it says what helps", func(t *testing.T) {
		var bundle operator.Bundle
		if err := json.Unmarshal(content, &bundle); err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, e := range bundle.Events {
			names[e.Event] = true
		}
		if bundle.Version != apitest.Version || bundle.Schema.Database == 0 || bundle.Schema.Database != bundle.Schema.Program ||
			!names["oauth.token_minted"] || len(bundle.Checks) < 3 || bundle.Serving != (h.pair == nil) {
			t.Fatalf("%s", content)
		}
		has := func(want operator.BundleSetting) {
			if !slices.Contains(bundle.Settings, want) {
				t.Errorf("no %+v in %+v", want, bundle.Settings)
			}
		}
		has(operator.BundleSetting{Key: "OPENAPI_RATE_LIMIT_PER_TOKEN", Value: "60"})
		has(operator.BundleSetting{Key: "SECRET_KEY", Given: true})
		if strings.Contains(string(content), "redacted") {
			t.Error("a value is shown as redacted: it should not be there at all")
		}
	})
}
