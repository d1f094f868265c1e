// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// Golden values: a release that changes one of them makes every stored revision a
// stranger. A field that it adds is left out while empty.
const (
	goldenOIDC   = "e4e809576c9ce1a54e2ebc92303663f01fe908c5fd55b3f08652ab9003006c79"
	goldenOAuth2 = "7d418adb9ee6641ad6d8cbcd5bfec282c53bc523a9e3bf8fc3394a1ef1053fdb"
	goldenSecret = "4d8040504847a1d647e9d488e48a8703f85f14d3faa4b5788a0f19a46812abf1"
)

func TestTheHashOfARevision(t *testing.T) {
	key := bytes.Repeat([]byte{7}, secret.KeySize)
	t.Run("SSO-110 the hash of a configuration is that of earlier releases", func(t *testing.T) {
		for want, c := range map[string]connection.Content{goldenOIDC: okta("corp", "corp.example"), goldenOAuth2: github("github")} {
			if got := connection.Hash(key, c.Config, c.Secrets); got != want {
				t.Errorf("%s: %s, want %s", c.ID, got, want)
			}
		}
		if got := connection.Fingerprint(key, secret.New("client secret")); got != goldenSecret {
			t.Errorf("fingerprint %s", got)
		}
		if connection.Fingerprint(key, secret.Text{}) != "" {
			t.Error("no secret has a fingerprint")
		}
	})

	t.Run("SSO-110 another secret, key or member is another hash, a fingerprint in the input none", func(t *testing.T) {
		base := okta("corp")
		want := connection.Hash(key, base.Config, base.Secrets)
		other := okta("corp")
		other.Secrets.ClientSecret = secret.New("another")
		edited := okta("corp")
		edited.Config.ForceAuthn = true
		for name, got := range map[string]string{
			"secret": connection.Hash(key, other.Config, other.Secrets), "member": connection.Hash(key, edited.Config, edited.Secrets),
			"fingerprint key": connection.Hash(newHMACKey(), base.Config, base.Secrets), "no secret": connection.Hash(key, base.Config, connection.Secrets{}),
		} {
			if got == want || !connection.IsHash(got) {
				t.Errorf("%s: %s", name, got)
			}
		}
		forged := okta("corp")
		forged.Config.OIDC.ClientSecret = strings.Repeat("0", 64)
		if got := connection.Hash(key, forged.Config, forged.Secrets); got != want {
			t.Error("a fingerprint was taken from outside")
		}
	})

	t.Run("SSO-110 sealing key rotated, restart, other replica: hashes, fingerprints and secrets as before", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("corp"))
		before, err := h.Serving(t.Context(), "corp")
		if err != nil {
			t.Fatal(err)
		}
		var sealed string
		read := func() string {
			t.Helper()
			if err := h.DB.QueryRow(t.Context(), `SELECT secrets_sealed FROM sso_connection_revisions`).Scan(&sealed); err != nil {
				t.Fatal(err)
			}
			return sealed
		}
		old := read()
		rotated := append(seal.NewKeyFile("k2"), h.keys...)
		reseal(t, h, rotated)
		if now := read(); now == old || !strings.HasPrefix(now, "k2:") {
			t.Fatalf("not sealed anew: %.3s", now)
		}
		alone := rotated[:bytes.IndexByte(rotated, '\n')+1] // the former key is thrown away
		restarted := h.service(t, h.Durable, alone)
		after, err := restarted.Serving(t.Context(), "corp")
		if err != nil {
			t.Fatal(err)
		}
		if after.Hash != before.Hash || after.Config.OIDC.ClientSecret != before.Config.OIDC.ClientSecret || after.Secrets.ClientSecret.Reveal() != "client secret of corp" {
			t.Error("the rotation has changed the revision")
		}
		if v, err := restarted.Update(t.Context(), okta("corp"), before.Hash, operator); err != nil || v.Head != before.Hash {
			t.Error("the same content is a new revision after the rotation", err)
		}
	})

	t.Run("SSO-48 a secret is in no column, no view and no event", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("corp"))
		v := h.show(t, "corp")
		shown, err := json.Marshal(v.HeadRevision.Config)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(v.HeadRevision.Config.OIDC.ClientSecret); n != connection.ShownFingerprint {
			t.Errorf("%d characters of the fingerprint are shown", n)
		}
		if !v.HeadRevision.Secrets.ClientSecret.IsZero() {
			t.Error("a view has the secret")
		}
		var config, sealed string
		if err := h.DB.QueryRow(t.Context(), `SELECT config, secrets_sealed FROM sso_connection_revisions`).Scan(&config, &sealed); err != nil {
			t.Fatal(err)
		}
		_, fields := h.Events(t)
		events, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"view": string(shown), "config": config, "sealed": sealed, "events": string(events)} {
			if strings.Contains(text, "client secret of") {
				t.Errorf("%s has the secret", name)
			}
		}
	})

	t.Run("a revision that was altered in the store serves nobody", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("corp"))
		if _, err := h.DB.Exec(t.Context(), `UPDATE sso_connection_revisions SET config = replace(config, 'corp.okta', 'evil.okta')`); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Choose(t.Context(), connection.DeviceFlow, "corp", ""); err == nil {
			t.Error("it serves")
		}
	})

	t.Run("secrets that were moved to another revision do not open", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("corp"))
		h.enabled(t, okta("other"))
		if _, err := h.DB.Exec(t.Context(), `UPDATE sso_connection_revisions
			SET secrets_sealed = (SELECT secrets_sealed FROM sso_connection_revisions WHERE connection_id = 'corp') WHERE connection_id = 'other'`); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Serving(t.Context(), "other"); err == nil {
			t.Error("they open")
		}
	})
}

// reseal is what the command does after a new first line in the key file.
func reseal(t *testing.T, h *harness, keyFile []byte) {
	t.Helper()
	keys, err := seal.Parse(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	recorder := h.Recorder
	i, err := installation.New(installation.Deps{Store: h.Installation, Recorder: recorder, Now: h.clock.now, Sealing: keys, CanaryKey: []byte("canary key")})
	if err != nil {
		t.Fatal(err)
	}
	done, err := i.Reseal(t.Context(), audit.Operator)
	if err != nil || len(done) < 3 {
		t.Fatal(done, err)
	}
	for _, column := range done {
		storetest.Same(t, fmt.Sprintf("%+v", column), column.Sealed, column.Values)
	}
}
