// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryCommandHasAManualPage(t *testing.T) {
	s := newStage(t)
	dir := filepath.Join(t.TempDir(), "man1")
	s.expect(0, "man", "--dir", dir)
	for page, says := range map[string]string{
		"difyauth": ".BR difyauth\\-devices (1)", "difyauth-login": `.B \-\-qr`, "difyauth-devices-revoke": ".BR difyauth\\-devices (1)",
		"difyauth-status": "cannot be reached, so nobody knows", "difyauth-man": `.B \-\-dir string`,
		"difyauth-run": `.B \-i, \-\-input key=text`, "difyauth-resume": "A form is answered once", "difyauth-apps-list": `\-\-all\-workspaces`, "difyauth-members-invite": "holds for 72 hours",
	} {
		content, err := os.ReadFile(filepath.Join(dir, page+".1"))
		if err != nil || !strings.HasPrefix(string(content), `.TH "`) || !strings.Contains(string(content), says) {
			t.Errorf("%s: %v\n%s", page, err, content)
		}
	}
	if pages, _ := os.ReadDir(dir); len(pages) != 25 {
		t.Errorf("%d pages", len(pages))
	}
}

func TestEveryShellHasItsScript(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := newStage(t).expect(0, "completion", shell); !strings.Contains(r.out, "__complete") || len(r.out) < 2000 {
			t.Errorf("%s: %d bytes", shell, len(r.out))
		}
	}
}
