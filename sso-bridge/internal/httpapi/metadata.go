// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// metadataType is that of SAML metadata (saml-metadata-2.0-os appendix A).
const metadataType = "application/samlmetadata+xml"

// metadata publishes what a provider needs to know of us. It is the one answer, beside
// files, that others may keep: it holds nothing of anybody.
func (a *api) metadata(c *fiber.Ctx) error {
	doc, etag, err := a.Metadata.Describe(c.UserContext(), c.Params("connection"))
	switch {
	case err != nil && fault.Of(err).Kind() == fault.NotFound:
		return server.ErrNotFound
	case err != nil:
		return err
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=600")
	c.Set(fiber.HeaderETag, etag)
	if matches(c.Get(fiber.HeaderIfNoneMatch), etag) {
		return c.SendStatus(http.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, metadataType)
	return c.Send(doc)
}

// matches is the weak comparison of If-None-Match (RFC 9110 section 13.1.2). Our tags
// hold no comma.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag != "" && strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}
