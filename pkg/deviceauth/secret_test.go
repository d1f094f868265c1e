// SPDX-License-Identifier: Apache-2.0

package deviceauth_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
)

func TestSecretsAreNotPrinted(t *testing.T) {
	const canary = "canary-0123456789"
	token := &deviceauth.Token{Access: deviceauth.NewSecret(canary), Email: "ada@example.com"}
	s := token.Access
	t.Run("PPL-11 under no verb, in no log, in no encoding", func(t *testing.T) {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "token", token)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "token", *token)
		printed := map[string]string{"slog": log.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%10.3s"} {
			printed[verb] = fmt.Sprintf(verb, token) + fmt.Sprintf(verb, *token) + fmt.Sprintf(verb, s) + fmt.Sprintf(verb, &s)
		}
		for how, out := range printed {
			if strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
				t.Errorf("%s shows the secret: %s", how, out)
			}
		}
		if _, err := json.Marshal(token); !errors.Is(err, deviceauth.ErrNotMarshalled) {
			t.Errorf("marshalled: %v", err)
		}
		if _, err := s.MarshalText(); !errors.Is(err, deviceauth.ErrNotMarshalled) {
			t.Errorf("marshalled as text: %v", err)
		}
	})
	if s.Reveal() != canary || s.IsZero() || !(deviceauth.Secret{}).IsZero() {
		t.Fatal("Reveal or IsZero is wrong")
	}
}
