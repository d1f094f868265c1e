// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"
)

// metaRows tell of the service itself.
func (a *api) metaRows() []row {
	return []row{
		{method: http.MethodGet, path: base + "/_health", caller: open, handle: a.health},
		{method: http.MethodGet, path: base + "/_version", caller: open, handle: a.version},
		{method: http.MethodGet, path: base + "/_ready", caller: open, handle: a.ready},
		{method: http.MethodGet, path: serverMetadata, caller: open, handle: a.serverMetadata(""),
			about: operation{summary: "Authorization server metadata (RFC 8414)", answers: map[int]any{http.StatusOK: authorizationServer{}}}},
		{method: http.MethodGet, path: serverMetadata + base, caller: open, handle: a.serverMetadata(base),
			about: operation{summary: "Authorization server metadata of the API's address (RFC 8414)", answers: map[int]any{http.StatusOK: authorizationServer{}}}},
		{method: http.MethodGet, path: resourceMetadata, caller: open, handle: a.resourceMetadata(""),
			about: operation{summary: "Protected resource metadata (RFC 9728)", answers: map[int]any{http.StatusOK: protectedResource{}}}},
		{method: http.MethodGet, path: resourceMetadata + base, caller: open, handle: a.resourceMetadata(base),
			about: operation{summary: "Protected resource metadata of the API's address (RFC 9728)", answers: map[int]any{http.StatusOK: protectedResource{}}}},
	}
}
