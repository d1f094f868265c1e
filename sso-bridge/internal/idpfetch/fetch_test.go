// SPDX-License-Identifier: Apache-2.0

package idpfetch_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpfetch"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
)

func TestFetch(t *testing.T) {
	var asked http.Header
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Last-Modified", "Fri, 27 Nov 2026 12:00:00 GMT")
		w.Header().Set("Content-Type", "application/samlmetadata+xml")
		w.WriteHeader(status)
		if status == http.StatusOK {
			_, _ = io.WriteString(w, "<x/>")
		}
	}))
	t.Cleanup(s.Close)
	client, err := egress.New(egress.Options{Allow: []string{"127.0.0.1"}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	f := idpfetch.Fetcher{Circuits: egress.NewCircuits(client, time.Now)}
	first, err := f.Fetch(t.Context(), "corp", s.URL, idpsource.Validators{})
	if err != nil || string(first.Body) != "<x/>" || first.NotModified || first.ETag != `"v1"` || first.LastModified == "" {
		t.Fatalf("%+v %v", first, err)
	}
	if asked.Get("If-None-Match") != "" || asked.Get("If-Modified-Since") != "" || len(asked.Values("Accept")) != 3 {
		t.Errorf("%v", asked)
	}
	status = http.StatusNotModified
	again, err := f.Fetch(t.Context(), "corp", s.URL, first.Validators)
	if err != nil || !again.NotModified || len(again.Body) != 0 || asked.Get("If-None-Match") != first.ETag || asked.Get("If-Modified-Since") != first.LastModified {
		t.Errorf("%+v %v, sent %v", again, err, asked)
	}
	for want, do := range map[string]func() error{
		idpsource.PhaseStatus: func() error {
			status = http.StatusForbidden
			_, err := f.Fetch(t.Context(), "corp", s.URL, first.Validators)
			return err
		},
		idpsource.PhaseRefused: func() error {
			_, err := f.Fetch(t.Context(), "corp", "http://idp.example/metadata", idpsource.Validators{})
			return err
		},
	} {
		if e, ok := errors.AsType[*idpsource.Unread](do()); !ok || e.Phase != want || (e.Status == 0) != (want == idpsource.PhaseRefused) {
			t.Errorf("%+v, want %s", e, want)
		}
	}
}

// What is explained in words of its own is what the client says.
func TestPhasesAreThoseOfTheClient(t *testing.T) {
	for phase, want := range map[string]egress.Phase{
		idpsource.PhaseRefused: egress.Refused, idpsource.PhaseTooLarge: egress.TooLarge, idpsource.PhaseRedirect: egress.Redirect,
		idpsource.PhaseContentType: egress.ContentType, idpsource.PhaseCircuit: egress.Open,
	} {
		if phase != string(want) {
			t.Errorf("%s is %s", phase, want)
		}
	}
}
