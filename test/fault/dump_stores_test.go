// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dump is what both stores hold, all of it, at every moment at which it was taken.
type dump struct {
	content bytes.Buffer
	rows    map[string]int // by table
	kinds   map[string]int // by kind of key
	keys    []string
}

func (d *dump) take(f *fleet) {
	f.t.Helper()
	if d.rows == nil {
		d.rows, d.kinds = map[string]int{}, map[string]int{}
	}
	for _, table := range f.texts(`SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`) {
		for _, row := range f.texts(`SELECT row_to_json(t)::text FROM ` + table + ` t`) { // raw bytes become hex
			d.rows[table]++
			_, _ = fmt.Fprintln(&d.content, table, row)
		}
	}
	ctx := context.Background()
	for _, key := range f.store.Keys(ctx, "*").Val() {
		var value any
		var err error
		kind := f.store.Type(ctx, key).Val()
		switch kind {
		case "string":
			value, err = f.store.Get(ctx, key).Result()
		case "hash":
			value, err = f.store.HGetAll(ctx, key).Result()
		case "list":
			value, err = f.store.LRange(ctx, key, 0, -1).Result()
		case "set":
			value, err = f.store.SMembers(ctx, key).Result()
		case "zset":
			value, err = f.store.ZRangeWithScores(ctx, key, 0, -1).Result()
		case "stream":
			value, err = f.store.XRange(ctx, key, "-", "+").Result()
		case "none": // its time was over just now
			continue
		default:
			f.t.Fatalf("nobody can read a %s", kind)
		}
		if err != nil && f.store.Exists(ctx, key).Val() == 1 {
			f.t.Fatal(err)
		}
		d.keys = append(d.keys, key)
		d.kinds[d.kind(key, f.prefix, value)]++
		_, _ = fmt.Fprintln(&d.content, key, value)
	}
}

// kind names what a key is for; of what is known of a bearer it tells three apart.
func (d *dump) kind(key, prefix string, value any) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), ":{")
	if text, ok := value.(string); ok && name == "auth" {
		switch text {
		case "x":
			return "auth ended"
		case "0":
			return "auth unknown"
		}
		return "auth live"
	}
	return name
}

// complete wants everything that must have been there, so that an empty dump is no
// clean one.
func (d *dump) complete(t *testing.T, prefix string) {
	t.Helper()
	for _, table := range []string{"accounts", "audit_events", "console_sessions", "grant_fences", "installation", "memberships", "oauth_access_tokens", "subject_epochs", "workspaces"} {
		if d.rows["public."+table] == 0 {
			t.Errorf("no row of %s was read: %v", table, d.rows)
		}
	}
	for _, kind := range []string{
		"dg:g", "dg:u", "auth live", "auth ended", "auth unknown", "rl:bearer.token", "rl:device.code.addr", "rl:device.decide.account", "rl:console.login.pair",
	} {
		if d.kinds[kind] == 0 {
			t.Errorf("no key of %s was read: %v", kind, d.kinds)
		}
	}
	for _, key := range d.keys {
		if !strings.HasPrefix(key, prefix) {
			t.Errorf("%s is outside of the prefix", key)
		}
	}
	for store, begin := range map[string]string{"Postgres": "public.oauth_access_tokens", "Redis": prefix + "dg:g"} {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(begin) + `.*` + dumpLabel).Match(d.content.Bytes()) {
			t.Errorf("what was read of %s does not even hold the label", store)
		}
	}
}

// secrets are values with their names.
type secrets map[string]string

// minSecret keeps out what turns up by chance, in bytes.
const minSecret = 8

func (s secrets) add(name, value string) {
	if len(value) < minSecret {
		panic(fmt.Sprintf("%s is too short to look for", name))
	}
	s[value] = name
}

// forms are the ways in which a value may be written down. Within a longer text base64
// has one of three shapes, whose edges belong to what stands beside it.
func forms(value string) map[string]string {
	all := map[string]string{
		"plain": value, "hex": hex.EncodeToString([]byte(value)), "capital hex": strings.ToUpper(hex.EncodeToString([]byte(value))),
		"URL-encoded": url.QueryEscape(value), "URL-encoded path": url.PathEscape(value),
	}
	for shift := range 3 {
		padded := append(make([]byte, shift), value...)
		from, to := (shift*8+5)/6, len(padded)*8/6
		all[fmt.Sprintf("base64 %d", shift)] = base64.StdEncoding.EncodeToString(padded)[from:to]
		all[fmt.Sprintf("base64 for URLs %d", shift)] = base64.URLEncoding.EncodeToString(padded)[from:to]
	}
	return all
}

var percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// in names every secret in the content and its form, never the secret.
func (s secrets) in(content []byte) (found []string) {
	decoded := percent.ReplaceAllFunc(content, func(b []byte) []byte {
		v, _ := hex.DecodeString(string(b[1:]))
		return v
	})
	for value, name := range s {
		for form, text := range forms(value) {
			if bytes.Contains(content, []byte(text)) {
				found = append(found, name+" ("+form+")")
			}
		}
		if !bytes.Equal(decoded, content) && bytes.Contains(decoded, []byte(value)) {
			found = append(found, name+" (percent-encoded)")
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// seen plants each kind of secret in each form and wants it to be found.
func (s secrets) seen(t *testing.T, content []byte) {
	t.Helper()
	short := content[:min(len(content), 4<<10)]
	for value, name := range s {
		one := secrets{value: name}
		var every strings.Builder
		for i := range len(value) {
			_, _ = fmt.Fprintf(&every, "%%%02x", value[i])
		}
		planted := slices.Sorted(maps.Values(forms(value)))
		for before := range 3 { // beside something else
			text := strings.Repeat("-", before) + value + "--"
			planted = append(planted, base64.StdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)))
		}
		for _, text := range append(planted, every.String()) {
			if len(one.in(slices.Concat(short, []byte("\n"+text+"\n")))) == 0 {
				t.Errorf("%s would not be found as %d bytes of another form", name, len(text))
			}
		}
	}
}
