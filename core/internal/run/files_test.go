// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// uploads is a runtime that takes files alone.
type uploads struct {
	Runtime
	take func(ctx context.Context, f File) (json.RawMessage, error)
	got  File
}

func (u *uploads) Upload(ctx context.Context, _ Target, _ string, f File) (json.RawMessage, error) {
	u.got = f
	return u.take(ctx, f)
}

type noKeys struct{}

func (noKeys) OpenKey(apps.App) (secret.Text, error) { return secret.New("k"), nil }

func uploading(t testing.TB, l FileLimits, take func(ctx context.Context, f File) (json.RawMessage, error)) (*uploads, func(f File) (json.RawMessage, error)) {
	t.Helper()
	u := &uploads{take: take}
	s := &Service{Deps: Deps{Runtimes: map[apps.Runtime]Runtime{apps.RuntimeEcho: u}, Keys: noKeys{}, Limits: l}}
	return u, func(f File) (json.RawMessage, error) {
		return s.Upload(t.Context(), Caller{Subject: token.Subject{Issuer: "i", ID: "x"}}, apps.App{Runtime: apps.RuntimeEcho}, f)
	}
}

func readAll(_ context.Context, f File) (json.RawMessage, error) {
	_, err := io.Copy(io.Discard, f.Content)
	return json.RawMessage(`{"id":"1"}`), err
}

var testLimits = FileLimits{File: 15, Image: 10, Audio: 50, Video: 100, Blocked: []string{"exe", ".SH", " Php "}}

func TestFileNames(t *testing.T) {
	long := strings.Repeat("ü", 300)
	for _, tc := range []struct {
		name, said, want string
		err              error
	}{
		{"API-24 as it is", "Report 1.txt", "Report 1.txt", nil},
		{"API-24 of other letters", "отчёт 報告.pdf", "отчёт 報告.pdf", nil},
		{"API-24 of 200 characters", long[:2*196] + ".txt", long[:2*196] + ".txt", nil},
		{"API-24 longer, cut before its extension", long + ".txt", long[:2*196] + ".txt", nil},
		{"API-24 longer, without one", long, long[:2*200], nil},
		{"API-24 longer, with a dot at its beginning", "a." + long, "a." + long[:2*198], nil},
		{"API-24 empty", "", "", ErrNoFileName},
		{"API-24 HTTP-22 with a slash", "a/b", "", ErrFileName},
		{"API-24 HTTP-22 with a backslash", `..\b`, "", ErrFileName},
		{"API-24 HTTP-22 with NUL", "a\x00b", "", ErrFileName},
		{"API-24 HTTP-22 with a line break", "a\r\nX-Note: b", "", ErrFileName},
		{"API-24 HTTP-22 with DEL", "a\x7f", "", ErrFileName},
		{"API-24 HTTP-22 with a control character of Latin-1", "a\u0085b", "", ErrFileName},
		{"API-24 HTTP-22 a folder", ".", "", ErrFileName},
		{"API-24 HTTP-22 the folder above", "..", "", ErrFileName},
		{"API-24 HTTP-22 one that some take for the folder above", ".. . ", "", ErrFileName},
		{"API-24 of other bytes than UTF-8", "a\xff", "", ErrFileName},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, send := uploading(t, testLimits, readAll)
			_, err := send(File{Name: tc.said, MediaType: "text/plain", Content: strings.NewReader("x")})
			if !errors.Is(err, tc.err) || u.got.Name != tc.want {
				t.Errorf("%q, %v instead of %q, %v", u.got.Name, err, tc.want, tc.err)
			}
		})
	}
}

func TestFileKinds(t *testing.T) {
	for _, tc := range []struct {
		name, file, media string
		limit             int // 0: refused
		err               error
	}{
		{"API-24 a text", "a.txt", "text/plain;charset=utf-8", 15, nil},
		{"API-24 an image", "a.PNG", "application/octet-stream", 10, nil},
		{"API-24 a sound", "a.mpga", "x/y", 50, nil},
		{"API-24 a film", "a.webm", "text/plain", 100, nil},
		{"API-24 the extension says more than the type", "a.txt", "video/mp4", 15, nil},
		{"API-24 the type where there is no extension", "film", "video/mp4", 100, nil},
		{"API-24 and of an image", "picture.", "image/x-anything", 10, nil},
		{"API-24 neither", "a", "application/octet-stream", 15, nil},
		{"API-24 blocked", "a.exe", "text/plain", 0, ErrFileBlocked},
		{"API-24 blocked in another case", "a.Sh", "text/plain", 0, ErrFileBlocked},
		{"API-24 blocked with a dot and spaces after it", "a.php. .", "text/plain", 0, ErrFileBlocked},
		{"API-24 blocked at the end of a long name", strings.Repeat("a", 400) + ".exe", "text/plain", 0, ErrFileBlocked},
		{"API-24 only the last extension counts", "a.exe.txt", "text/plain", 15, nil},
		{"API-24 a name that is an extension", ".exe", "text/plain", 0, ErrFileBlocked},
		{"API-24 without a media type", "a.txt", "", 0, ErrFileType},
		{"API-24 with half of one", "a.txt", "text", 0, ErrFileType},
		{"API-24 with two", "a.txt", "text/plain, text/html", 0, ErrFileType},
		{"API-24 HTTP-22 with a line break in it", "a.txt", "text/plain\r\nX: y", 0, ErrFileType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, send := uploading(t, testLimits, readAll)
			for size, want := range map[int]error{0: tc.err, tc.limit: tc.err, tc.limit + 1: ErrFileTooLarge} {
				if tc.err != nil {
					want = tc.err
				}
				for _, content := range []io.Reader{strings.NewReader(strings.Repeat("x", size)), iotest.DataErrReader(strings.NewReader(strings.Repeat("x", size)))} {
					answer, err := send(File{Name: tc.file, MediaType: tc.media, Content: content})
					if !errors.Is(err, want) || (err == nil) != (string(answer) == `{"id":"1"}`) {
						t.Errorf("%d bytes: %s, %v instead of %v", size, answer, err, want)
					}
				}
			}
		})
	}
}

func TestUploadsThatBreakOff(t *testing.T) {
	broken := errors.New("broken")
	t.Run("API-24 over its limit the runtime's request ends, and reads no byte more than the limit", func(t *testing.T) {
		var read int64
		_, send := uploading(t, testLimits, func(ctx context.Context, f File) (json.RawMessage, error) {
			var err error
			read, err = io.Copy(io.Discard, f.Content)
			if !errors.Is(err, ErrFileTooLarge) || ctx.Err() == nil {
				t.Errorf("%v, %v", err, ctx.Err())
			}
			if n, again := f.Content.Read(make([]byte, 1)); n != 0 || !errors.Is(again, ErrFileTooLarge) {
				t.Errorf("once more: %d, %v", n, again)
			}
			return json.RawMessage(`{"id":"half of it"}`), nil // whatever it says
		})
		if _, err := send(File{Name: "a", MediaType: "a/b", Content: strings.NewReader(strings.Repeat("x", 100))}); !errors.Is(err, ErrFileTooLarge) || read != 15 {
			t.Errorf("%d bytes, %v", read, err)
		}
	})
	t.Run("what the sender fails with is told, not what the runtime makes of it", func(t *testing.T) {
		_, send := uploading(t, testLimits, func(ctx context.Context, f File) (json.RawMessage, error) {
			_, _ = io.Copy(io.Discard, f.Content)
			return nil, ErrUnavailable.Because(ctx.Err())
		})
		if _, err := send(File{Name: "a", MediaType: "a/b", Content: iotest.ErrReader(broken)}); !errors.Is(err, broken) {
			t.Error(err)
		}
	})
	t.Run("a runtime that answers before the end has not taken the file; its refusal is told", func(t *testing.T) {
		for _, refusal := range []error{nil, ErrFileType} {
			_, send := uploading(t, testLimits, func(context.Context, File) (json.RawMessage, error) { return json.RawMessage(`{}`), refusal })
			want := refusal
			if want == nil {
				want = ErrUnavailable
			}
			if _, err := send(File{Name: "a", MediaType: "a/b", Content: strings.NewReader("x")}); !errors.Is(err, want) {
				t.Errorf("%v instead of %v", err, want)
			}
		}
	})
	t.Run("limits that are none keep the service from being built", func(t *testing.T) {
		if err := (FileLimits{File: 1, Image: 1, Audio: 1}).check(); err == nil {
			t.Error("they are taken")
		}
	})
}
