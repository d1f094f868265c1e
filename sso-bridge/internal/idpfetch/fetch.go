// SPDX-License-Identifier: Apache-2.0

package idpfetch

import (
	"context"
	"errors"
	"net/http"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
)

// mediaTypes are those of metadata (SAML 2.0 Metadata, section 4.1.1), and those of files
// of XML to which nobody has given their own.
var mediaTypes = []string{"application/samlmetadata+xml", "application/xml", "text/xml"}

// Fetcher implements idpsource.Fetcher. It is safe for concurrent use.
type Fetcher struct{ Circuits *egress.Circuits }

var _ idpsource.Fetcher = Fetcher{}

// Fetch implements idpsource.Fetcher by a conditional GET (RFC 9110, section 13.1).
func (f Fetcher) Fetch(ctx context.Context, connectionID, address string, since idpsource.Validators) (idpsource.Reply, error) {
	header := http.Header{"Accept": mediaTypes}
	if since.ETag != "" {
		header.Set("If-None-Match", since.ETag)
	}
	if since.LastModified != "" {
		header.Set("If-Modified-Since", since.LastModified)
	}
	r, err := f.Circuits.For(connectionID).Get(ctx, address, header)
	if err != nil {
		e, ok := errors.AsType[*egress.Error](err)
		if !ok {
			e = &egress.Error{Phase: egress.Connect}
		}
		return idpsource.Reply{}, &idpsource.Unread{Phase: string(e.Phase), Status: e.Status, Cause: err}
	}
	switch r.Status {
	case http.StatusOK:
		return idpsource.Reply{Body: r.Body, Validators: idpsource.Validators{ETag: r.ETag, LastModified: r.LastModified}}, nil
	case http.StatusNotModified:
		return idpsource.Reply{NotModified: true}, nil
	}
	return idpsource.Reply{}, &idpsource.Unread{Phase: idpsource.PhaseStatus, Status: r.Status}
}
