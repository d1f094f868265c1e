// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/cli"
)

// appKey is a key that nothing may show.
const appKey = "app-SecretOfTheHelpDesk01"

// runner runs a command on one installation.
type runner func(t *testing.T, stdin string, args ...string) result

// appFiles writes the files that the commands read, and gives their directory.
func appFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"key": appKey + "\nsecond line\n", "empty": "\n",
		"config.json": `{"user_input_form":[{"number":{"variable":"n","required":true}}]}`, "list.json": `[1]`, "odd.json": `{"surprise":1}`,
		"apps.yaml": `version: 1
apps:
  - name: Help desk
    mode: chat
    description: for everybody
    runtime_url: http://runtime.invalid:9
    runtime_key_file: ` + filepath.Join(dir, "key") + `
    tags: [help, desk]
    access_mode: internal
    allowed: [ada@example.com]
    runtime_features: { human_input: true }
  - workspace: Engines
    name: Numbers
    mode: workflow
    runtime: echo
    runtime_config:
      user_input_form: [{ number: { variable: n, required: true } }]
      echo: { pauses: [{ title: Sure?, actions: [{ id: "yes", title: Yes }] }] }
`,
		"unknown.yaml": "version: 1\napps:\n  - name: A\n    mode: chat\n    runtime_key: " + appKey + "\n",
		"typed.yaml":   "version: 1\napps:\n  - name: [" + appKey + "]\n",
		"twice.yaml":   "version: 1\napps:\n  - name: A\n    name: " + appKey + "\n",
		"none.yaml":    "version: 1\napps: []\n", "two.yaml": "version: 2\napps: []\n", "nothing.yaml": "",
		"wrong.yaml":   "version: 1\napps:\n  - name: Fine\n    mode: chat\n    runtime: echo\n  - name: Bad\n    mode: talk\n    runtime: echo\n    runtime_config: { surprise: 1 }\n",
		"nowhere.yaml": "version: 1\napps:\n  - name: Fine\n    workspace: Nowhere\n    mode: chat\n    runtime: echo\n",
		"badkey.yaml":  "version: 1\napps:\n  - name: A\n    mode: chat\n    runtime_key_file: \"-\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tellApps is what is done with apps on every kind of installation.
func tellApps(t *testing.T, do runner) {
	t.Helper()
	files := appFiles(t)
	for _, step := range []struct {
		args string
		code int
		out  string // a pattern, as err
		err  string
	}{
		{"list", 0, `^$`, `^No apps here; 0 in all\.\n$`},
		{"list --workspace Engines -o json", 0, `^\{"page":1,"limit":50,"total":0,"has_more":false,"data":\[\]\}\n$`, `^$`},
		{"import DIR/apps.yaml --dry-run", 0, `(?s)^create Help desk \(Engines\)\n.*  runtime_key: set\n.*create Numbers \(Engines\)\n.*2 would be created, 0 would be updated, 0 unchanged\. Nothing was done\.\n$`, `^$`},
		{"list", 0, `^$`, `0 in all`},
		{"import DIR/apps.yaml", 0, `(?s)^create Help desk \(Engines\) [0-9a-f-]{36}\n.*2 created, 0 updated, 0 unchanged\.\n$`, `^$`},
		{"import DIR/apps.yaml", 0, `^Nothing changes: 2 apps are as declared\.\n$`, `^$`},
		{"import DIR/apps.yaml --dry-run -o json", 0, `^\{"dry_run":true,"apps":\[\{"action":"unchanged","app_id":"[0-9a-f-]{36}",`, `^$`},
		{"list", 0, `^ID +NAME +MODE +WORKSPACE +RUNTIME +ACCESS +API +KEY +STATUS\n[0-9a-f-]{36}  (Numbers +workflow +Engines +echo +internal_all +on +none|Help desk +chat +Engines +dify +internal +on +set) +normal\n`, `^$`},
		{"list --limit 1", 0, ``, `^1 of 2; --page 2 goes on\.\n$`},
		{"list --limit 1 --page 2 --workspace Engines -o json", 0, `^\{"page":2,"limit":1,"total":2,"has_more":false,"data":\[\{`, `^$`},
		{"list --workspace Nowhere", 0, `^$`, `0 in all`},
		{"list --limit 201", 2, `^$`, `--limit: must be 1 to 200`},
		{"show Help_desk", 0, `(?s)^id +[0-9a-f-]{36}\nname +Help desk\n.*runtime address +http://runtime\.invalid:9\nruntime key +set, fingerprint [0-9a-f]{8}\n.*offers +runs, human input\n.*allowed +owners and admins, ada@example\.com\n`, `^$`},
		{"show Help_desk -o json", 0, `"runtime_key":\{"set":true,"fingerprint":"[0-9a-f]{8}"\},"runtime_config":null,"runtime_features":\{"human_input":true\},"api_enabled":true,"access_mode":"internal","allowed":\[\{"account_id":"[0-9a-f-]{36}","email":"ada@example\.com"`, `^$`},
		{"show Nobody", 1, `^$`, `No app has this id or name, and nothing was done\. "core app list" has them all`},
		{"show 0190d1f4-7c3a-7b1e-9c55-0242ac120002", 1, `^$`, `No app has this id or name`},
		{"show Numbers --workspace Nowhere", 1, `^$`, `No app has this id or name`},
		{"show", 2, `^$`, `0 arguments given, and it is: core app show APP`},
		{"add Help_desk --mode chat --runtime echo", 1, `^$`, `has an app of this name already, and nothing was done\. "core app set" changes it`},
		{"add Second --mode chat --runtime echo --tag a --tag b --max-active 3", 0, `^App [0-9a-f-]{36} created in Engines: Second\.\n$`, `^$`},
		{"add Third", 2, `^$`, `--mode is required`},
		{"add Third --mode talk --runtime ecko", 2, `^$`, `--mode: must be chat, .*; --runtime: must be dify or echo`},
		{"add Third --mode chat --access public", 2, `^$`, `--access: lets people without an account in, and is of the Enterprise Edition alone`},
		{"add Third --mode chat --runtime echo --workspace Nowhere", 2, `^$`, `--workspace: no such workspace`},
		{"add Third --mode chat --runtime-url ftp://x", 2, `^$`, `--runtime-url: must be an http or https address`},
		{"add Third --mode chat --runtime echo --runtime-config DIR/list.json", 1, `^$`, `--runtime-config: it is no JSON object`},
		{"add Third --mode chat --runtime echo --runtime-config DIR/odd.json", 2, `^$`, `--runtime-config: does not hold: "surprise" is no member`},
		{"add Third --mode chat --runtime echo --key-file DIR/empty", 1, `^$`, `--key-file: its first line is empty`},
		{"add Third --mode chat --runtime echo --key-file - --runtime-config -", 2, `^$`, `cannot both be read from standard input`},
		{"add Third --mode chat --allow nobody@example.com --access internal --runtime echo", 2, `^$`, `--allow: `},
		{"set Second --runtime-config DIR/config.json --tag= --name 2nd", 0, `(?s)^update 2nd \(Engines\) [0-9a-f-]{36}\n.*  tags: .*0 created, 1 updated, 0 unchanged\.\n$`, `^$`},
		{"set 2nd --mode chat", 0, `^Nothing changes: 1 app is as declared\.\n$`, `^$`},
		{"set 2nd --mode talk", 2, `^$`, `--mode: must be`},
		{"set Help_desk --no-key --key-file x", 2, `^$`, `--no-key does not go with --key-file`},
		{"set Help_desk --no-key --dry-run", 0, `(?s)runtime_key: set -> removed|runtime_key: .* -> removed`, `^$`},
		{"set Help_desk --dsl --access internal_all", 0, `(?s)access_mode: internal -> internal_all.*1 updated`, `^$`},
		{"show Help_desk -o json", 0, `"runtime_features":\{"dsl":true,"human_input":true\}`, `^$`},
		{"import DIR/unknown.yaml", 1, `^$`, `unknown\.yaml: line 5, column 5: this member is not known\n$`},
		{"import DIR/typed.yaml", 1, `^$`, `typed\.yaml: line 3, column \d+: it cannot be read`},
		{"import DIR/twice.yaml", 1, `^$`, `twice\.yaml: line 4, column \d+: it cannot be read`},
		{"import DIR/none.yaml", 1, `^$`, `it declares no app`},
		{"import DIR/two.yaml", 1, `^$`, `version must be 1`},
		{"import DIR/nothing.yaml", 1, `^$`, `nothing\.yaml: `},
		{"import DIR/badkey.yaml", 1, `^$`, `app 1: runtime_key_file must name a file`},
		{"import DIR/wrong.yaml", 1, `^$`, `(?s)nothing was done:\n  app 2 \(Bad\): runtime_config: does not hold`},
		{"import DIR/nowhere.yaml", 1, `^$`, `app 1 \(Fine\): workspace: no such workspace`},
		{"import DIR/absent.yaml", 1, `^$`, `absent\.yaml: no such file`},
		{"show Fine", 1, `^$`, `No app`},
		{"check 2nd", 0, `^2nd: The app runs on the echo runtime of this process\.\n$`, `^$`},
		{"check 2nd -o json", 0, `^\{"app_id":"[0-9a-f-]{36}","name":"2nd","workspace":"Engines","runtime":"echo","ok":true,"text":`, `^$`},
		{"set 2nd --api=false --status archived", 0, `(?s)api_enabled: true -> false\n.*status: normal -> archived`, `^$`},
		{"check 2nd", 0, `runs on the echo`, `2nd: Its API is off, so nobody runs it: core app set [0-9a-f-]{36} --api\n2nd: It is archived`},
		{"remove 2nd --yes", 0, `^App [0-9a-f-]{36} \(2nd, in Engines\) is removed\.\n$`, `^$`},
		{"remove 2nd", 1, `^$`, `No app has this id or name`},
		{"remove Numbers -o json", 0, `^\{"app_id":"[0-9a-f-]{36}","name":"Numbers","workspace":"Engines"\}\n$`, `^$`},
		{"list -o json", 0, `"total":1,`, `^$`},
		{"lisst", 2, `^$`, `core app has no command "lisst"`},
	} {
		args := []string{"app"}
		for arg := range strings.FieldsSeq(strings.ReplaceAll(step.args, "DIR", files)) {
			args = append(args, strings.ReplaceAll(arg, "Help_desk", "Help desk"))
		}
		got := do(t, "", args...)
		if got.code != step.code || !regexp.MustCompile(step.out).MatchString(got.out) || !regexp.MustCompile(step.err).MatchString(got.err) {
			t.Errorf("%s: exit %d\n%s%s", step.args, got.code, got.out, got.err)
		}
		if strings.Contains(got.out+got.err, appKey) {
			t.Errorf("%s: the key is in the output", step.args)
		}
	}
	keys := func() string {
		var a struct {
			Key struct{ Fingerprint string } `json:"runtime_key"`
		}
		if got := do(t, "", "app", "show", "Help desk", "-o", "json"); json.Unmarshal([]byte(got.out), &a) != nil {
			t.Errorf("%+v", got)
		}
		return a.Key.Fingerprint
	}
	first := keys()
	if got := do(t, "another-key-of-the-desk", "app", "set", "Help desk", "--key-file", "-"); got.code != 0 || !strings.Contains(got.out, "runtime_key: ") || strings.Contains(got.out, "another-key") {
		t.Errorf("%+v", got)
	}
	second := keys()
	if got := do(t, appKey, "app", "set", "Help desk", "--key-file", "-"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if third := keys(); first == "" || first == second || third != first {
		t.Errorf("fingerprints %q, %q, %q", first, second, third)
	}
}

// appEvents are the events of tellApps in the audit trail.
func appEvents(t *testing.T, do runner) {
	t.Helper()
	got := do(t, "", "audit", "export", "--until", "0s")
	_, names := arLines(t, got.out)
	count := map[string]int{}
	for _, n := range names {
		count[n]++
	}
	if count["app.created"] != 3 || count["app.deleted"] != 2 || count["app.updated"] == 0 {
		t.Errorf("%v", count)
	}
	if strings.Contains(got.out, appKey) {
		t.Error("the key is in the audit trail")
	}
}

func TestAppsOfAnOperator(t *testing.T) {
	dir := adInstalled(t)
	do := func(t *testing.T, stdin string, args ...string) result { return run(t, dir, stdin, args...) }
	tellApps(t, do)
	appEvents(t, do)
	t.Run("a person is asked before an app goes", func(t *testing.T) {
		if got := adRun(t, dir, "n\n", "app", "remove", "Help desk"); got.code != 1 || !strings.Contains(got.err, "Remove the app Help desk? [y/N]") || !strings.Contains(got.err, "nothing was done") {
			t.Errorf("%+v", got)
		}
		if got := adRun(t, dir, "y\n", "app", "remove", "Help desk"); got.code != 0 {
			t.Errorf("%+v", got)
		}
	})
	if got := run(t, t.TempDir(), "", "app", "list"); got.code != 1 || !strings.Contains(got.err, "there is no installation in") {
		t.Errorf("%+v", got)
	}
}

func TestAppsBesideARunningServer(t *testing.T) {
	dir := adInstalled(t)
	var log apitest.Buffer
	_, finished := serving(t, cli.Env{Stdin: strings.NewReader(""), Stdout: &log, Stderr: &log, Environ: []string{"DATA_DIR=" + dir}, Version: "1.2.3"})
	do := func(t *testing.T, stdin string, args ...string) result { return run(t, dir, stdin, args...) }
	tellApps(t, do)
	if code := finished(); code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, operation := range []string{"declare-apps", "check-app", "remove-app"} {
		if !strings.Contains(log.String(), `"operation":"`+operation+`"`) {
			t.Errorf("the server was not asked for %s", operation)
		}
	}
	if strings.Contains(log.String(), appKey) {
		t.Error("the key is in the log")
	}
	appEvents(t, do)
}

func TestAppsOfAFleet(t *testing.T) {
	f := newPgFleet(t)
	do := func(_ *testing.T, stdin string, args ...string) result { return f.run(nil, stdin, args...) }
	if got := do(t, "", "migrate", "up"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if got := do(t, apitest.OwnerPassword, owner()...); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	tellApps(t, do)
	appEvents(t, do)
}

// until asks again and again, for ten seconds.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for begun := time.Now(); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("it has not come to that")
		}
	}
}

func TestSeedsOfADevelopmentServer(t *testing.T) {
	seed := filepath.Join("..", "..", "..", "deploy", "dev", "apps.yaml")
	dir := t.TempDir()
	var log apitest.Buffer
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: &log, Stderr: &log, Environ: []string{"DATA_DIR=" + dir}, Version: "1.2.3"}
	_, finished := serving(t, env, "--seed-apps", seed)
	if got := run(t, dir, apitest.OwnerPassword, owner()...); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	until(t, func() bool { return strings.Contains(log.String(), `"msg":"apps are made","count":4`) })
	got := run(t, dir, "", "app", "list", "-o", "json")
	if strings.Count(got.out, `"runtime":"echo"`) != 4 {
		t.Errorf("%+v", got)
	}
	for _, name := range []string{"Echo chat", "Echo completion", "Echo workflow", "Echo approval"} {
		if got := run(t, dir, "", "app", "check", name); got.code != 0 || got.err != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := run(t, dir, "", "app", "remove", "Echo chat"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if code := finished(); code != 0 {
		t.Errorf("exit %d: %s", code, log.String())
	}

	t.Run("where there are apps none comes back", func(t *testing.T) {
		_, finished := serving(t, env, "--seed-apps", seed)
		if got := run(t, dir, "", "app", "list", "-o", "json"); strings.Count(got.out, `"runtime":"echo"`) != 3 {
			t.Errorf("%+v", got)
		}
		finished()
		if got := run(t, dir, "", "app", "list", "-o", "json"); strings.Count(got.out, `"runtime":"echo"`) != 3 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a file that does not hold keeps a server from starting", func(t *testing.T) {
		files := appFiles(t)
		if got := run(t, t.TempDir(), "", "serve", "--listen", "127.0.0.1:0", "--inner-listen", "127.0.0.1:0", "--seed-apps", filepath.Join(files, "none.yaml")); got.code != 1 || !strings.Contains(got.err, "--seed-apps: ") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("the file of the Enterprise Edition is one, too", func(t *testing.T) {
		got := run(t, dir, "", "app", "import", filepath.Join(filepath.Dir(seed), "apps-ee.yaml"), "--dry-run")
		if got.code != 1 || !strings.Contains(got.err, "access_mode: lets people without an account in, and is of the Enterprise Edition alone") {
			t.Errorf("%+v", got)
		}
	})
}
