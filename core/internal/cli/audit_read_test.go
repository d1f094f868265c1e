// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/cli"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

var arNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// arTrail is a directory whose trail holds events of some ages in days.
func arTrail(t *testing.T, ages ...int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if got := auAt(t, dir, arNow, "migrate", "up"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	auEvents(t, auOpen(t, dir), arNow, ages...)
	return dir
}

// arLines gives the ids and names of exported lines.
func arLines(t *testing.T, text string) (ids, names []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e struct{ ID, Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%v: %q", err, line)
		}
		ids, names = append(ids, e.ID), append(names, e.Event)
	}
	return ids, names
}

func TestAuditList(t *testing.T) {
	dir := arTrail(t, 3, 1, 2)
	t.Run("a table, newest first", func(t *testing.T) {
		got := auAt(t, dir, arNow, "audit", "list")
		want := regexp.MustCompile(`^AT +EVENT +ACTOR +ADDRESS +FIELDS\n2026-02-28 12:00:00Z +test\.1 +system +- +\{\}\n2026-02-27 12:00:00Z +test\.2 .*\n2026-02-26 12:00:00Z +test\.0 .*\n$`)
		if got.code != 0 || !want.MatchString(got.out) || got.err != "" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a limit says that there is more, and JSON too", func(t *testing.T) {
		got := auAt(t, dir, arNow, "audit", "list", "--limit", "2")
		if got.code != 0 || strings.Count(got.out, "\n") != 3 || !strings.Contains(got.err, "The newest 2; a larger --limit") {
			t.Errorf("%+v", got)
		}
		got = auAt(t, dir, arNow, "audit", "list", "--limit", "2", "-o", "json")
		if got.code != 0 || got.err != "" || !strings.HasPrefix(got.out, `{"limit":2,"has_more":true,"data":[{"id":"`) || !strings.Contains(got.out, `"at":"2026-02-28T12:00:00Z","event":"test.1","actor_type":"system","request_id":"r","fields":{}}`) {
			t.Errorf("%+v", got)
		}
		if got = auAt(t, dir, arNow, "audit", "list", "--since", "1h", "-o", "json"); got.out != `{"limit":50,"has_more":false,"data":[]}`+"\n" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("filters", func(t *testing.T) {
		for args, want := range map[string]int{
			"--since 36h": 1, "--since 2026-02-27T12:00:00Z": 2, "--event test.nothing": 0, "--subject " + strings.Repeat("a", 64): 0, "--token " + adID: 0, "--account " + adID: 0,
		} {
			got := auAt(t, dir, arNow, append([]string{"audit", "list"}, strings.Fields(args)...)...)
			if got.code != 0 || max(0, strings.Count(got.out, "\n")-1) != want {
				t.Errorf("%s: %+v", args, got)
			}
		}
	})
	t.Run("what is wrong is a usage error that says what would be right", func(t *testing.T) {
		for args, want := range map[string]string{
			"list --since yesterday": "--since must be a time such as", "list --since -1h": "--since must be a time such as", "list --event A": "--event must be the name",
			"list --subject x": "--subject must be a subject key", "list --token x": "--token must be the id", "list --account x": "--account must be an account's id or e-mail",
			"list --limit 0": "--limit must be 1 to 1000", "list --limit 1001": "--limit must be 1 to 1000", "list x": "unexpected argument", "list -o yaml": "-o takes text or json",
			"list --account a@b.c --subject " + strings.Repeat("a", 64): "do not go together", "export --until x": "--until must be a time", "export --after x": "--after must be the id of an event",
		} {
			got := auAt(t, dir, arNow, append([]string{"audit"}, strings.Fields(args)...)...)
			if got.code != 2 || !strings.Contains(got.err, want) || got.out != "" {
				t.Errorf("%s: %+v", args, got)
			}
		}
	})
	t.Run("nobody, and nothing there", func(t *testing.T) {
		if got := auAt(t, dir, arNow, "audit", "list", "--account", "eve@example.com"); got.code != 1 || !strings.Contains(got.err, "no account has this e-mail") {
			t.Errorf("%+v", got)
		}
		none := filepath.Join(t.TempDir(), "none")
		for _, words := range []string{"list", "export"} {
			if got := auAt(t, none, arNow, "audit", words); got.code != 1 || !strings.Contains(got.err, "there is no installation in "+none) {
				t.Errorf("%+v", got)
			}
		}
		if _, err := os.Stat(none); !os.IsNotExist(err) {
			t.Errorf("made: %v", err)
		}
	})
	t.Run("every command has examples", func(t *testing.T) {
		for _, words := range []string{"list", "export", "prune"} {
			if got := auAt(t, dir, arNow, "audit", words, "--help"); got.code != 0 || !strings.Contains(got.out, "\n  core audit "+words) {
				t.Errorf("%s: %+v", words, got)
			}
		}
	})
}

func TestAuditExport(t *testing.T) {
	ages := make([]int, 1203) // three pages
	for i := range ages {
		ages[i] = 1 + i%7 // many share an instant
	}
	dir := arTrail(t, ages...)
	got := auAt(t, dir, arNow, "audit", "export")
	all, _ := arLines(t, got.out)
	t.Run("every event once, the oldest first", func(t *testing.T) {
		seen := map[string]bool{}
		for _, id := range all {
			seen[id] = true
		}
		if got.code != 0 || got.err != "" || len(all) != len(ages) || len(seen) != len(ages) || !strings.Contains(got.out[:200], `"at":"2026-02-22T12:00:00Z"`) {
			t.Errorf("exit %d, %q, %d lines, %d ids", got.code, got.err, len(all), len(seen))
		}
	})
	t.Run("into a file of 0600, which a second export does not overwrite and a resumed one continues", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "events.jsonl")
		got := auAt(t, dir, arNow, "audit", "export", "--to", file, "--until", "84h", "-o", "json")
		info, err := os.Stat(file)
		if got.code != 0 || err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%+v, %v %v", got, info, err)
		}
		content, _ := os.ReadFile(file)
		first, _ := arLines(t, string(content))
		last := first[len(first)-1]
		if want := fmt.Sprintf(`{"exported":%d,"last_id":%q,"file":%q}`+"\n", len(first), last, file); got.out != want || len(first) >= len(all) {
			t.Errorf("%s, want %s", got.out, want)
		}
		if got := auAt(t, dir, arNow, "audit", "export", "--to", file); got.code != 1 || !strings.Contains(got.err, "exists already") {
			t.Errorf("%+v", got)
		}
		if got := auAt(t, dir, arNow, "audit", "export", "--to", file, "--after", last); got.code != 0 || !strings.HasPrefix(got.out, fmt.Sprint(len(all)-len(first), " events exported to ")) {
			t.Errorf("%+v", got)
		}
		content, _ = os.ReadFile(file)
		if both, _ := arLines(t, string(content)); strings.Join(both, " ") != strings.Join(all, " ") {
			t.Errorf("%d lines, %d in one export", len(both), len(all))
		}
	})
	t.Run("the last minute waits for the next time, unless it is asked for", func(t *testing.T) {
		fresh := arTrail(t, 1, 0)
		if got := auAt(t, fresh, arNow.Add(time.Second), "audit", "export"); strings.Count(got.out, "\n") != 1 {
			t.Errorf("%+v", got)
		}
		if got := auAt(t, fresh, arNow.Add(time.Second), "audit", "export", "--until", "0s"); strings.Count(got.out, "\n") != 2 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("an event that was pruned is no place to go on from", func(t *testing.T) {
		if got := auAt(t, dir, arNow, "audit", "export", "--after", canon.NewID()); got.code != 1 || !strings.Contains(got.err, "go on with --since") {
			t.Errorf("%+v", got)
		}
	})
	for _, watched := range []bool{true, false} {
		t.Run(fmt.Sprintf("after two seconds a person is told how far it is: %t", watched), func(t *testing.T) {
			var out, errs bytes.Buffer
			clock := arNow
			code := cli.Run([]string{"audit", "export"}, cli.Env{
				Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Environ: []string{"DATA_DIR=" + dir}, Version: "1", Watched: watched,
				Options: app.Options{Now: func() time.Time { clock = clock.Add(1500 * time.Millisecond); return clock }},
			})
			if code != 0 || watched != strings.HasSuffix(errs.String(), "\r1203 events, up to 2026-02-28 12:00:00Z\n") || !watched && errs.Len() > 0 {
				t.Errorf("exit %d: %q", code, errs.String())
			}
		})
	}
	t.Run("a reader that goes away is told where to go on", func(t *testing.T) {
		var errs bytes.Buffer
		code := cli.Run([]string{"audit", "export"}, cli.Env{
			Stdin: strings.NewReader(""), Stdout: &arFull{room: 1}, Stderr: &errs, Environ: []string{"DATA_DIR=" + dir}, Version: "1",
			Options: app.Options{Now: func() time.Time { return arNow }},
		})
		if code != 1 || !strings.Contains(errs.String(), "stopped after 500 events, go on with --after "+all[499]) {
			t.Errorf("exit %d: %s", code, errs.String())
		}
	})
}

// arFull takes so many writes.
type arFull struct{ room int }

func (f *arFull) Write(p []byte) (int, error) {
	if f.room--; f.room < 0 {
		return 0, os.ErrClosed
	}
	return len(p), nil
}
