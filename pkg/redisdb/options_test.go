// SPDX-License-Identifier: Apache-2.0

package redisdb

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		url  string
		mode Mode
		want string // addresses, user, password, database, encrypted
	}{
		{"redis://one", Single, "one:6379   0 false"},
		{"redis://one:7000/3", Single, "one:7000   3 false"},
		{"redis://[2001:db8::1]:7000", Single, "[2001:db8::1]:7000   0 false"},
		{"rediss://user:p%2C%40ss@one", Single, "one:6379 user p,@ss 0 true"},
		{"redis://:pass@one", Single, "one:6379  pass 0 false"},
		{"redis://one,two:1, three", Cluster, "one:6379,two:1,three:6379   0 false"},
		{"redis://u:p@one/0,redis://two", Cluster, "one:6379,two:6379 u p 0 false"},
		{"redis://one,two/4", Sentinel, "one:26379,two:26379   4 false"},
		{"rediss://u:p@one/2,rediss://u:p@two/2", Sentinel, "one:26379,two:26379 u p 2 true"},
	} {
		got, encrypted, err := parseURL(c.url, c.mode)
		if text := fmt.Sprint(strings.Join(got.addrs, ","), " ", got.username, " ", got.password, " ", got.db, " ", encrypted); err != nil || text != c.want {
			t.Errorf("%s: %q, %v; want %q", c.url, text, err, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	const hidden = "pa55word"
	junk := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(junk, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := func(s string) Options { return Options{URL: secret.New(s)} }
	for _, c := range []struct {
		name string
		o    Options
		want []string
	}{
		{"an address", url("redis://one"), nil},
		{"everything of a sentinel", Options{URL: secret.New("redis://one,two/1"), Mode: Sentinel, MasterName: "m", SentinelPassword: secret.New("x"), KeyPrefix: "core:a_b-1", PoolSize: 4}, nil},
		{"a cluster of one address", Options{URL: secret.New("redis://one"), Mode: Cluster}, nil},
		{"nothing", Options{}, []string{SettingURL}},
		{"another scheme", url("http://u:" + hidden + "@one"), []string{SettingURL}},
		{"no scheme", url("u:" + hidden + "@one"), []string{SettingURL}},
		{"a bad escape", url("redis://u:" + hidden + "%zz@one"), []string{SettingURL}},
		{"a comma in the password", url("redis://u:" + hidden + ",x@one"), []string{SettingURL}},
		{"no host", url("redis://:6379"), []string{SettingURL}},
		{"an empty address", url("redis://one,"), []string{SettingURL}},
		{"a query", url("redis://one?password=" + hidden), []string{SettingURL}},
		{"a fragment", url("redis://one#" + hidden), []string{SettingURL}},
		{"a database that is no number", url("redis://one/" + hidden), []string{SettingURL}},
		{"several databases", Options{URL: secret.New("redis://one/1,redis://two/2"), Mode: Sentinel, MasterName: "m"}, []string{SettingURL}},
		{"several passwords", Options{URL: secret.New("redis://:" + hidden + "@one,redis://:x@two"), Mode: Cluster}, []string{SettingURL}},
		{"two schemes", Options{URL: secret.New("rediss://one,redis://two"), Mode: Cluster}, []string{SettingURL}},
		{"several servers, no mode", url("redis://one,two"), []string{SettingURL}},
		{"a database in a cluster", Options{URL: secret.New("redis://one/1"), Mode: Cluster}, []string{SettingURL}},
		{"an unknown mode", Options{URL: secret.New("redis://one"), Mode: "replica"}, []string{SettingMode}},
		{"a sentinel without a name", Options{URL: secret.New("redis://one"), Mode: Sentinel}, []string{SettingMasterName}},
		{"a sentinel's settings elsewhere", Options{URL: secret.New("redis://one"), MasterName: "m", SentinelPassword: secret.New(hidden)}, []string{SettingMasterName, SettingSentinelPassword}},
		{"a prefix too long", Options{URL: secret.New("redis://one"), KeyPrefix: strings.Repeat("a", 33)}, []string{SettingKeyPrefix}},
		{"a prefix with a brace", Options{URL: secret.New("redis://one"), KeyPrefix: "{a}"}, []string{SettingKeyPrefix}},
		{"a prefix with a line's end", Options{URL: secret.New("redis://one"), KeyPrefix: "a\n"}, []string{SettingKeyPrefix}},
		{"a pool below nought", Options{URL: secret.New("redis://one"), PoolSize: -1}, []string{SettingPoolSize}},
		{"roots that are not asked for", Options{URL: secret.New("redis://one"), CAFile: junk}, []string{SettingCAFile}},
		{"roots that are none", Options{URL: secret.New("rediss://one"), CAFile: junk}, []string{SettingCAFile}},
		{"roots that are not there", Options{URL: secret.New("rediss://one"), CAFile: junk + "x"}, []string{SettingCAFile}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, p := range c.o.Validate() {
				got = append(got, p.Setting)
				if strings.Contains(p.Error(), hidden) {
					t.Errorf("it tells the password: %v", p)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("problems with %q, want %q", got, c.want)
			}
			if _, err := Open(t.Context(), c.o); c.want != nil && err == nil {
				t.Error("opened")
			}
		})
	}
}

func TestKey(t *testing.T) {
	db := &DB{prefix: "core:"}
	for _, c := range []struct {
		got, want string
	}{
		{db.Key("dg:g", "00ff"), "core:dg:g:{00ff}"},
		{db.Key("auth", "00ff", "ctx"), "core:auth:{00ff}:ctx"},
		{db.Key("rl:x", "2001:db8::/64"), "core:rl:x:{2001:db8::/64}"},
		{db.Key("rl:x", "a}b{c%"), "core:rl:x:{a%7Db%7Bc%25}"},
		{db.Key("rl:x", ""), "core:rl:x:{%}"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
