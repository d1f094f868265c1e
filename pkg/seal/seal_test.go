// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/seal"
)

func keys(t *testing.T, files ...[]byte) *seal.Keys {
	t.Helper()
	var all []byte
	for _, f := range files {
		all = append(all, f...)
	}
	k, err := seal.Parse(all)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealedValueOpensAtItsPlaceAlone(t *testing.T) {
	first, second := seal.NewKeyFile("k1"), seal.NewKeyFile("k2")
	old := keys(t, first)
	sealed := old.Seal([]byte("value"), "installation/1/canary")
	if strings.Contains(sealed, "value") || !strings.HasPrefix(sealed, "k1:") {
		t.Fatalf("sealed form is wrong: %s", sealed)
	}

	rotated := keys(t, second, first)
	got, err := rotated.Open(sealed, "installation/1/canary")
	if err != nil || string(got) != "value" {
		t.Fatalf("an older key no longer opens: %v", err)
	}
	if !strings.HasPrefix(rotated.Seal(nil, "x"), "k2:") {
		t.Fatal("the first key of the file must seal")
	}
	for name, try := range map[string]func() ([]byte, error){
		"moved elsewhere": func() ([]byte, error) { return old.Open(sealed, "installation/2/canary") },
		"unknown key":     func() ([]byte, error) { return keys(t, second).Open(sealed, "installation/1/canary") },
		"changed byte":    func() ([]byte, error) { return old.Open(sealed[:len(sealed)-2]+"AA", "installation/1/canary") },
		"cut":             func() ([]byte, error) { return old.Open("k1:", "installation/1/canary") },
		"no id":           func() ([]byte, error) { return old.Open("nonsense", "installation/1/canary") },
	} {
		if _, err := try(); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseRefusesWithoutEchoing(t *testing.T) {
	for name, file := range map[string]string{
		"empty":     "# nothing\n",
		"no colon":  "topsecretkeymaterial\n",
		"short key": "k1:dG9wc2VjcmV0\n",
		"twice":     string(seal.NewKeyFile("k1")) + string(seal.NewKeyFile("k1")),
	} {
		_, err := seal.Parse([]byte(file))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "topsecret") || strings.Contains(err.Error(), "dG9w") {
			t.Errorf("%s: the error shows the file: %v", name, err)
		}
	}
}
