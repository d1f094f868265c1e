// SPDX-License-Identifier: Apache-2.0

package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

const canary = "canary-0123456789-0123456789-0123456789"

func TestTextIsNeverPrinted(t *testing.T) {
	type config struct {
		Key    secret.Text
		hidden secret.Text
	}
	c := config{Key: secret.New(canary), hidden: secret.New(canary)}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("boot", "key", c.Key, "config", c)

	printed := map[string]string{"slog": log.String(), "panic": fmt.Sprint(panicValue(c))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%10.3s"} {
		printed[verb] = fmt.Sprintf(verb, c) + fmt.Sprintf(verb, c.Key) + fmt.Sprintf(verb, &c.Key)
	}
	for how, out := range printed {
		if strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
			t.Errorf("%s shows the secret: %s", how, out)
		}
	}
	if _, err := json.Marshal(c); err == nil {
		t.Error("a secret was marshalled")
	}
	_ = c.hidden
}

func panicValue(v any) (recovered any) {
	defer func() { recovered = recover() }()
	panic(fmt.Sprintf("%+v", v))
}

func TestEqual(t *testing.T) {
	if !secret.New("a").Equal(secret.New("a")) || secret.New("a").Equal(secret.New("b")) || secret.New("a").Equal(secret.Text{}) {
		t.Fatal("Equal is wrong")
	}
}

func TestDeriveSeparatesPurposes(t *testing.T) {
	master := secret.New(canary)
	a, err := secret.Derive(master, "console.csrf")
	if err != nil {
		t.Fatal(err)
	}
	again, _ := secret.Derive(master, "console.csrf")
	b, _ := secret.Derive(master, "device.user_code")
	if !bytes.Equal(a, again) || bytes.Equal(a, b) || len(a) != secret.KeySize {
		t.Fatal("derivation is not one stable key per purpose")
	}
	if _, err := secret.Derive(secret.New("short"), "x"); err == nil || strings.Contains(err.Error(), "short") {
		t.Fatalf("a short master secret: %v", err)
	}
}
