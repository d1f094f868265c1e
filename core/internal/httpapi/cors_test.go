// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/pkg/server"
)

func TestRowsOfOtherOrigins(t *testing.T) {
	a := newListed()
	t.Run("M-5 M-24 the whole table mounts with its preflights", func(t *testing.T) {
		rows, err := a.rows()
		if err != nil {
			t.Fatal(err)
		}
		app := newFrame(t, io.Discard)
		for _, r := range rows {
			if err := a.mount(app, r); err != nil {
				t.Error(err)
			}
		}
		if err := compare(app.GetRoutes(true), rows); err != nil {
			t.Error(err)
		}
	})
	t.Run("M-5 the console cookie is shared by four rows", func(t *testing.T) {
		var paths []string
		for _, r := range a.table() {
			if r.shared() == credentialed || r.shared() == credentialedByCode {
				paths = append(paths, r.method+" "+r.path)
			}
		}
		slices.Sort(paths)
		want := []string{"GET /console/api/csrf-token", "GET " + base + "/oauth/device/approval-context", "POST " + base + "/oauth/device/approve", "POST " + base + "/oauth/device/deny"}
		if !slices.Equal(paths, want) {
			t.Errorf("%q", paths)
		}
	})
	for _, tc := range []struct {
		name string
		row  row
	}{
		{"M-5 M-24 a page that shares its cookie", row{method: "GET", path: "/x", caller: page, shape: server.Page, share: credentialed, handle: nothing}},
		{"M-5 M-24 a sign-in that others read", row{method: "POST", path: "/x", caller: signIn, share: readable, handle: nothing}},
		{"M-5 M-24 an open row with cookies", row{method: "GET", path: "/x", caller: open, share: credentialed, handle: nothing}},
		{"DF-40 M-24 a part of the device flow without a place for the switch", row{method: "POST", path: base + "/oauth/device/x", caller: signIn, handle: nothing}},
		{"DF-40 M-24 codes without an account", row{method: "POST", path: "/x", caller: open, codes: true, handle: nothing}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := bare().mount(newFrame(t, io.Discard), tc.row); err == nil {
				t.Error("it is mounted")
			}
		})
	}
	t.Run("M-5 M-24 one path that is shared in two ways", func(t *testing.T) {
		rows := []row{{method: http.MethodGet, path: "/x", caller: open}, {method: http.MethodPost, path: "/x", caller: cookieWrite}}
		if _, err := a.preflights(rows); err == nil {
			t.Error("it is mounted")
		}
	})
}

func newListed() *api {
	a := bare()
	a.Origins = []string{"https://front.example"}
	return a
}

// bare mounts rows and serves none.
func bare() *api { return &api{Deps: Deps{Bearer: &authz.BearerAuthenticator{}}} }
