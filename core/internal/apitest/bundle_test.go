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
	"github.com/dify-sso/dify-sso/pkg/bundle"
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
		var made operator.Bundle
		if err := json.Unmarshal(content, &made); err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, e := range made.Events {
			names[e.Event] = true
		}
		if made.Version != apitest.Version || made.Schema.Database == 0 || made.Schema.Database != made.Schema.Program ||
			!names["oauth.token_minted"] || len(made.Checks) < 3 || made.Serving != (h.pair == nil) {
			t.Fatalf("%s", content)
		}
		has := func(want bundle.Setting) {
			if !slices.Contains(made.Settings, want) {
				t.Errorf("no %+v in %+v", want, made.Settings)
			}
		}
		has(bundle.Setting{Key: "OPENAPI_RATE_LIMIT_PER_TOKEN", Value: "60"})
		has(bundle.Setting{Key: "SECRET_KEY", Given: true})
		if strings.Contains(string(content), "redacted") {
			t.Error("a value is shown as redacted: it should not be there at all")
		}
	})
}
