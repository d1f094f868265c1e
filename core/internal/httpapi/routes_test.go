// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/pkg/server"
)

func nothing(*fiber.Ctx) error { return nil }

// A row that leaves its guards out would be an open door, so it does not mount.
func TestIncompleteRowsAreRefused(t *testing.T) {
	rule := authz.Rule{Subjects: accountsOnly}
	for _, tc := range []struct {
		name string
		row  row
		ok   bool
	}{
		{"M-24 a complete one", row{method: "GET", path: "/x", caller: bearer, rule: rule, handle: nothing}, true},
		{"M-24 without a handler", row{method: "GET", path: "/x", caller: open}, false},
		{"M-24 without a caller", row{method: "GET", path: "/x", handle: nothing}, false},
		{"M-24 with a body and no cap", row{method: "POST", path: "/x", caller: open, media: []string{json}, handle: nothing}, false},
		{"M-24 a bearer route without a rule", row{method: "GET", path: "/x", caller: bearer, handle: nothing}, false},
		{"M-24 a rule without a bearer", row{method: "GET", path: "/x", caller: open, rule: rule, handle: nothing}, false},
		{"M-24 a write with a reader's guard", row{method: "POST", path: "/x", caller: cookieRead, handle: nothing}, false},
		{"M-24 a DELETE on a page's guard", row{method: "DELETE", path: "/x", caller: pageSigned, shape: server.Page, handle: nothing}, false},
		{"M-24 a page with an API's failures", row{method: "GET", path: "/x", caller: page, handle: nothing}, false},
		{"M-24 an API with a page's failures", row{method: "GET", path: "/x", caller: open, shape: server.Page, handle: nothing}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := bare().mount(newFrame(t, io.Discard), tc.row); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRouterAndTableAreCompared(t *testing.T) {
	a := bare()
	mounted := func(t *testing.T, rows []row) *fiber.App {
		t.Helper()
		app := newFrame(t, io.Discard)
		for _, r := range rows {
			if err := a.mount(app, r); err != nil {
				t.Fatal(err)
			}
		}
		return app
	}
	t.Run("M-24 the table as it is", func(t *testing.T) {
		rows := a.table()
		if err := compare(mounted(t, rows).GetRoutes(true), rows); err != nil {
			t.Error(err)
		}
	})
	t.Run("M-24 a route without a row", func(t *testing.T) {
		rows := a.table()
		app := mounted(t, rows)
		app.Get("/stray", nothing)
		if err := compare(app.GetRoutes(true), rows); err == nil || !strings.Contains(err.Error(), "GET /stray has no row") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("M-24 another method on a route of the table", func(t *testing.T) {
		rows := a.table()
		app := mounted(t, rows)
		app.Put("/device", nothing)
		if err := compare(app.GetRoutes(true), rows); err == nil {
			t.Error("nobody noticed")
		}
	})
	t.Run("M-24 a row without a route", func(t *testing.T) {
		rows := a.table()
		if err := compare(mounted(t, rows[1:]).GetRoutes(true), rows); err == nil || !strings.Contains(err.Error(), rows[0].path+" is not mounted") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("M-24 a row that stands twice", func(t *testing.T) {
		rows := append(a.table(), a.table()[0])
		if err := compare(mounted(t, rows).GetRoutes(true), rows); err == nil || !strings.Contains(err.Error(), "more than one row") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("M-24 a stray route keeps the service from starting", func(t *testing.T) {
		app := newFrame(t, io.Discard)
		app.Get("/stray", nothing)
		if err := Mount(app, Deps{}); err == nil {
			t.Error("it starts")
		}
	})
}

func TestRoutesShowsEveryRow(t *testing.T) {
	rows, shown := (&api{}).table(), Routes()
	if len(rows) != len(shown) {
		t.Fatalf("%d rows, %d shown", len(rows), len(shown))
	}
	for i, r := range shown {
		if r.Method != rows[i].method || r.Path != rows[i].path || r.Caller == "" || r.Body != rows[i].body || len(r.Media) != len(rows[i].media) {
			t.Errorf("%+v", r)
		}
		if writes := r.Method != http.MethodGet; writes && len(r.Media) > 0 && r.Body != 64<<10 && !strings.Contains(r.Path, "/apps") { // what apps take has caps of its own
			t.Errorf("%s %s takes %d bytes", r.Method, r.Path, r.Body)
		}
	}
}

// floors are the versions below which a framework has flaws that reach us; what it
// does not do well at any version we do ourselves.
func TestFloorsOfTheFramework(t *testing.T) {
	for _, mod := range []string{"../../go.mod", "../../../pkg/go.mod"} {
		for path, floor := range map[string][3]int{"github.com/gofiber/fiber/v2": {2, 52, 15}, "github.com/valyala/fasthttp": {1, 77, 0}} {
			t.Run("HTTP-20 HTTP-21 "+path+" in "+mod, func(t *testing.T) {
				text, err := os.ReadFile(mod)
				if err != nil {
					t.Fatal(err)
				}
				m := regexp.MustCompile(regexp.QuoteMeta(path) + ` v(\d+)\.(\d+)\.(\d+)(\S*)`).FindStringSubmatch(string(text))
				if m == nil {
					t.Fatal("not required")
				}
				var have [3]int
				for i := range have {
					have[i], _ = strconv.Atoi(m[i+1])
				}
				for i := range have {
					if have[i] != floor[i] {
						if have[i] < floor[i] {
							t.Fatalf("%v is below %v", have, floor)
						}
						return
					}
				}
				if m[4] != "" {
					t.Fatalf("%s comes before its release", m[0])
				}
			})
		}
	}
	t.Run("HTTP-20 CSRF, sessions, proxying and files are our own", func(t *testing.T) {
		taken := regexp.MustCompile(`"github\.com/gofiber/fiber/v2/([a-z/]+)"`)
		risky := regexp.MustCompile(`\.(BodyParser|QueryParser|SendFile|Static|FormValue|MultipartForm|Hostname|Protocol|BaseURL|IP|IPs|Body|Redirect(?:Back|ToRoute))\(`)
		for _, root := range []string{"../..", "../../../pkg"} {
			err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
					return err
				}
				src, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				for _, m := range taken.FindAllStringSubmatch(string(src), -1) {
					if m[1] != "middleware/adaptor" {
						t.Errorf("%s takes %s of the framework", path, m[1])
					}
				}
				if strings.Contains(string(src), "gofiber/fiber/v2\"") {
					for _, m := range regexp.MustCompile(`\bc`+risky.String()).FindAllString(string(src), -1) {
						t.Errorf("%s calls %s", path, m)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
