// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Refusals of an upload before or while it is passed on.
var (
	ErrNoFile      = fault.New(fault.Invalid, "no_file_uploaded", "Send the file in a part called file.")
	ErrManyFiles   = fault.New(fault.Invalid, "too_many_files", "Send one part, called file, and nothing beside it.")
	ErrNoFileName  = fault.New(fault.Invalid, "filename_not_exists", "The file has no name.")
	ErrFileName    = fault.New(fault.Invalid, "bad_request", "The file's name must be text without slashes, backslashes and control characters.")
	ErrFileBlocked = fault.New(fault.Invalid, "file_extension_blocked", "Files with this extension are not taken here.")
)

// FileLimits is what an upload may be: bytes by kind, and extensions that are refused, with
// or without their dot, in any case.
type FileLimits struct {
	File, Image, Audio, Video int64
	Blocked                   []string
}

func (l FileLimits) check() error {
	if min(l.File, l.Image, l.Audio, l.Video) <= 0 {
		return errors.New("run: every limit of uploads must be above zero")
	}
	return nil
}

// Most is the limit of the largest kind.
func (l FileLimits) Most() int64 { return max(l.File, l.Image, l.Audio, l.Video) }

// The extensions by which Dify tells kinds of files; a runtime judges by the same.
var (
	imageExtensions = []string{"jpg", "jpeg", "png", "webp", "gif", "svg"}
	audioExtensions = []string{"mp3", "m4a", "wav", "amr", "mpga"}
	videoExtensions = []string{"mp4", "mov", "mpeg", "webm"}
)

// of gives the limit of a file. The extension says of what kind it is; only a name without
// one leaves it to the media type, which its sender may write as they like.
func (l FileLimits) of(extension, mediaType string) int64 {
	major, _, _ := strings.Cut(mediaType, "/")
	is := func(kind string, extensions []string) bool {
		return slices.Contains(extensions, extension) || extension == "" && major == kind
	}
	switch {
	case is("image", imageExtensions):
		return l.Image
	case is("audio", audioExtensions):
		return l.Audio
	case is("video", videoExtensions):
		return l.Video
	}
	return l.File
}

func (l FileLimits) blocked(extension string) bool {
	return extension != "" && slices.ContainsFunc(l.Blocked, func(b string) bool {
		return strings.EqualFold(strings.TrimPrefix(strings.TrimSpace(b), "."), extension)
	})
}

// maxFileName is the length of a name in characters.
const maxFileName = 200

// fileName judges a name and cuts it where it is too long; its extension stays whole.
func fileName(name string) (string, error) {
	if name == "" {
		return "", ErrNoFileName
	}
	if strings.Trim(name, ". ") == "" || !utf8.ValidString(name) || strings.ContainsAny(name, `/\`) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
		return "", ErrFileName
	}
	characters := []rune(name)
	if len(characters) <= maxFileName {
		return name, nil
	}
	tail := []rune(path.Ext(name))
	if len(tail) > maxFileName/2 { // a dot far from the end begins no extension
		tail = nil
	}
	return string(characters[:maxFileName-len(tail)]) + string(tail), nil
}

// extensionOf is a name's, in lower case without its dot. Dots and spaces at the end are
// passed over as by those that store files under their names.
func extensionOf(name string) string {
	return strings.ToLower(strings.TrimPrefix(path.Ext(strings.TrimRight(name, ". ")), "."))
}

// Upload judges a file by its name and type, then passes it on while it is read, up to the
// limit of its kind. Whatever ends the reading early ends the runtime's request too, before
// the runtime has the whole of a file. It gives the runtime's own answer.
func (s *Service) Upload(ctx context.Context, who Caller, a apps.App, f File) (json.RawMessage, error) {
	name, err := fileName(f.Name)
	if err != nil {
		return nil, err
	}
	media, params, err := mime.ParseMediaType(f.MediaType)
	if err != nil || !strings.Contains(media, "/") {
		return nil, ErrFileType
	}
	extension := extensionOf(name)
	if s.Limits.blocked(extension) {
		return nil, ErrFileBlocked
	}
	t, runtime, err := s.target(a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	content := &bounded{from: f.Content, left: s.Limits.of(extension, media), end: cancel}
	answer, err := runtime.Upload(ctx, t, UserOf(who.Subject), File{Name: name, MediaType: mime.FormatMediaType(media, params), Content: content})
	switch broken := content.broken.Load(); {
	case broken != nil: // whatever the runtime makes of a file that breaks off
		return nil, *broken
	case err == nil && !content.whole.Load():
		return nil, ErrUnavailable.Because(errors.New("run: an upload was answered before its end"))
	}
	return answer, err
}

// bounded reads a file of a bounded length, and keeps whether it was read to its end and
// why it was not. One goroutine reads, which may be another than the one that asks.
type bounded struct {
	from   io.Reader
	left   int64
	end    context.CancelFunc
	whole  atomic.Bool
	broken atomic.Pointer[error]
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if err := b.broken.Load(); err != nil {
		return 0, *err
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left+1)])
	if int64(n) > b.left {
		n, err = int(b.left), ErrFileTooLarge
	}
	b.left -= int64(n)
	switch {
	case err == io.EOF: // io.Reader returns it bare
		b.whole.Store(true)
	case err != nil:
		b.broken.Store(&err)
		b.end()
	}
	return n, err
}
