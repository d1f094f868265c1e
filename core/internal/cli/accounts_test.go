// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"regexp"
	"strings"
	"testing"
)

// Through the socket of a server the same is said: apitest has that story.
func TestAccountsOfAnOperator(t *testing.T) {
	dir := t.TempDir()
	if got := run(t, dir, "", "admin", "setup-code"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if got := run(t, dir, "a password of bob's", "admin", "create-account", "--email", "a@b.c", "--name", "A", "--password-file", "-"); got.code != 1 || !strings.Contains(got.err, `"core admin create-owner" makes the first account`) {
		t.Errorf("before the set-up: %+v", got)
	}
	dir = adInstalled(t)
	const password = "a password of bob's"
	for _, step := range []struct {
		stdin, args string
		code        int
		out         string // a pattern, as err
		err         string
	}{
		{password, "create-account --email Bob@example.com --name Bob --password-file -", 0, `^Account [0-9a-f-]{36} created for bob@example\.com\.\n$`, `^$`},
		{password, "create-account --email bob@example.com --name Bob --password-file -", 1, `^$`, `An account has this e-mail already, and nothing was done\. "core admin list-accounts`},
		{"short", "create-account --email eve@example.com --name Eve --password-file -", 1, `^$`, `password too short`},
		{"", "list-accounts", 0, `^ID +E-MAIL +NAME +STATUS +ADMIN +LAST SIGN-IN +CREATED\n[0-9a-f-]{36}  bob@example\.com  Bob   active  no     never .*\n[0-9a-f-]{36}  ada@example\.com  Ada   active  yes    never .*\n$`, `^$`},
		{"", "list-accounts --limit 1 -o json", 0, `^\{"page":1,"limit":1,"total":2,"has_more":true,"data":\[\{"id":"[0-9a-f-]{36}","email":"bob@example\.com",.*"deployment_admin":false,"has_password":true,"last_login_at":null,`, `^$`},
		{"", "list-accounts --limit 1", 0, `bob`, `^1 of 2; --page 2 goes on\.\n$`},
		{"", "list-accounts --status banned", 0, `^$`, `^No accounts here; 0 in all\.\n$`},
		{"", "grant-admin bob@example.com", 0, `^bob@example\.com is a deployment administrator now\.\n$`, `^$`},
		{"", "grant-admin bob@example.com", 0, `is a deployment administrator: nothing to change\.\n$`, `^$`},
		{"", "revoke-admin ada@example.com -o json", 0, `"email":"ada@example\.com","deployment_admin":false,"changed":true\}`, `^$`},
		{"", "revoke-admin bob@example.com", 1, `^$`, `last active deployment administrator`},
		{password + "2", "set-password bob@example.com --password-file -", 0, `^The password of bob@example\.com is set: 0 tokens revoked, 0 browsers signed out\.\n$`, `^$`},
		{"", "set-status ada@example.com banned", 0, `banned now`, `^$`},
		{"", "grant-admin ada@example.com", 1, `^$`, `not active, and nothing was done\. Set it to active first`},
		{password, "set-password ada@example.com --password-file - --revoke-tokens", 0, `The account is banned and signs in once it is active: core admin set-status ada@example\.com active\n$`, `^$`},
	} {
		got := run(t, dir, step.stdin, append([]string{"admin"}, strings.Fields(step.args)...)...)
		if got.code != step.code || !regexp.MustCompile(step.out).MatchString(got.out) || !regexp.MustCompile(step.err).MatchString(got.err) {
			t.Errorf("%s: %+v", step.args, got)
		}
		if strings.Contains(got.out+got.err, password) {
			t.Errorf("%s: the password is in the output", step.args)
		}
	}
	got := run(t, dir, "", "audit", "export", "--until", "0s")
	_, names := arLines(t, got.out)
	if want := "account.setup account.created oauth.subject_revoked account.admin_granted account.admin_revoked account.password_changed account.status_changed oauth.subject_revoked account.password_changed"; strings.Join(names, " ") != want {
		t.Errorf("%v", names)
	}
	if n := strings.Count(got.out, `"actor_type":"operator","actor_id":"cli:`); n != len(names) {
		t.Errorf("%d of %d by an operator", n, len(names))
	}
}
