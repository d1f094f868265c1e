// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
)

// streaming gives the stream of a server that writes so.
func streaming(t testing.TB, write func(io.Writer)) *api.Stream {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		write(w)
	}))
	t.Cleanup(server.Close)
	a, err := api.New(&deviceauth.Client{Host: server.URL}, deviceauth.NewSecret("dfoa_x"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Start(t.Context(), "app", api.Run{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestFraming(t *testing.T) {
	padding := strings.Repeat("x", 1<<20-20)
	for name, c := range map[string]struct {
		sent string
		want []string // name and data of each event
		end  error
	}{
		"LF":                              {"data: {\"event\":\"a\"}\n\ndata: {\"event\":\"b\"}\n\n", []string{`a {"event":"a"}`, `b {"event":"b"}`}, io.EOF},
		"CRLF":                            {"data: {\"event\":\"a\"}\r\n\r\n", []string{`a {"event":"a"}`}, io.EOF},
		"no blank after the colon":        {"data:{\"event\":\"a\"}\n\n", []string{`a {"event":"a"}`}, io.EOF},
		"two lines of data":               {"data: {\"event\":\ndata: \"a\"}\n\n", []string{"a {\"event\":\n\"a\"}"}, io.EOF},
		"the event line goes before":      {"event: b\ndata: {\"event\":\"a\"}\n\n", []string{`b {"event":"a"}`}, io.EOF},
		"comments, ids, retries, unknown": {": hello\n\nid: 7\nretry: 5\nother\ndata: {\"event\":\"a\"}\n\n", []string{`a {"event":"a"}`}, io.EOF},
		"pings":                           {"event: ping\n\nevent: ping\n\n", nil, io.EOF},
		"no blank line, no event":         {"data: {\"event\":\"a\"}\n\ndata: {\"event\":\"b\"}\n", []string{`a {"event":"a"}`}, io.EOF},
		"nothing":                         {"", nil, io.EOF},
		"of 1 MiB":                        {"data: {\"event\":\"" + padding + "\"}\n\n", []string{padding + ` {"event":"` + padding + `"}`}, io.EOF},
		"too long a line":                 {"data: {\"event\":\"" + padding + padding + "\"}\n\n", nil, api.ErrTooLong},
		"too many lines":                  {strings.Repeat("data: "+strings.Repeat(" ", 1000)+"\n", 1200), nil, api.ErrTooLong},
		"a long name":                     {"event: " + padding + padding + "\n\n", nil, api.ErrTooLong},
		"many comments in one event":      {strings.Repeat(": "+strings.Repeat("x", 1000)+"\n", 3000) + "data: {\"event\":\"a\"}\n\n", []string{`a {"event":"a"}`}, io.EOF},
		"no JSON":                         {"data: [DONE]\n\n", nil, api.ErrNoJSON},
		"no object":                       {"data: [1]\n\n", nil, api.ErrNoJSON},
		"half an object":                  {"data: {\"event\":\n\n", nil, api.ErrNoJSON},
		"members of other types":          {"data: {\"event\":7,\"task_id\":{}}\n\n", []string{` {"event":7,"task_id":{}}`}, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			s := streaming(t, func(w io.Writer) { _, _ = io.WriteString(w, c.sent) })
			var got []string
			for {
				e, err := s.Next()
				if err != nil {
					if !errors.Is(err, c.end) {
						t.Errorf("ended with %v", err)
					}
					break
				}
				got = append(got, e.Name+" "+string(e.Data))
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("read %.300q", got)
			}
		})
	}
}

func FuzzFraming(f *testing.F) {
	for _, s := range []string{"data: {\"event\":\"a\"}\n\n", "event: ping\n\n", ": x\r\n\r\n", "data:{}\n\ndata", "\n\n\n", "data: {\ndata: }\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		a, err := api.New(&deviceauth.Client{Host: "https://sso.example.com", HTTPClient: &http.Client{Transport: canned(sent)}}, deviceauth.NewSecret("dfoa_x"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := a.Start(t.Context(), "app", api.Run{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		blank := strings.Count(strings.ReplaceAll(string(sent), "\r\n", "\n"), "\n\n")
		for n := 0; ; n++ {
			e, err := s.Next()
			if err != nil {
				break
			}
			if n >= blank+1 || !strings.HasPrefix(string(e.Data), "{") {
				t.Fatalf("event %d of %q is %q", n, sent, e.Data)
			}
		}
	})
}

// canned answers every request with one stream.
type canned []byte

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(strings.NewReader(string(c))), Request: r}, nil
}

func TestALongRunNeedsNoMoreMemoryThanAShortOne(t *testing.T) {
	const events, size = 30, 900 << 10
	s := streaming(t, func(w io.Writer) {
		event := []byte("data: {\"event\":\"message\",\"answer\":\"" + strings.Repeat("x", size) + "\"}\n\n")
		for range events {
			_, _ = w.Write(event)
		}
	})
	most, n := uint64(0), 0
	for ; ; n++ {
		if _, err := s.Next(); err != nil {
			break
		}
		if n%10 == 9 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	if n != events || most > 16<<20 {
		t.Fatalf("%d events of %d KiB held %d KiB", n, size>>10, most>>10)
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	defer server.Close()
	a, err := api.New(&deviceauth.Client{Host: server.URL}, deviceauth.NewSecret("dfoa_x"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Start(t.Context(), "app", api.Run{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := s.Next()
		ended <- err
	}()
	s.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	<-gone
}

// A run may have begun though its answer was lost; asking again would begin a second.
func TestARunIsAskedForOnce(t *testing.T) {
	for _, status := range []int{429, 500, 502, 503} {
		n := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			n++
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"code":"too_many_requests","message":"x","status":429}`)
		}))
		a, err := api.New(&deviceauth.Client{Host: server.URL}, deviceauth.NewSecret("dfoa_x"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Start(t.Context(), "app", api.Run{})
		_, also := a.Block(t.Context(), "app", api.Run{})
		if err == nil || also == nil || n != 2 {
			t.Errorf("%d: asked %d times: %v, %v", status, n, err, also)
		}
		server.Close()
	}
}

func TestAnUploadIsNotHeld(t *testing.T) {
	const size = 32 << 20
	read := int64(0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"id":"f-1"}`)
	}))
	defer server.Close()
	a, err := api.New(&deviceauth.Client{Host: server.URL}, deviceauth.NewSecret("dfoa_x"))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	id, err := a.Upload(t.Context(), "app", "x.bin", io.LimitReader(zeros{}, size))
	runtime.ReadMemStats(&after)
	if err != nil || id != "f-1" || read < size || after.TotalAlloc-before.TotalAlloc > 8<<20 {
		t.Fatalf("%v, %q, %d bytes arrived, %d KiB allocated", err, id, read, (after.TotalAlloc-before.TotalAlloc)>>10)
	}
	t.Run("a file that breaks is no fault of the server", func(t *testing.T) {
		broken := errors.New("the disk is gone")
		if _, err := a.Upload(t.Context(), "app", "x.bin", io.MultiReader(io.LimitReader(zeros{}, 1<<20), failing{broken})); !errors.Is(err, broken) {
			t.Fatal(err)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
