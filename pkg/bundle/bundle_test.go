// SPDX-License-Identifier: Apache-2.0

package bundle_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/bundle"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// settings are some of a service.
type settings struct {
	Level   string        `env:"LOG_LEVEL" doc:"words"`
	Address string        `env:"ADDRESS" doc:"an address"`
	Number  int           `env:"NUMBER" doc:"a number"`
	Usual   string        `env:"USUAL" doc:"as it comes"`
	Time    time.Duration `env:"TIME" doc:"a duration"`
	Contact string        `env:"CONTACT" doc:"may be a telephone number"`
	Key     secret.Text   `env:"KEY" doc:"a secret"`
}

func TestSettings(t *testing.T) {
	usual := settings{Level: "info", Usual: "a usual.example"}
	given := settings{Level: "debug", Address: "kanarie.example", Number: 7, Usual: "a usual.example", Time: time.Minute, Contact: "5550142", Key: secret.New("123456")}
	want := []bundle.Setting{
		{Key: "LOG_LEVEL", Value: "debug", Given: true}, {Key: "ADDRESS", Given: true}, {Key: "NUMBER", Value: "7", Given: true}, {Key: "USUAL", Value: "a usual.example"},
		{Key: "TIME", Value: "1m0s", Given: true}, {Key: "CONTACT", Given: true}, {Key: "KEY", Given: true},
	}
	if got := bundle.Settings(&given, &usual); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestWrite(t *testing.T) {
	var out bytes.Buffer
	path := filepath.Join(t.TempDir(), "bundle.json")
	if err := bundle.Write(&out, path, bundle.Check{Name: "sql"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || out.Len() == 0 {
		t.Errorf("%v, %v, %q", info, err, out.String())
	}
	out.Reset()
	if err := bundle.Write(&out, "-", bundle.Check{Name: "sql"}); err != nil || out.String() != "{\n  \"name\": \"sql\",\n  \"answer\": \"\"\n}\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
