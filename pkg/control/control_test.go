// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

type question struct {
	Word string `json:"word"`
}

type answer struct {
	Word    string         `json:"word"`
	By      control.Caller `json:"by"`
	Agent   string         `json:"agent"`
	Seconds float64        `json:"seconds"`
}

var errNo = fault.New(fault.Conflict, "no_such_word", "There is no such word.")

func echo(ctx context.Context, by control.Caller, q question) (answer, error) {
	if q.Word == "no" {
		return answer{}, errNo
	}
	end, _ := ctx.Deadline()
	return answer{Word: q.Word, By: by, Agent: audit.RequestOf(ctx).UserAgent, Seconds: time.Until(end).Seconds()}, nil
}

func listen(t *testing.T, path string) *control.Listener {
	t.Helper()
	l, err := control.Listen(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func socket(t *testing.T) string { return filepath.Join(t.TempDir(), "control.sock") }

func serve(t *testing.T, path string) {
	t.Helper()
	s, err := control.NewServer(control.Deps{
		Service: "other", Operations: map[string]control.Operation{"echo": control.Takes(echo), "slow": control.Takes(echo)},
		Slow: control.Slow{"slow": time.Hour}, Large: control.Large{"slow": 1 << 20}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "2.0.0",
	})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, path)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-done); err != nil {
			t.Error(err)
		}
	})
}

func TestAServiceOfAnotherName(t *testing.T) {
	path := socket(t)
	if _, err := control.Connect(t.Context(), "other", path, "1", nil); !errors.Is(err, control.ErrNoService) || !strings.HasPrefix(err.Error(), "no other is running here any more") {
		t.Errorf("nobody listens: %v", err)
	}
	serve(t, path)
	c, err := control.Connect(t.Context(), "other", path, "1.2.3", control.Slow{"slow": time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for name, least := range map[string]float64{"echo": 0, "slow": 3500} {
		a, err := control.Call[answer](t.Context(), c, name, question{"hello"})
		want := control.Caller{Service: "other", User: control.UserName(os.Geteuid()), Version: "1.2.3"}
		if err != nil || a.Word != "hello" || a.By != want || a.Agent != "other/1.2.3" || a.Seconds < least || a.Seconds > least+3600 {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if _, err := control.Call[answer](t.Context(), c, "echo", question{"no"}); fault.Of(err).Code() != errNo.Code() {
		t.Errorf("a refusal came as %v", err)
	}
	for name, request := range map[string]any{"echo": map[string]int{"more": 1}, "unknown": question{}} {
		if _, err := control.Call[answer](t.Context(), c, name, request); err == nil || !strings.Contains(err.Error(), "the running other (process ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestALongRequestIsTakenWhereItBelongs(t *testing.T) {
	path := socket(t)
	serve(t, path)
	c, err := control.Connect(t.Context(), "other", path, "1", nil)
	if err != nil {
		t.Fatal(err)
	}
	long := question{strings.Repeat("<x>", 300<<10)} // escaped for a page it would be twice 1 MiB
	if a, err := control.Call[answer](t.Context(), c, "slow", long); err != nil || a.Word != long.Word {
		t.Errorf("%d bytes came back, %v", len(a.Word), err)
	}
	if _, err := control.Call[answer](t.Context(), c, "echo", long); err == nil {
		t.Error("taken where no operation wants as much")
	}
}

func TestTheVersionsHeaderIsTheServices(t *testing.T) {
	path := socket(t)
	seen := make(chan string, 1)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Core-Version")
		_, _ = w.Write([]byte("{}"))
	})}
	l := listen(t, path)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	if _, err := control.Connect(t.Context(), "core", path, "9", nil); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "9" {
		t.Errorf("Core-Version: %q", got)
	}
}

func TestNewServerChecksWhatItNeeds(t *testing.T) {
	whole := control.Deps{Service: "other", Operations: map[string]control.Operation{"echo": control.Takes(echo)}, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	for name, drop := range map[string]func(*control.Deps){
		"service": func(d *control.Deps) { d.Service = "" }, "operations": func(d *control.Deps) { d.Operations = nil },
		"log": func(d *control.Deps) { d.Log = nil }, "clock": func(d *control.Deps) { d.Now = nil },
	} {
		d := whole
		drop(&d)
		if _, err := control.NewServer(d); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}
