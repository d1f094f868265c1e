// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/pkg/seal"
)

var (
	kyOld = strings.Repeat("the former secret key ", 2)
	kyNew = strings.Repeat("the present secret key ", 2)
)

// kyHouse is where the servers of one installation stand, one after the other.
type kyHouse struct {
	pair *apitest.Pair
	dir  string
}

func kyNewHouse(t *testing.T) kyHouse {
	t.Helper()
	if apitest.OnFleet() {
		return kyHouse{pair: apitest.NewPair(t)}
	}
	return kyHouse{dir: t.TempDir()}
}

// server starts one under a key, and a former one unless that is empty.
func (h kyHouse) server(t *testing.T, key, previous string, more ...apitest.Option) *apitest.Server {
	t.Helper()
	options := append([]apitest.Option{unlimited(), apitest.Set("SECRET_KEY", key), apitest.In(h.dir)}, more...)
	if h.pair != nil {
		options = append(options, apitest.On(h.pair))
	}
	if previous != "" {
		options = append(options, apitest.Set("SECRET_KEY_PREVIOUS", previous))
	}
	return apitest.Start(t, options...)
}

// opens tries a start under a key.
func (h kyHouse) opens(t *testing.T, settings ...string) error {
	t.Helper()
	environ := append([]string{}, settings...)
	if h.pair == nil {
		environ = append(environ, "DATA_DIR="+h.dir)
	} else {
		for _, pair := range h.pair.Environ() {
			if key, _, _ := strings.Cut(pair, "="); !strings.Contains(strings.Join(settings, "\n"), key+"=") {
				environ = append(environ, pair)
			}
		}
	}
	s, err := app.Load(app.Sources{Environ: environ})
	if err != nil {
		return err
	}
	a, err := app.New(context.Background(), s, app.Options{Log: s.Logger(&apitest.Buffer{})})
	if err != nil {
		return err
	}
	return a.Close()
}

// command runs a command of an operator with the settings of a server.
func (h kyHouse) command(key, previous string, args ...string) ctSaid {
	environ := []string{"DATA_DIR=" + h.dir}
	if h.pair != nil {
		environ = nil
		for _, pair := range h.pair.Environ() {
			if !strings.HasPrefix(pair, "SECRET_KEY=") {
				environ = append(environ, pair)
			}
		}
	}
	if key != "" {
		environ = append(environ, "SECRET_KEY="+key)
	}
	if previous != "" {
		environ = append(environ, "SECRET_KEY_PREVIOUS="+previous)
	}
	return ctIn(environ, apitest.Version, args...)
}

// kyPage is what a browser holds of a page that was loaded.
type kyPage struct{ session, csrf string }

func (p kyPage) decides(t testing.TB, s *apitest.Server, act, code string) apitest.Answer {
	t.Helper()
	return s.Post(t, "/openapi/v1/oauth/device/"+act, map[string]string{"user_code": code},
		"Cookie", "console_session="+p.session, "Origin", s.URL, "X-CSRF-Token", p.csrf)
}

func TestASecretKeyIsChanged(t *testing.T) {
	h := kyNewHouse(t)
	var page kyPage
	var code apitest.Codes
	var token string
	t.Run("under the former key", func(t *testing.T) {
		s := h.server(t, kyOld, "")
		b := s.SignedIn(t)
		token, _ = s.SignInDevice(t, b, "before")
		page, code = kyPage{b.Cookie("console_session"), b.CSRF()}, s.Code(t, "in the middle")
	})
	t.Run("M-33 a changed key without the former one refuses the start, and says what to do", func(t *testing.T) {
		err := h.opens(t, "SECRET_KEY="+kyNew)
		if !errors.Is(err, installation.ErrKeyChanged) || !strings.Contains(err.Error(), "SECRET_KEY_PREVIOUS_FILE") {
			t.Fatalf("%v", err)
		}
	})
	t.Run("M-33 with it, codes, pages, browsers and tokens of before hold", func(t *testing.T) {
		s := h.server(t, kyNew, kyOld)
		wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		if s.Pair == nil { // codes in process are gone with it
			code = s.Code(t, "after")
		}
		wantAnswer(t, page.decides(t, s, "approve", code.User), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, code), http.StatusOK, "")
		wrong := page
		wrong.csrf = strings.Repeat("A", len(page.csrf))
		wantAnswer(t, wrong.decides(t, s, "deny", s.Code(t, "x").User), http.StatusForbidden, "csrf_mismatch")
		a := s.Call(t, http.MethodGet, "/console/api/csrf-token", "", "Cookie", "console_session="+page.session)
		if a.Text(t, "csrf_token") == page.csrf {
			t.Error("a token is made under the former key")
		}
		t.Run("M-33 the command writes the new canary, once", func(t *testing.T) {
			if got := h.command(kyNew, kyOld, "rotate-secret-key", "-o", "json"); got.code != 0 || !strings.Contains(got.out, `"changed":true`) {
				t.Fatalf("%+v", got)
			}
			if got := h.command(kyNew, kyOld, "rotate-secret-key", "-o", "json"); got.code != 0 || !strings.Contains(got.out, `"changed":false`) {
				t.Fatalf("%+v", got)
			}
			if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'installation.secret_key_rotated'`); n != 1 {
				t.Errorf("%d events", n)
			}
		})
	})
	t.Run("M-33 then the former one can go, and no longer opens", func(t *testing.T) {
		if err := h.opens(t, "SECRET_KEY="+kyNew); err != nil {
			t.Fatal(err)
		}
		if err := h.opens(t, "SECRET_KEY="+kyOld); !errors.Is(err, installation.ErrKeyChanged) {
			t.Fatalf("%v", err)
		}
		s := h.server(t, kyNew, "")
		wantAnswer(t, page.decides(t, s, "deny", s.Code(t, "x").User), http.StatusForbidden, "csrf_mismatch")
		wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
	})
}

func TestSecretKeysOfAFleetInMidRotation(t *testing.T) {
	if !apitest.OnFleet() {
		t.Skip("one process alone has an embedded installation")
	}
	h := kyNewHouse(t)
	first := h.server(t, kyOld, kyNew) // told of the coming key
	second := h.server(t, kyNew, kyOld)
	b := first.SignedIn(t)
	page := kyPage{b.Cookie("console_session"), b.CSRF()}
	t.Run("M-33 what one process makes the other takes, both ways", func(t *testing.T) {
		for i, s := range []*apitest.Server{first, second} {
			other := []*apitest.Server{second, first}[i]
			code := s.Code(t, "a laptop")
			fresh := page
			fresh.csrf = s.Call(t, http.MethodGet, "/console/api/csrf-token", "", "Cookie", "console_session="+page.session).Text(t, "csrf_token")
			wantAnswer(t, fresh.decides(t, other, "approve", code.User), http.StatusOK, "")
			wantAnswer(t, s.Poll(t, code), http.StatusOK, "")
		}
	})
}

func TestASecretKeyOfOnesOwnIsChanged(t *testing.T) {
	aboutEmbedded(t)
	h := kyHouse{dir: t.TempDir()}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(h.dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(b)
	}
	own := func(t *testing.T) *apitest.Server { return apitest.Start(t, unlimited(), apitest.In(h.dir)) }
	var page kyPage
	var before string
	t.Run("M-33 one command beside the server", func(t *testing.T) {
		s := own(t)
		b := s.SignedIn(t)
		page, before = kyPage{b.Cookie("console_session"), b.CSRF()}, read("secret.key")
		got := h.command("", "", "rotate-secret-key")
		if got.code != 0 || !strings.Contains(got.out, "Restart core now") || read("secret.key") == before || read("secret.key.previous") != before {
			t.Fatalf("%+v", got)
		}
		again := read("secret.key")
		if got := h.command("", "", "rotate-secret-key"); got.code != 0 || !strings.Contains(got.out, "Restart core first") || read("secret.key") != again || read("secret.key.previous") != before {
			t.Fatalf("%+v", got)
		}
		wantAnswer(t, page.decides(t, s, "deny", s.Code(t, "x").User), http.StatusOK, "") // it goes on as it was
	})
	t.Run("M-33 and a restart", func(t *testing.T) {
		s := own(t)
		wantAnswer(t, page.decides(t, s, "deny", s.Code(t, "x").User), http.StatusOK, "")
	})
	t.Run("M-33 then the former key is not needed", func(t *testing.T) {
		if err := os.Remove(filepath.Join(h.dir, "secret.key.previous")); err != nil {
			t.Fatal(err)
		}
		s := own(t)
		wantAnswer(t, page.decides(t, s, "deny", s.Code(t, "x").User), http.StatusForbidden, "csrf_mismatch")
	})
	t.Run("M-33 a crash after the former key was put aside", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(h.dir, "secret.key.previous"), []byte(read("secret.key")), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := h.opens(t); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTheSealingKeyIsChanged(t *testing.T) {
	t.Run("one's own", func(t *testing.T) {
		aboutEmbedded(t)
		dir := t.TempDir()
		h := kyHouse{dir: dir}
		file := filepath.Join(dir, "sealing.key")
		s := apitest.Start(t, unlimited(), apitest.In(dir))
		for i, want := range []string{"k2", "k3"} {
			got := h.command("", "", "rotate-sealing-key", "-o", "json")
			var said struct {
				Key    string   `json:"key_id"`
				Others []string `json:"other_key_ids"`
			}
			if err := json.Unmarshal([]byte(got.out), &said); err != nil || got.code != 0 || said.Key != want || len(said.Others) != 1 {
				t.Fatalf("%d: %+v", i, got)
			}
			if canary := sqlText(t, s, `SELECT canary FROM installation`); !strings.HasPrefix(canary, want+":") {
				t.Fatalf("sealed with %.3s", canary)
			}
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(content), "\n")
		if err := os.WriteFile(file, []byte(first+"\n"), 0o600); err != nil { // the former ones are gone
			t.Fatal(err)
		}
		if err := h.opens(t); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("an operator's", func(t *testing.T) {
		h := kyNewHouse(t)
		file := filepath.Join(t.TempDir(), "sealing.key")
		old, fresh := seal.NewKeyFile("old"), seal.NewKeyFile("new")
		write := func(content ...byte) {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		settings := []string{"SEALING_KEY_FILE=" + file, "SECRET_KEY=" + kyNew}
		write(old...)
		if err := h.opens(t, settings...); err != nil {
			t.Fatal(err)
		}
		write(fresh...)
		if err := h.opens(t, settings...); !errors.Is(err, installation.ErrKeyChanged) || !strings.Contains(err.Error(), "sealing key") {
			t.Fatalf("%v", err)
		}
		write(append(append([]byte{}, fresh...), old...)...)
		environ := append([]string{"DATA_DIR=" + h.dir}, settings...)
		if h.pair != nil {
			environ = append(h.pair.Environ(), settings...)
		}
		got := ctIn(environ, apitest.Version, "rotate-sealing-key")
		if got.code != 0 || got.out != "Of 1 sealed value 1 sealed anew: all are under new now.\nNothing in the database needs old any more; copies made before do.\n" {
			t.Fatalf("%+v", got)
		}
		write(fresh...)
		if err := h.opens(t, settings...); err != nil {
			t.Fatal(err)
		}
	})
}
