// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// The ways in which a client shows itself at the token endpoint (OpenID Connect Core
// section 9). Which one is fixed by the connection; none is probed.
const (
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authKey   = "private_key_jwt"

	assertionLife = 60 * time.Second
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

func (x *exchange) authenticate(form url.Values, header http.Header) error {
	id, clientSecret := x.oidc.ClientID, x.request.Serving.Secrets.ClientSecret
	switch x.oidc.Auth {
	case authBasic, "":
		// RFC 6749 section 2.3.1: both parts are form-encoded first.
		pair := url.QueryEscape(id) + ":" + url.QueryEscape(clientSecret.Reveal())
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return nil
	case authPost:
		form.Set("client_id", id)
		form.Set("client_secret", clientSecret.Reveal())
		return nil
	case authKey:
		assertion, err := x.assertion()
		if err != nil {
			return failure.New(failure.Internal).Because(err)
		}
		form.Set("client_id", id)
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
		return nil
	}
	return failure.New(failure.Internal).Because(errors.New("oidcrp: the connection's way to authenticate is unknown"))
}

// assertion signs who we are (RFC 7523 section 3), for one minute and one use.
func (x *exchange) assertion() (string, error) {
	private, err := privateKey(x.request.Serving.Secrets.PrivateKey)
	if err != nil {
		return "", err
	}
	if !slices.Contains([]string{"RS256", "PS256", "ES256"}, x.oidc.KeyAlgorithm) {
		return "", errors.New("oidcrp: the algorithm of the client's key is not taken")
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if x.oidc.KeyID != "" {
		options = options.WithHeader("kid", x.oidc.KeyID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(x.oidc.KeyAlgorithm), Key: private}, options)
	if err != nil {
		return "", err
	}
	audience := x.endpoints.Token
	if x.oidc.AssertionAudience == "issuer" {
		audience = x.oidc.Issuer
	}
	var unique [16]byte
	_, _ = rand.Read(unique[:])
	now := x.Now()
	payload, err := json.Marshal(map[string]any{
		"iss": x.oidc.ClientID, "sub": x.oidc.ClientID, "aud": audience,
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(), "jti": base64.RawURLEncoding.EncodeToString(unique[:]),
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// privateKey reads PEM: PKCS #8, PKCS #1 or SEC 1. Its errors say nothing of the key.
func privateKey(text secret.Text) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text.Reveal()))
	if block == nil {
		return nil, errors.New("oidcrp: the client's key is no PEM")
	}
	if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	return nil, errors.New("oidcrp: the client's key cannot be read")
}
