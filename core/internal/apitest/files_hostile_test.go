// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// The body of an upload is read by its handler and not by the server, so that what holds of
// other bodies has to be shown of this one too.
func TestHostileUploads(t *testing.T) {
	w := tsStart(t, unlimited(), apitest.Set("UPLOAD_FILE_EXTENSION_BLACKLIST", "exe"))
	path := tsApp(w.app(t, apps.Workflow)) + "/files/upload"
	var size int64
	w.rt.upload = tsTakes(&size)
	form := tsForm("a.txt", "text/plain", "abc")
	length, chunk := fmt.Sprintf("Content-Length: %d", len(form)), fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(form), form)
	head := func(more string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.bearers["normal"] + "\r\nContent-Type: " + tsMultipart + "\r\n" + more + "\r\n\r\n"
	}
	for name, request := range map[string]string{
		"a length beside a coding":     head(length+"\r\nTransfer-Encoding: chunked") + chunk,
		"a coding before a length":     head("Transfer-Encoding: chunked\r\n"+length) + chunk,
		"two lengths":                  head(length+"\r\n"+length) + form,
		"a signed length":              head("Content-Length: +"+fmt.Sprint(len(form))) + form,
		"an unknown coding":            head("Transfer-Encoding: xchunked") + chunk,
		"a space before the colon":     head("Transfer-Encoding : chunked") + chunk,
		"two codings":                  head("Transfer-Encoding: chunked, identity") + chunk,
		"a tab of another kind":        head("Transfer-Encoding:\x0bchunked") + chunk,
		"chunks that end in LF":        head("Transfer-Encoding: chunked") + strings.ReplaceAll(chunk, "\r\n", "\n"),
		"a line break in an extension": head("Transfer-Encoding: chunked") + strings.Replace(chunk, "\r\n", ";a=\nb\r\n", 1),
		"a chunk of ever":              head("Transfer-Encoding: chunked") + "ffffffffffffffff\r\n" + form,
		"a negative chunk":             head("Transfer-Encoding: chunked") + "-1\r\n" + form,
	} {
		t.Run("HTTP-01 "+name, func(t *testing.T) {
			c := htDial(t, w.URL)
			c.send(request + htHidden)
			wantAnswer(t, c.read("POST"), http.StatusBadRequest, "bad_request")
			if rest, _ := io.ReadAll(c.in); len(rest) > 0 {
				t.Errorf("a second answer: %q", rest)
			}
		})
	}
	w.rt.take()
	part := func(headers ...string) string {
		return "--b\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\nx\r\n--b--\r\n"
	}
	const file, text = `Content-Disposition: form-data; name="file"; filename="a.txt"`, "Content-Type: text/plain"
	for name, tc := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"two dispositions":            {part(file, file, text), 400, "bad_request"},
		"two names of the file":       {part(file+`; filename="b.txt"`, text), 400, "bad_request"},
		"an extended name that names": {part(file+`; filename*=UTF-8''b.exe`, text), 400, "file_extension_blocked"},
		"a name in pieces":            {part(`Content-Disposition: form-data; name="file"; filename*0="a.e"; filename*1="xe"`, text), 400, "file_extension_blocked"},
		"an extended name in Latin-1": {part(`Content-Disposition: form-data; name="file"; filename*=ISO-8859-1''%e4.txt`, text), 400, "filename_not_exists"},
		"two types":                   {part(file, text, "Content-Type: text/html"), 415, "unsupported_file_type"},
		"a head of 1 MiB":             {part(strings.Replace(file, "a.txt", strings.Repeat("a", 1<<20), 1), text), 400, "bad_request"},
		"a name of dots":              {tsForm("..", "text/plain", "x"), 400, "bad_request"},
	} {
		t.Run("API-24 HTTP-22 "+name, func(t *testing.T) {
			wantAnswer(t, w.Call(t, http.MethodPost, path, tc.body, "Authorization", "Bearer "+w.bearers["normal"], "Content-Type", tsMultipart), tc.status, tc.code)
			w.wantAsked(t)
		})
	}
}
