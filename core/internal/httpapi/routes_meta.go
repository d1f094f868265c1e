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
	}
}
