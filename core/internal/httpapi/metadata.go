// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/token"
	pagekit "github.com/dify-sso/dify-sso/pkg/page"
)

// Where the documents are: the well-known part stands between host and path of the
// address that they are about (RFC 8414 section 3, RFC 9728 section 3).
const (
	serverMetadata   = wellKnown + "oauth-authorization-server"
	resourceMetadata = wellKnown + "oauth-protected-resource"
)

// resourceName is what a client may show its user (RFC 9728 section 2).
const resourceName = "dify-sso"

// metadataCache lets others keep a document: it changes with the configuration alone.
const metadataCache = "public, max-age=300"

// authorizationServer is what a client needs to know of us (RFC 8414 section 2, and
// RFC 8628 section 4 for the device endpoint).
type authorizationServer struct {
	Issuer              string        `json:"issuer" api:"format=uri"`
	DeviceAuthorization string        `json:"device_authorization_endpoint" api:"format=uri"`
	Token               string        `json:"token_endpoint" api:"format=uri"`
	Introspection       string        `json:"introspection_endpoint" api:"format=uri"`
	Revocation          string        `json:"revocation_endpoint" api:"format=uri"`
	GrantTypes          []string      `json:"grant_types_supported"`
	ResponseTypes       []string      `json:"response_types_supported"` // required, and we have no authorization endpoint
	Scopes              []token.Scope `json:"scopes_supported"`
	TokenAuth           []string      `json:"token_endpoint_auth_methods_supported"`
	RevocationAuth      []string      `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuth   []string      `json:"introspection_endpoint_auth_methods_supported"`
	UILocales           []string      `json:"ui_locales_supported"`
}

// serverMetadata describes the authorization server whose issuer has the given path.
// Both are one server; a client compares the issuer with the address that it asked
// (RFC 8414 section 3.3).
func (a *api) serverMetadata(path string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderCacheControl, metadataCache)
		return c.JSON(a.authorizationServer(path, a.Kinds.Scopes()))
	}
}

func (a *api) authorizationServer(path string, scopes []token.Scope) authorizationServer {
	api := a.public + base
	return authorizationServer{
		Issuer:              a.public + path,
		DeviceAuthorization: api + "/oauth/device/code", Token: api + "/oauth/device/token",
		Introspection: api + "/oauth/introspect", Revocation: api + "/oauth/revoke",
		GrantTypes: []string{deviceCodeGrant}, ResponseTypes: []string{}, Scopes: scopes,
		TokenAuth: []string{"none"}, RevocationAuth: []string{"none"}, IntrospectionAuth: []string{"client_secret_basic"},
		UILocales: []string{pagekit.English, pagekit.Chinese},
	}
}

// protectedResource says who may let a client in (RFC 9728 section 2).
type protectedResource struct {
	Resource      string        `json:"resource" api:"format=uri"`
	Servers       []string      `json:"authorization_servers"`
	Scopes        []token.Scope `json:"scopes_supported"`
	BearerMethods []string      `json:"bearer_methods_supported"`
	Name          string        `json:"resource_name"`
}

// resourceMetadata describes the resource whose address has the given path.
func (a *api) resourceMetadata(path string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderCacheControl, metadataCache)
		return c.JSON(a.protectedResource(path, a.Kinds.Scopes()))
	}
}

func (a *api) protectedResource(path string, scopes []token.Scope) protectedResource {
	address := a.public + path
	return protectedResource{Resource: address, Servers: []string{address}, Scopes: scopes, BearerMethods: []string{"header"}, Name: resourceName}
}
