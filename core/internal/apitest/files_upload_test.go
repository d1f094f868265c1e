// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
)

const tsStored = `{"id":"f-1",  "name":"a.txt","size":3,"extension":"txt","mime_type":"text/plain","created_by":null,"created_at":1767225600,"more":{"a":[1.50]}}`

// tsTakes is a runtime that reads a file to its end and says what tsStored says.
func tsTakes(size *int64) func(context.Context, run.File) (json.RawMessage, error) {
	return func(_ context.Context, f run.File) (json.RawMessage, error) {
		n, err := io.Copy(io.Discard, f.Content)
		*size = n
		return json.RawMessage(tsStored), err
	}
}

func tsHead(name, media string) string {
	head := `--b` + "\r\n" + `Content-Disposition: form-data; name="file"; filename="` + name + `"` + "\r\n"
	if media != "" {
		head += "Content-Type: " + media + "\r\n"
	}
	return head + "\r\n"
}

func tsForm(name, media, content string) string {
	return tsHead(name, media) + content + "\r\n--b--\r\n"
}

const tsMultipart = "multipart/form-data; boundary=b"

func TestUploads(t *testing.T) {
	w := tsStart(t, apitest.Set("UPLOAD_FILE_SIZE_LIMIT", "1"), apitest.Set("UPLOAD_IMAGE_FILE_SIZE_LIMIT", "2"), apitest.Set("UPLOAD_AUDIO_FILE_SIZE_LIMIT", "3"),
		apitest.Set("UPLOAD_VIDEO_FILE_SIZE_LIMIT", "4"), apitest.Set("UPLOAD_FILE_EXTENSION_BLACKLIST", "exe, .sh"))
	one := w.app(t, apps.Workflow)
	path := tsApp(one) + "/files/upload"
	var size int64
	w.rt.upload = tsTakes(&size)
	user := run.UserOf(w.subject("normal"))
	send := func(t testing.TB, contentType, body string, more ...string) apitest.Answer {
		t.Helper()
		return w.Call(t, http.MethodPost, path, body, append([]string{"Authorization", "Bearer " + w.bearers["normal"], "Content-Type", contentType}, more...)...)
	}

	t.Run("API-24 a file: the runtime's object, unchanged; the caller is named as in every call", func(t *testing.T) {
		size = -1
		tsWantBody(t, send(t, tsMultipart, tsForm("a.txt", "text/plain;charset=utf-8", "abc")), http.StatusCreated, tsStored)
		w.wantAsked(t, "Upload "+one+" "+user+" a.txt text/plain; charset=utf-8")
		if size != 3 {
			t.Errorf("%d bytes", size)
		}
	})
	t.Run("API-24 of no bytes", func(t *testing.T) {
		tsWantBody(t, send(t, tsMultipart, tsForm("a.txt", "text/plain", "")), http.StatusCreated, tsStored)
		if size != 0 {
			t.Errorf("%d bytes", size)
		}
	})
	t.Run("API-24 as Go's and curl's clients write it", func(t *testing.T) {
		var b strings.Builder
		form := multipart.NewWriter(&b)
		part, err := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="grüße \"2\".txt"`}, "Content-Type": {"text/plain"}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write([]byte("abc"))
		_ = form.Close()
		w.rt.take()
		tsWantBody(t, send(t, form.FormDataContentType(), b.String()), http.StatusCreated, tsStored)
		w.wantAsked(t, "Upload "+one+" "+user+` grüße "2".txt text/plain`)
	})
	t.Run("API-24 limits by kind", func(t *testing.T) {
		for name, mebi := range map[string]int{"a.txt": 1, "a.jpg": 2, "a.mp3": 3, "a.mp4": 4} {
			for extra, want := range map[int]int{0: http.StatusCreated, 1: http.StatusRequestEntityTooLarge} {
				a := send(t, tsMultipart, tsForm(name, "application/octet-stream", strings.Repeat("x", mebi<<20+extra)))
				if a.Status != want || extra == 0 && size != int64(mebi)<<20 || extra == 1 && reasonOf(a) != "file_too_large" {
					t.Errorf("%s of %d MiB and %d: %d %s, %d bytes came", name, mebi, extra, a.Status, a.Body, size)
				}
			}
		}
	})
	w.rt.take()
	for _, tc := range []struct {
		name, contentType, body string
		status                  int
		code                    string
		asked                   bool
	}{
		{"API-24 two files", tsMultipart, tsHead("a.txt", "text/plain") + "x\r\n" + tsForm("b.txt", "text/plain", "y"), 400, "too_many_files", true},
		{"API-24 a value beside it", tsMultipart, tsHead("a.txt", "text/plain") + "x\r\n--b\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nme\r\n--b--\r\n", 400, "too_many_files", true},
		{"API-24 none", tsMultipart, "--b--\r\n", 400, "no_file_uploaded", false},
		{"API-24 nothing at all", tsMultipart, "", 400, "no_file_uploaded", false},
		{"API-24 of another name", tsMultipart, strings.Replace(tsForm("a.txt", "text/plain", "x"), `name="file"`, `name="files"`, 1), 400, "no_file_uploaded", false},
		{"API-24 without a file name", tsMultipart, strings.Replace(tsForm("a.txt", "text/plain", "x"), `; filename="a.txt"`, "", 1), 400, "filename_not_exists", false},
		{"API-24 with an empty one", tsMultipart, tsForm("", "text/plain", "x"), 400, "filename_not_exists", false},
		{"API-24 HTTP-22 with a path", tsMultipart, tsForm("../a.txt", "text/plain", "x"), 400, "bad_request", false},
		{"API-24 HTTP-22 with a backslash", tsMultipart, tsForm(`a\b.txt`, "text/plain", "x"), 400, "bad_request", false},
		{"API-24 HTTP-22 with a line break, escaped", tsMultipart, strings.Replace(tsForm("a", "text/plain", "x"), `filename="a"`, `filename*=UTF-8''a%0D%0AX:%20b`, 1), 400, "bad_request", false},
		{"API-24 with a NUL, escaped", tsMultipart, strings.Replace(tsForm("a", "text/plain", "x"), `filename="a"`, `filename*=UTF-8''a%00b`, 1), 400, "bad_request", false},
		{"API-24 with a blocked extension", tsMultipart, tsForm("a.EXE", "text/plain", "x"), 400, "file_extension_blocked", false},
		{"API-24 with another", tsMultipart, tsForm("a.sh", "text/plain", "x"), 400, "file_extension_blocked", false},
		{"API-24 without a media type", tsMultipart, tsForm("a.txt", "", "x"), 415, "unsupported_file_type", false},
		{"API-24 that is cut off", tsMultipart, tsHead("a.txt", "text/plain") + "x", 400, "bad_request", true},
		{"HTTP-08 with a head that does not end", tsMultipart, "--b\r\nX: " + strings.Repeat("x", 100<<10), 400, "bad_request", false},
		{"HTTP-08 with a preamble that does not end", tsMultipart, strings.Repeat("x\r\n", 100<<10), 400, "bad_request", false},
		{"without a boundary", "multipart/form-data", tsForm("a.txt", "text/plain", "x"), 400, "bad_request", false},
		{"M-21 HTTP-10 JSON", "application/json", `{}`, 415, "unsupported_media_type", false},
		{"M-21 HTTP-10 a form of values", "application/x-www-form-urlencoded", `file=x`, 415, "unsupported_media_type", false},
		{"M-21 HTTP-10 mixed parts", "multipart/mixed; boundary=b", tsForm("a.txt", "text/plain", "x"), 415, "unsupported_media_type", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := send(t, tc.contentType, tc.body)
			wantAnswer(t, a, tc.status, tc.code)
			wantFailureShape(t, a)
			if asked := w.rt.take(); (len(asked) > 0) != tc.asked {
				t.Errorf("the runtime was asked %q", asked)
			}
		})
	}
	t.Run("M-21 HTTP-08 with an encoding", func(t *testing.T) {
		wantAnswer(t, send(t, tsMultipart, tsForm("a.txt", "text/plain", "x"), "Content-Encoding", "gzip"), http.StatusUnsupportedMediaType, "unsupported_media_type")
		tsWantBody(t, send(t, tsMultipart, tsForm("a.txt", "text/plain", "x"), "Content-Encoding", "identity"), http.StatusCreated, tsStored)
		w.rt.take()
	})
	t.Run("M-22 HTTP-08 a declared length above every limit is refused with the first of it, without one it is counted", func(t *testing.T) {
		head := func(framing string) string {
			return "POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.bearers["normal"] + "\r\nContent-Type: " + tsMultipart + "\r\n" + framing + "\r\n\r\n"
		}
		c := htDial(t, w.URL)
		c.send(head("Content-Length: 5000000") + tsHead("a.txt", "text/plain") + strings.Repeat("x", 8<<10))
		wantAnswer(t, c.read("POST"), http.StatusRequestEntityTooLarge, "file_too_large")
		w.wantAsked(t)
		c = htDial(t, w.URL)
		c.send(head("Transfer-Encoding: chunked"))
		form := tsForm("a.txt", "text/plain", strings.Repeat("x", 1<<20+1))
		c.send(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(form), form))
		wantAnswer(t, c.read("POST"), http.StatusRequestEntityTooLarge, "file_too_large")
		w.rt.take()
	})
	t.Run("a connection goes on after an upload, and ends where the body was not read", func(t *testing.T) {
		c := htDial(t, w.URL)
		request := func(framing, body string) string {
			return "POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.bearers["normal"] + "\r\nContent-Type: " + tsMultipart + "\r\n" + framing + "\r\n\r\n" + body
		}
		form := tsForm("a.txt", "text/plain", strings.Repeat("x", 100<<10)) + "an epilogue"
		for _, r := range []string{
			request(fmt.Sprint("Content-Length: ", len(form)), form), request("Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(form), form)),
		} {
			c.send(r)
			tsWantBody(t, c.read("POST"), http.StatusCreated, tsStored)
		}
		form = tsForm("a.exe", "text/plain", strings.Repeat("x", 100<<10))
		c.send(request(fmt.Sprint("Content-Length: ", len(form)), form))
		wantAnswer(t, c.read("POST"), http.StatusBadRequest, "file_extension_blocked")
		c.wantClosed()
		w.rt.take()
	})
	t.Run("what the runtime refuses is told", func(t *testing.T) {
		w.rt.upload = func(_ context.Context, f run.File) (json.RawMessage, error) {
			_, err := tsReadAll(f)
			if err != nil {
				return nil, err
			}
			return nil, run.ErrFileType
		}
		defer func() { w.rt.upload = tsTakes(&size) }()
		wantAnswer(t, send(t, tsMultipart, tsForm("a.txt", "text/plain", "x")), http.StatusUnsupportedMediaType, "unsupported_file_type")
	})
	t.Run("API-3 TOK-11 for an app of which the caller may not learn, nothing is read", func(t *testing.T) {
		w.rt.take()
		for name, id := range w.hidden(t) {
			a := w.Call(t, http.MethodPost, tsApp(id)+"/files/upload", "x", "Authorization", "Bearer "+w.bearers["normal"], "Content-Type", "text/plain")
			if a.Status != http.StatusNotFound || reasonOf(a) != "app_not_found" {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		w.wantAsked(t)
	})
}

// tsFilm is a body of a film's length that is nowhere in memory.
type tsFilm struct{ left int64 }

func (f *tsFilm) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), f.left)
	clear(p[:n])
	f.left -= n
	return int(n), nil
}

func TestAnUploadIsNeverHeldWhole(t *testing.T) {
	const film = 60 << 20
	const budget = 8 << 20
	w := tsStart(t)
	one := w.app(t, apps.Workflow)
	var most, size uint64
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	w.rt.upload = func(_ context.Context, f run.File) (json.RawMessage, error) {
		buffer := make([]byte, 32<<10)
		for next := uint64(0); ; {
			n, err := f.Content.Read(buffer)
			size += uint64(n)
			if size >= next {
				most, next = max(most, used()), next+4<<20
			}
			if err == io.EOF { // it is bare
				return json.RawMessage(tsStored), nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
	t.Run("API-24 HTTP-08 memory stays flat while 60 MiB pass", func(t *testing.T) {
		before := used()
		body := io.MultiReader(strings.NewReader(tsHead("film.mp4", "video/mp4")), &tsFilm{left: film}, strings.NewReader("\r\n--b--\r\n"))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+tsApp(one)+"/files/upload", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.bearers["normal"])
		req.Header.Set("Content-Type", tsMultipart)
		client := http.Client{Transport: apitest.Checked(&http.Transport{DisableKeepAlives: true})}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if answer, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusCreated || string(answer) != tsStored || size != film {
			t.Fatalf("%d %s after %d bytes", res.StatusCode, answer, size)
		}
		if most > before+budget {
			t.Errorf("%d bytes were in use while it passed, %d before", most, before)
		}
		t.Logf("%d KiB more than before", (int64(most)-int64(before))>>10)
	})
}

func TestUploadsThatAreSlow(t *testing.T) {
	const patience = time.Second
	w := tsStart(t, apitest.Set("READ_TIMEOUT", patience.String()))
	one := w.app(t, apps.Workflow)
	request := func(c *htConn, length int, start string) {
		c.send(fmt.Sprintf("POST %s/files/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			tsApp(one), w.bearers["normal"], tsMultipart, length, start))
	}
	// No handler is asked before the first 8 KiB are there.
	const length = 40 << 10
	form := tsForm("a.txt", "text/plain", strings.Repeat("x", length))
	half := len(form) / 2

	t.Run("HTTP-07 one that takes longer than other requests may", func(t *testing.T) {
		came := make(chan struct{}, 1)
		w.rt.upload = func(_ context.Context, f run.File) (json.RawMessage, error) {
			if _, err := io.ReadFull(f.Content, make([]byte, 1)); err != nil {
				return nil, err
			}
			came <- struct{}{}
			n, err := tsReadAll(f)
			if n != length-1 {
				t.Errorf("%d bytes", n)
			}
			return json.RawMessage(tsStored), err
		}
		c := htDial(t, w.URL)
		request(c, len(form), form[:half])
		<-came
		time.Sleep(patience + patience/5) // the time is what is tested
		c.send(form[half:])
		tsWantBody(t, c.read("POST"), http.StatusCreated, tsStored)
	})
	t.Run("API-24 a client that leaves: the runtime's request ends before its file is whole", func(t *testing.T) {
		came, ended := make(chan struct{}), make(chan error, 1)
		w.rt.upload = func(ctx context.Context, f run.File) (json.RawMessage, error) {
			close(came)
			_, err := tsReadAll(f)
			<-ctx.Done()
			ended <- err
			return nil, err
		}
		c := htDial(t, w.URL)
		request(c, len(form), form[:half])
		<-came
		_ = c.conn.Close()
		if err := <-ended; err == nil {
			t.Error("it took the file for whole")
		}
	})
	t.Run("HTTP-19 a runtime that has answered while the client still sends: the answer comes, and nothing reads on", func(t *testing.T) {
		reading, read := make(chan struct{}), make(chan error, 1)
		w.rt.upload = func(_ context.Context, f run.File) (json.RawMessage, error) {
			go func() {
				close(reading)
				_, err := tsReadAll(f)
				_, again := f.Content.Read(make([]byte, 1))
				if again == nil {
					t.Error("it can be read after the answer")
				}
				read <- err
			}()
			<-reading
			return nil, run.ErrFileType
		}
		c := htDial(t, w.URL)
		request(c, 1<<20, form[:half])
		wantAnswer(t, c.read("POST"), http.StatusUnsupportedMediaType, "unsupported_file_type")
		if err := <-read; err == nil {
			t.Error("it took the file for whole")
		}
		c.wantClosed()
	})
}
