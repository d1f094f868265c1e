// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	commands "github.com/dify-sso/dify-sso/core/internal/control"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/control"
)

// foreign is a service that answers in its own way.
func foreign(t *testing.T, h http.HandlerFunc) (path string) {
	t.Helper()
	path = socket(t)
	s := &http.Server{Handler: h}
	l := listen(t, path)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { _, _ = s.Close(), <-done })
	return path
}

func TestVersionsThatDoNotUnderstandEachOther(t *testing.T) {
	sentence := func(t *testing.T, err error, words ...string) {
		t.Helper()
		if err == nil {
			t.Fatal("understood")
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
	}
	t.Run("an older service lacks the operation and is not asked", func(t *testing.T) {
		path := foreign(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				t.Error("asked")
			}
			_, _ = io.WriteString(w, `{"version":"0.9.0","pid":77,"operations":["setup-code"]}`)
		})
		_, err := connect(t, path).ListTokens(t.Context(), operator.TokenQuery{})
		sentence(t, err, "0.9.0", "process 77", "of 1.0.0", "restart")
	})
	t.Run("an older service does not know a member", func(t *testing.T) {
		path := foreign(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Core-Version", "0.9.0")
			if r.Method == http.MethodGet {
				_, _ = io.WriteString(w, `{"version":"0.9.0","operations":["tokens"]}`)
				return
			}
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"code":"request_unknown","message":"no"}`)
		})
		_, err := connect(t, path).ListTokens(t.Context(), operator.TokenQuery{})
		sentence(t, err, "0.9.0", "of 1.0.0")
	})
	t.Run("a newer service has another protocol", func(t *testing.T) {
		path := foreign(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Core-Version", "3.0.0")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"code":"operation_unknown","message":"no"}`)
		})
		_, err := commands.Connect(t.Context(), path, "1.0.0")
		sentence(t, err, "3.0.0", "of 1.0.0")
	})
	t.Run("a newer service says more than we know", func(t *testing.T) {
		path := foreign(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = io.WriteString(w, `{"version":"3.0.0","operations":["revoke-token"],"more":1}`)
				return
			}
			_, _ = io.WriteString(w, `{"id":"x","ended_before":true,"more":{"a":1}}`)
		})
		done, err := connect(t, path).RevokeToken(t.Context(), operator.TokenRef{ID: "x"})
		if err != nil || !done.Before {
			t.Fatalf("%+v %v", done, err)
		}
	})
	t.Run("something else listens", func(t *testing.T) {
		path := foreign(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "<html>\x1b[31mred")
		})
		_, err := commands.Connect(t.Context(), path, "1.0.0")
		sentence(t, err, "418")
		if strings.Contains(err.Error(), "red") {
			t.Errorf("repeated: %q", err)
		}
	})
	t.Run("a version is shown as text", func(t *testing.T) {
		path := foreign(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"version":"1\u001b[31m`+strings.Repeat("x", 999)+`","operations":[]}`)
		})
		_, err := connect(t, path).SetupCode(t.Context())
		if err == nil || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 300 {
			t.Errorf("%q", err)
		}
	})
}

func TestAServiceThatEndsInTheMiddle(t *testing.T) {
	hello := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"version":"1.0.0","operations":["setup-code"]}`)
		}
		return r.Method == http.MethodGet
	}
	cut := func(w http.ResponseWriter) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = c.Close()
	}
	t.Run("before it answers", func(t *testing.T) {
		path := foreign(t, func(w http.ResponseWriter, r *http.Request) {
			if !hello(w, r) {
				cut(w)
			}
		})
		_, err := connect(t, path).SetupCode(t.Context())
		if err == nil || !strings.Contains(err.Error(), "may have been done: repeat the command") {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("in its answer", func(t *testing.T) {
		path := foreign(t, func(w http.ResponseWriter, r *http.Request) {
			if !hello(w, r) {
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, `{"setup_code":"abc`)
				_ = http.NewResponseController(w).Flush()
				cut(w)
			}
		})
		_, err := connect(t, path).SetupCode(t.Context())
		if err == nil || !strings.Contains(err.Error(), "may have been done") || strings.Contains(err.Error(), "abc") {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("before it was asked", func(t *testing.T) {
		path := foreign(t, func(w http.ResponseWriter, _ *http.Request) { cut(w) })
		if _, err := commands.Connect(t.Context(), path, "1"); !errors.Is(err, control.ErrNoService) {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("between greeting and question", func(t *testing.T) {
		path := socket(t)
		s := serve(t, path)
		c := connect(t, path)
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		_, err := c.SetupCode(t.Context())
		if !errors.Is(err, control.ErrNoService) || !strings.Contains(err.Error(), "nothing was done") {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("not at all", func(t *testing.T) {
		path := socket(t)
		listen(t, path) // takes connections and never reads
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := commands.Connect(ctx, path, "1")
		if err == nil || !strings.Contains(err.Error(), "does not answer, and nothing was done") {
			t.Fatalf("err = %v", err)
		}
	})
}
