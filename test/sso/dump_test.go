// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// secrets are everything that came up on the wire or stands in files, by what it is.
type secrets map[string]string

// in gives what a text holds of them, in clear or encoded.
func (s secrets) in(text string) (found []string) {
	for what, value := range s {
		for how, form := range map[string]string{
			"": value, " in base64": base64.StdEncoding.EncodeToString([]byte(value)), " in base64url": base64.RawURLEncoding.EncodeToString([]byte(value)),
			" in hex": hex.EncodeToString([]byte(value)), " percent-encoded": url.QueryEscape(value),
		} {
			if strings.Contains(text, form) {
				found = append(found, what+how)
			}
		}
	}
	return found
}

// value gives the value of a variable of the environment.
func value(t testing.TB, environ []string, name string) string {
	t.Helper()
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	t.Fatalf("%s is not set", name)
	return ""
}

// dump is every row and every key of both services' stores.
func (in *install) dump() string {
	in.t.Helper()
	var all strings.Builder
	ctx := context.Background()
	for _, environ := range [][]string{in.coreEnviron, in.bridgeEnviron} {
		conn, err := pgx.Connect(ctx, value(in.t, environ, "DATABASE_URL"))
		if err != nil {
			in.t.Fatal(err)
		}
		rows, err := conn.Query(ctx, `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`)
		if err != nil {
			in.t.Fatal(err)
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(tables) < 5 {
			in.t.Fatalf("%d tables: %v", len(tables), err)
		}
		for _, table := range tables {
			rows, err := conn.Query(ctx, `SELECT t::text FROM `+pgx.Identifier{table}.Sanitize()+` t`)
			if err != nil {
				in.t.Fatal(err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				in.t.Fatal(err)
			}
			fmt.Fprintln(&all, table, strings.Join(lines, "\n"))
		}
		if err := conn.Close(ctx); err != nil {
			in.t.Fatal(err)
		}
		in.keysOf(&all, value(in.t, environ, "REDIS_URL"), value(in.t, environ, "REDIS_KEY_PREFIX"))
	}
	return all.String()
}

func (in *install) keysOf(all *strings.Builder, address, prefix string) {
	in.t.Helper()
	ctx := context.Background()
	o, err := redis.ParseURL(address)
	if err != nil {
		in.t.Fatal(err)
	}
	client := redis.NewClient(o)
	defer func() { _ = client.Close() }()
	for each := client.Scan(ctx, 0, prefix+"*", 1000).Iterator(); each.Next(ctx); {
		key := each.Val()
		content := client.Get(ctx, key).Val()
		if content == "" {
			content = fmt.Sprint(client.HGetAll(ctx, key).Val())
		}
		fmt.Fprintln(all, key, content)
	}
}

// Whoever reads every store and every log after a run learns nothing that opens anything.
func TestStoresAndLogsHoldNoSecret(t *testing.T) {
	t.Parallel()
	in, idp := one(t, plan{fleet: true}, nil)
	known := secrets{"client secret": idp.secret, "key of the bridge": bridgeSecret}
	set, err := os.ReadFile(in.keys)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(set), `"secret":"`)
	known["key-set secret"], _, _ = strings.Cut(after, `"`)
	var dumps strings.Builder
	note := func(what string, at *url.URL, names ...string) {
		for _, name := range names {
			if v := at.Query().Get(name); v != "" {
				known[what+" "+name] = v
			}
		}
	}

	w, b := in.client("dumped"), newBrowser(t)
	p := w.chooser(b)
	at := b.hop(p, http.MethodGet, p.link("sso-initiate"), nil)
	for range 20 {
		dumps.WriteString(in.dump())
		next, err := at.url.Parse(at.header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if at.header.Get("Location") == "" {
			break
		}
		if _, ticket, ok := strings.Cut(next.Path, "/sso/start/"); ok {
			known["start ticket"] = ticket
		}
		if strings.HasPrefix(next.String(), idp.issuer) {
			note("to the provider:", next, "state", "nonce")
		}
		note("to us:", next, "state", "code", "sso_assertion")
		at = b.hop(at, http.MethodGet, next.String(), nil)
	}
	at.must(http.StatusOK, "Alice Liddell").submit("approve-external")
	known["token"] = w.token().AccessToken
	known["device code"] = w.auth.DeviceCode
	for _, c := range b.jar.Cookies(mustParse(t, in.core.url+"/openapi/v1/oauth/device/approval")) {
		if c.Name != "lang" && len(c.Value) > 20 {
			known["cookie "+c.Name] = c.Value
		}
	}
	dumps.WriteString(in.dump())

	t.Run("SSO-48 the run is the right one", func(t *testing.T) {
		for _, want := range []string{"start ticket", "to the provider: state", "to the provider: nonce", "to us: sso_assertion", "to us: code", "token"} {
			if known[want] == "" {
				t.Errorf("no %s came up", want)
			}
		}
		if !strings.Contains(dumps.String(), "sso:h:") || !strings.Contains(dumps.String(), "alice@corp.test") {
			t.Error("the dumps have no record of an attempt, or no token row")
		}
	})
	t.Run("SSO-48 OIDC-34 no store and no log holds a secret", func(t *testing.T) {
		for _, found := range known.in(dumps.String()) {
			t.Errorf("the stores hold: %s", found)
		}
		for _, found := range known.in(in.logs()) {
			t.Errorf("the logs hold: %s", found)
		}
	})
	t.Run("SSO-48 SSO-90 no trace names a person", func(t *testing.T) {
		for line := range strings.Lines(in.operate("attempts", "list", "-o", "json")) {
			if strings.Contains(line, "alice") || strings.Contains(line, "Liddell") {
				t.Errorf("a trace says %s", line)
			}
		}
	})
}

func mustParse(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
