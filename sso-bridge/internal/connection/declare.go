// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

type detail = fault.Detail

// Declare reads a connection out of an administrator's order: the JSON of the shape that
// the connections file has. The id is that of the address, for a change; when it is empty
// the connection may name its own, and gets one otherwise. What a sign-in needs and an
// administrator adds later, the client's id and secret, may be absent. It returns
// wire.ErrInvalidJSON, or ErrInvalid with every member that does not hold.
func Declare(body []byte, id string) (Content, error) {
	var s shape
	if err := wire.JSON(body, &s, wire.Refuse); err != nil {
		return Content{}, shaped(err)
	}
	r := resolver{parse: idpmetadata.Parse}
	const ofFile = "is for the connections file alone"
	r.when(s.Enable != nil, ofFile, "enable")
	r.when(s.Reason != nil, ofFile, "reason")
	r.when(s.TakeOverIssuer != nil, ofFile, "take_over_issuer")
	switch {
	case id != "" && s.ID != nil:
		r.when(*s.ID != id, "is not the one of the address", "id")
	case id != "":
		s.ID = &id
	case s.ID == nil:
		drawn := newID()
		s.ID = &drawn
	}
	c := r.content(s)
	if err := r.fault(ErrInvalid); err != nil {
		return Content{}, err
	}
	return c, nil
}

// newID draws an id for a connection that nobody has named: 50 random bits.
func newID() string {
	var b [7]byte
	_, _ = rand.Read(b[:])
	return "c-" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))[:10]
}

// shaped gives the decoder's refusal in this package's words.
func shaped(err error) error {
	if p, ok := errors.AsType[*wire.Problems](err); ok {
		return p.Fault(ErrInvalid)
	}
	return err
}

func detailsOf(err error) []detail {
	if err == nil {
		return nil
	}
	return fault.Of(err).Details()
}

// pathOf writes a path as people do: connections[1].oidc.issuer.
func pathOf(loc []any) string {
	var b strings.Builder
	for _, step := range loc {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, step)
		}
	}
	return b.String()
}
