// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// daSignedIn gives a machine that holds somebody's token, by the environment.
func daSignedIn(t *testing.T, binary string, w *wsWorld, who string) *daMachine {
	t.Helper()
	return &daMachine{t: t, binary: binary, dir: filepath.Join(t.TempDir(), "difyauth"), said: &bytes.Buffer{},
		environ: []string{"DIFYAUTH_TOKEN=" + w.bearers[who], "DIFYAUTH_HOST=" + w.URL}}
}

func TestDifyauthWorksWithWorkspacesAndMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command; not part of test-fast")
	}
	binary := daBuild(t)
	w := wsStart(t)
	second := w.workspace(t, "Second", w.ids["owner"])
	owner, plain := daSignedIn(t, binary, w, "owner"), daSignedIn(t, binary, w, "normal")

	t.Run("API-8 workspaces are listed, one is used, and it is the current one for everybody", func(t *testing.T) {
		owner.t = t
		out, _ := owner.run(0, "workspaces", "list")
		if !regexp.MustCompile(`(?m)^\* .*`+w.id+`$`).MatchString(out) || !regexp.MustCompile(`(?m)^  Second +owner +normal +`+second+`$`).MatchString(out) {
			t.Fatal(out)
		}
		if out, _ := owner.run(0, "workspaces", "use", "Second"); out != "Now working in Second as owner\n" {
			t.Fatal(out)
		}
		out, _ = owner.run(0, "workspaces", "list", "-o", "json")
		var list []struct {
			ID      string
			Current bool
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 || list[0].Current || !list[1].Current || list[1].ID != second {
			t.Fatal(err, out)
		}
		if _, errs := owner.run(1, "workspaces", "use", w.foreign); errs != "difyauth: no workspace of yours has that id: difyauth workspaces list shows them\n" {
			t.Fatal(errs)
		}
		owner.run(0, "workspaces", "switch", w.id)
	})
	t.Run("API-9 API-10 members are invited, given a role and removed, by those who may", func(t *testing.T) {
		owner.t, plain.t = t, t
		out, _ := owner.run(0, "members", "invite", "new@example.com")
		link := regexp.MustCompile(`\n    ` + regexp.QuoteMeta(w.URL) + `/activate\?token=([A-Za-z0-9_-]{43})\n`).FindStringSubmatch(out)
		if link == nil || !strings.HasPrefix(out, "Invited new@example.com as normal.") {
			t.Fatal(out)
		}
		if a := w.Call(t, http.MethodGet, "/activate?token="+link[1], ""); a.Status != http.StatusOK {
			t.Fatalf("the link gives %d %s", a.Status, a.Body)
		}
		if out, _ := owner.run(0, "members", "list"); !regexp.MustCompile(`(?m)new@example\.com +normal +pending `).MatchString(out) || strings.Contains(out, link[1]) {
			t.Fatal(out)
		}
		owner.run(0, "members", "set-role", "NEW@example.com", "admin")
		if _, errs := owner.run(1, "members", "set-role", "new@example.com", "admin"); !strings.Contains(errs, "that is the member's role already") {
			t.Fatal(errs)
		}
		for _, args := range [][]string{{"invite", "x@example.com"}, {"remove", "admin@example.com"}, {"set-role", "admin@example.com", "normal"}} {
			if _, errs := plain.run(1, append([]string{"members"}, args...)...); !strings.Contains(errs, "your role in the workspace does not allow that") {
				t.Fatal(errs)
			}
		}
		if _, errs := owner.run(1, "members", "remove", w.ids["owner"]); !strings.Contains(errs, "you cannot do that to yourself") {
			t.Fatal(errs)
		}
		owner.run(0, "members", "remove", "new@example.com")
		if _, there := w.listed(t, "owner")["new@example.com"]; there {
			t.Fatal("still there")
		}
	})
	t.Run("what was said holds no token", func(t *testing.T) {
		for _, m := range []*daMachine{owner, plain} {
			if said := m.said.String(); said == "" || strings.Contains(said, "dfoa_") || strings.Contains(said, "Bearer") {
				t.Error(said)
			}
		}
	})
}
