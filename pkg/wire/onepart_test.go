// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dify-sso/dify-sso/pkg/wire"
)

const opType = `multipart/form-data; boundary=b`

func opPart(head, content string) string {
	return "--b\r\n" + head + "\r\n\r\n" + content + "\r\n"
}

const opFile = `Content-Disposition: form-data; name="file"; filename="a.txt"` + "\r\nContent-Type: text/plain"

func TestOnePart(t *testing.T) {
	for _, tc := range []struct {
		name, contentType, body string
		head                    error // of the head
		content                 error // of the content, when the head is read
		want                    string
	}{
		{"a file", opType, opPart(opFile, "abc") + "--b--\r\n", nil, nil, "abc"},
		{"without the last line break", opType, opPart(opFile, "abc") + "--b--", nil, nil, "abc"},
		{"of no bytes", opType, opPart(opFile, "") + "--b--\r\n", nil, nil, ""},
		{"with a preamble and an epilogue", opType, "before\r\nit\r\n" + opPart(opFile, "abc") + "--b--\r\nafter\r\n--b\r\nit", nil, nil, "abc"},
		{"whose bytes look like a boundary", opType, opPart(opFile, "x--b\r\n-\r\n--bb\r\n--") + "--b--\r\n", nil, nil, "x--b\r\n-\r\n--bb\r\n--"},
		{"with a header of its own", opType, opPart(opFile+"\r\nX-Note: x\r\nContent-Transfer-Encoding: quoted-printable", "=41") + "--b--\r\n", nil, nil, "=41"},
		{"HTTP-10 of another type", `application/json`, opPart(opFile, "") + "--b--\r\n", wire.ErrParts, nil, ""},
		{"of mixed parts", `multipart/mixed; boundary=b`, opPart(opFile, "") + "--b--\r\n", wire.ErrParts, nil, ""},
		{"without a boundary", `multipart/form-data`, opPart(opFile, "") + "--b--\r\n", wire.ErrParts, nil, ""},
		{"with an empty one", `multipart/form-data; boundary=""`, "--\r\n", wire.ErrParts, nil, ""},
		{"with an empty one that its body has", `multipart/form-data; boundary=""`, "--\r\n" + opFile + "\r\n\r\nabc\r\n----\r\n", wire.ErrParts, nil, ""},
		{"with two", `multipart/form-data; boundary=b; boundary=c`, opPart(opFile, "") + "--b--\r\n", wire.ErrParts, nil, ""},
		{"with one that is too long", `multipart/form-data; boundary=` + strings.Repeat("b", 71), "", wire.ErrParts, nil, ""},
		{"with another one in its body", opType, "--c\r\n" + opFile + "\r\n\r\nabc\r\n--c--\r\n", wire.ErrParts, nil, ""},
		{"of nothing", opType, "", wire.ErrNoPart, nil, ""},
		{"of no part", opType, "--b--\r\n", wire.ErrNoPart, nil, ""},
		{"of another name", opType, opPart(`Content-Disposition: form-data; name="files"; filename="a"`, "") + "--b--\r\n", wire.ErrNoPart, nil, ""},
		{"of a name in another case", opType, opPart(`Content-Disposition: form-data; name="File"; filename="a"`, "") + "--b--\r\n", wire.ErrNoPart, nil, ""},
		{"without a name", opType, opPart(`Content-Disposition: form-data; filename="a"`, "") + "--b--\r\n", wire.ErrNoPart, nil, ""},
		{"without a disposition", opType, opPart(`Content-Type: text/plain`, "") + "--b--\r\n", wire.ErrParts, nil, ""},
		{"with two dispositions", opType, opPart(opFile+"\r\n"+opFile, "") + "--b--\r\n", wire.ErrParts, nil, ""},
		{"an attachment", opType, opPart(`Content-Disposition: attachment; name="file"; filename="a"`, "") + "--b--\r\n", wire.ErrParts, nil, ""},
		{"with a parameter that is none", opType, opPart(`Content-Disposition: form-data; name="file"; x`, "") + "--b--\r\n", wire.ErrParts, nil, ""},
		{"with its name twice", opType, opPart(`Content-Disposition: form-data; name="file"; name="other"`, "") + "--b--\r\n", wire.ErrParts, nil, ""},
		{"HTTP-08 with a head that does not end", opType, "--b\r\nX: " + strings.Repeat("x", 1<<20), wire.ErrParts, nil, ""},
		{"HTTP-08 with a preamble that does not end", opType, strings.Repeat("x\r\n", 1<<20), wire.ErrParts, nil, ""},
		{"two files", opType, opPart(opFile, "abc") + opPart(opFile, "def") + "--b--\r\n", nil, wire.ErrMoreParts, "abc"},
		{"a file and a value", opType, opPart(opFile, "abc") + opPart(`Content-Disposition: form-data; name="user"`, "u") + "--b--\r\n", nil, wire.ErrMoreParts, "abc"},
		{"HTTP-08 a second part whose head does not end", opType, opPart(opFile, "abc") + "--b\r\nX: " + strings.Repeat("x", 1<<20), nil, wire.ErrParts, "abc"},
		{"HTTP-08 an epilogue that does not end", opType, opPart(opFile, "abc") + "--b--\r\n" + strings.Repeat("x", 1<<20), nil, wire.ErrParts, "abc"},
		{"cut off in its content", opType, "--b\r\n" + opFile + "\r\n\r\nabc", nil, wire.ErrParts, ""},
		{"cut off after its content", opType, "--b\r\n" + opFile + "\r\n\r\nabc\r\n--b", nil, wire.ErrParts, ""},
		{"cut off after another was announced", opType, opPart(opFile, "abc") + "--b\r\n", nil, wire.ErrMoreParts, "abc"},
		{"cut off in a line of another's head", opType, opPart(opFile, "abc") + "--b\r\nX: y", nil, wire.ErrParts, "abc"},
		{"cut off after a line of another's head", opType, opPart(opFile, "abc") + "--b\r\nX: y\r\n", nil, wire.ErrMoreParts, "abc"},
		{"cut off in its head", opType, "--b\r\n" + opFile, wire.ErrParts, nil, ""},
		{"of a preamble alone", opType, "x", wire.ErrParts, nil, ""},
		{"cut off in the head of another", opType, opPart(opFile, "abc") + "--b\r\nX", nil, wire.ErrParts, "abc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			part, err := wire.OnePart(tc.contentType, "file", strings.NewReader(tc.body))
			if !errors.Is(err, tc.head) {
				t.Fatalf("%v instead of %v", err, tc.head)
			}
			if tc.head != nil {
				return
			}
			got, err := io.ReadAll(part.Content)
			if !errors.Is(err, tc.content) || tc.want != "" && string(got) != tc.want {
				t.Fatalf("%q, %v instead of %q, %v", got, err, tc.want, tc.content)
			}
			if tc.content == nil {
				if n, err := part.Content.Read(make([]byte, 1)); n != 0 || err != io.EOF { // it is bare
					t.Errorf("after its end: %d, %v", n, err)
				}
			}
		})
	}
	t.Run("what fails in the body fails in the part", func(t *testing.T) {
		broken := errors.New("broken")
		part, err := wire.OnePart(opType, "file", io.MultiReader(strings.NewReader("--b\r\n"+opFile+"\r\n\r\n"+strings.Repeat("x", 9000)), iotest.ErrReader(broken)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(part.Content); !errors.Is(err, broken) || !errors.Is(err, wire.ErrParts) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a byte at a time", func(t *testing.T) {
		part, err := wire.OnePart(opType, "file", iotest.OneByteReader(strings.NewReader(opPart(opFile, "abc")+"--b--\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(part.Content); err != nil || string(got) != "abc" {
			t.Errorf("%q, %v", got, err)
		}
	})
	for said, want := range map[string][2]string{
		`form-data; name="file"`:                                            {"", ""},
		`form-data; name="file"; filename=""`:                               {"", ""},
		`form-data; name=file; filename=a.txt`:                              {"a.txt", ""},
		`form-data; name="file"; filename="../a/b\c.txt"`:                   {`../a/b\c.txt`, ""}, // as it was sent: who reads it judges
		`form-data; name="file"; filename="a\"b.txt"`:                       {`a"b.txt`, ""},
		`form-data; name="file"; filename="grüße.txt"`:                      {"grüße.txt", ""},
		`form-data; name="file"; filename*=UTF-8''gr%C3%BC%C3%9Fe.txt`:      {"grüße.txt", ""},
		`form-data; name="file"; filename="a%0D%0Ab.txt"`:                   {"a%0D%0Ab.txt", ""},
		"form-data; name=\"file\"; filename=\"a\"\r\nContent-Type: text/x ": {"a", "text/x"},
	} {
		t.Run("its name and type: "+said, func(t *testing.T) {
			part, err := wire.OnePart(opType, "file", strings.NewReader(opPart("Content-Disposition: "+said, "")+"--b--\r\n"))
			if err != nil || part.FileName != want[0] || part.MediaType != want[1] {
				t.Errorf("%q, %q, %v", part.FileName, part.MediaType, err)
			}
		})
	}
}

// opCounting says how far a body was read.
type opCounting struct {
	from io.Reader
	n    int
}

func (c *opCounting) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += n
	return n, err
}

// Whatever the bytes, the head is found within its bounds or refused, and a content that
// ends well is what Go's own reader of forms finds, in a form of one part.
func FuzzOnePart(f *testing.F) {
	f.Add(opType, []byte(opPart(opFile, "abc")+"--b--\r\n"))
	f.Add(opType, []byte("x\r\n"+opPart(opFile, "--b")+opPart(opFile, "")+"--b--"))
	f.Add(`multipart/form-data; boundary="b c"`, []byte("--b c\r\n"+opFile+"\r\n\r\n\r\n--b c--"))
	f.Add(opType, []byte("--b\r\nContent-Disposition: form-data; name=\"file\"; filename*0=\"a\"; filename*1=b\r\n\r\n\n--b--"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		from := &opCounting{from: bytes.NewReader(body)}
		part, err := wire.OnePart(contentType, "file", from)
		if from.n > 32<<10 {
			t.Fatalf("%d bytes were read for a head", from.n)
		}
		if err != nil {
			if part != (wire.Part{}) || !errors.Is(err, wire.ErrParts) && !errors.Is(err, wire.ErrNoPart) {
				t.Fatalf("%v with %v", err, part)
			}
			return
		}
		got, err := io.ReadAll(part.Content)
		if err != nil {
			if !errors.Is(err, wire.ErrParts) && !errors.Is(err, wire.ErrMoreParts) {
				t.Fatal(err)
			}
			return
		}
		_, params, _ := mime.ParseMediaType(contentType)
		form := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		only, err := form.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		if want, err := io.ReadAll(only); err != nil || !bytes.Equal(got, want) || only.FormName() != "file" {
			t.Fatalf("%q instead of %q, %v", got, want, err)
		}
		if next, err := form.NextRawPart(); err == nil {
			t.Fatal("another part: ", fmt.Sprint(next.Header))
		}
	})
}
