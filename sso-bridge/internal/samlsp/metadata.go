// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// metadataSpace is the namespace of our metadata.
const metadataSpace = "urn:oasis:names:tc:SAML:2.0:metadata"

// Describe gives our metadata for a connection (SAML metadata section 2.4.4) and its
// strong entity tag, in quotes. The same keys and configuration give the same bytes. It
// has no key for encryption and no end: what ends is the certificate, of which nobody
// reads more than the key; the library's own type would write one in the year 1. That it
// was given away is noted of the staged key, for its promotion. The connection's first key
// is made when there is none. Every error is a fault.
func (p *Provider) Describe(ctx context.Context, c connection.Serving) (document []byte, etag string, err error) {
	if c.Config.SAML == nil {
		return nil, "", fault.ErrInternal.Because(errors.New("samlsp: the connection has another protocol"))
	}
	keys, err := p.Keys.Published(ctx, c.ID)
	if err != nil {
		return nil, "", fault.Store(err)
	}
	root := etree.NewElement("md:EntityDescriptor")
	root.CreateAttr("xmlns:md", metadataSpace)
	root.CreateAttr("entityID", EntityID(p.Public, c))
	role := root.CreateElement("md:SPSSODescriptor")
	role.CreateAttr("AuthnRequestsSigned", "true")
	role.CreateAttr("WantAssertionsSigned", strconv.FormatBool(c.Config.SAML.Signed != connection.SignedResponse))
	role.CreateAttr("protocolSupportEnumeration", protocolSpace)
	for _, k := range keys {
		descriptor := role.CreateElement("md:KeyDescriptor")
		descriptor.CreateAttr("use", "signing")
		info := descriptor.CreateElement("ds:KeyInfo")
		info.CreateAttr("xmlns:ds", dsig.Namespace)
		info.CreateElement("ds:X509Data").CreateElement("ds:X509Certificate").SetText(base64.StdEncoding.EncodeToString(k.Certificate.Raw))
	}
	if format := c.Config.SAML.NameIDFormat; format != "" {
		role.CreateElement("md:NameIDFormat").SetText(format)
	}
	consumer := role.CreateElement("md:AssertionConsumerService")
	consumer.CreateAttr("Binding", saml.HTTPPostBinding)
	consumer.CreateAttr("Location", login.CallbackURL(p.Public, c))
	consumer.CreateAttr("index", "0")
	consumer.CreateAttr("isDefault", "true")

	doc := etree.NewDocument()
	doc.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
	doc.AddChild(root)
	doc.Indent(2)
	if document, err = doc.WriteToBytes(); err != nil {
		return nil, "", fault.ErrInternal.Because(err)
	}
	for _, k := range keys {
		if err := p.Keys.Seen(ctx, k); err != nil {
			return nil, "", fault.Store(err)
		}
	}
	sum := sha256.Sum256(document)
	return document, `"` + hex.EncodeToString(sum[:16]) + `"`, nil
}
