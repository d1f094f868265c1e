// SPDX-License-Identifier: Apache-2.0

// Package innerapi is what core asks of the bridge, on the listener that is never public:
// to begin a login, for the list of connections, and for the trace of an attempt. Each
// request carries one token that is good for it alone, once; it is judged before anything
// else of the request is.
package innerapi
