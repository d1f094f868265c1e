// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/openapi"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

const (
	// uploadTime bounds one upload, and uploadSilence how long its client may send nothing.
	uploadTime    = 10 * time.Minute
	uploadSilence = 10 * time.Second
)

type uploadForm struct {
	File openapi.File `json:"file" doc:"with a file name and a content type" api:"required"`
}

// fileAnswer is what runtimes say of a file; it is passed on as it is.
type fileAnswer struct {
	ID        string       `json:"id" doc:"what an input names the file by"`
	Name      string       `json:"name"`
	Size      int64        `json:"size" doc:"bytes"`
	Extension *string      `json:"extension"`
	MimeType  *string      `json:"mime_type"`
	CreatedBy *string      `json:"created_by"`
	CreatedAt *int64       `json:"created_at" doc:"seconds since 1970"`
	_         openapi.Open // a runtime may say more
}

var fileSample = fileAnswer{
	ID: "72fa9618-8f89-4a37-9b33-7e1178a24a67", Name: "notes.txt", Size: 1024, Extension: new("txt"), MimeType: new("text/plain"),
	CreatedBy: new("6ad1ab0a-73ff-4ac1-b9e4-cdb312f71f13"), CreatedAt: new(int64(1767225600)),
}

// uploadFile passes a file on to the app's runtime while it is read. It is kept nowhere and
// never whole in memory.
func (a *api) uploadFile(c *fiber.Ctx) error {
	body, err := server.Read(c, a.Run.Limits.Most()+small, uploadSilence, uploadTime)
	if errors.Is(err, server.ErrTooLarge) {
		return run.ErrFileTooLarge
	}
	if err != nil {
		return err
	}
	defer body.Close(c)
	part, err := wire.OnePart(c.Get(fiber.HeaderContentType), "file", body)
	if err != nil {
		return asUploadFault(err)
	}
	// The time of a request is for those that are read at once.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.UserContext()), uploadTime)
	defer cancel()
	who := callerOf(c)
	answer, err := a.Run.Upload(ctx, runCaller(who), who.App.App, run.File{Name: part.FileName, MediaType: part.MediaType, Content: uploaded{part.Content}})
	if err != nil {
		return err
	}
	return passOn(c, http.StatusCreated, answer)
}

// uploaded reads a part and fails in this API's words.
type uploaded struct{ from io.Reader }

// Read implements io.Reader.
func (u uploaded) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns it bare
		err = asUploadFault(err)
	}
	return n, err
}

func asUploadFault(err error) error {
	switch {
	case errors.Is(err, wire.ErrNoPart):
		return run.ErrNoFile
	case errors.Is(err, wire.ErrMoreParts):
		return run.ErrManyFiles
	default:
		return server.ErrBadRequest.Because(err)
	}
}
