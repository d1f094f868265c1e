// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// fingerprints waits until every replica shows one in /readyz.
func (in *install) fingerprints(want string) {
	in.t.Helper()
	for _, s := range append(append([]*service{}, in.cores...), in.bridges...) {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			var ready struct {
				Keyset string `json:"keyset_fingerprint"`
			}
			r, err := http.Get("http://" + s.inner + "/readyz")
			if err == nil {
				err = json.NewDecoder(r.Body).Decode(&ready)
				_ = r.Body.Close()
			}
			if err == nil && ready.Keyset == want {
				break
			}
			if time.Now().After(deadline) {
				in.t.Fatalf("a replica shows %q (%v), want %q", ready.Keyset, err, want)
			}
		}
	}
}

func (in *install) reload() {
	for _, s := range append(append([]*service{}, in.cores...), in.bridges...) {
		s.signal(hangUp)
	}
}

var fingerprint = regexp.MustCompile(`"keyset_fingerprint": ?"([0-9a-f]{8})"`)

// rotate follows docs/operating/keyset.md while people sign in.
func rotate(t *testing.T, in *install) {
	keyset := func(args ...string) string {
		t.Helper()
		out := command(t, nil, "", program(t, "core"), append(append([]string{"keyset"}, args...), "--keyset-file", in.keys, "-o", "json")...)
		found := fingerprint.FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("no fingerprint: %s", out)
		}
		return found[1]
	}
	var busy sync.WaitGroup
	end := make(chan struct{})
	logins, turns := make(chan *page, 1000), make(chan struct{}, 1000)
	// A fast machine would come to the limit of codes that one address may look up.
	more := func(n int) {
		for range n {
			turns <- struct{}{}
		}
	}
	more(30)
	for range 2 {
		busy.Go(func() {
			for {
				select {
				case <-end:
					return
				case <-turns:
					logins <- in.client("under load").arrive(newBrowser(t))
				}
			}
		})
	}
	before, b := in.client("signed before"), newBrowser(t)
	last := before.upTo(b, "sso-complete")
	late, c := in.client("signed before, used too late"), newBrowser(t)
	over := late.upTo(c, "sso-complete")

	added := keyset("add", "k2")
	in.reload()
	in.fingerprints(added)
	active := keyset("activate", "k2", "--seen", added)
	in.reload()
	in.fingerprints(active)
	b.open(last).must(http.StatusOK, "Alice Liddell").submit("approve-external").must(http.StatusOK, "Device connected")
	before.external()
	more(10)
	for seen := len(logins); len(logins) < seen+2; { // two more, signed by the new entry alone
		time.Sleep(10 * time.Millisecond)
	}
	close(end)
	busy.Wait()
	close(logins)
	var passed int
	for p := range logins {
		if p.must(http.StatusOK, ""); !strings.Contains(p.body, "Alice Liddell") {
			t.Errorf("a login failed: %s\n%s", p.url.Redacted(), p.body)
		}
		passed++
	}
	if passed < 4 {
		t.Errorf("%d logins meanwhile", passed)
	}

	// A day later, as the file would then read.
	var file struct {
		Version int                 `json:"version"`
		Active  string              `json:"active"`
		Keys    []map[string]string `json:"keys"`
	}
	content, err := os.ReadFile(in.keys)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	for _, k := range file.Keys {
		if k["kid"] == "k1" {
			k["verify_until"] = time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
		}
	}
	if content, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	in.file("keyset.json", string(content))
	retired := keyset("retire", "k1")
	in.reload()
	in.fingerprints(retired)
	c.open(over).must(http.StatusOK, "could not be completed")
	late.pending()
	in.client("after").arrive(newBrowser(t)).must(http.StatusOK, "Alice Liddell")
}
