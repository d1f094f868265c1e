// SPDX-License-Identifier: Apache-2.0

// Package xmlscan judges foreign XML token by token before any tree is made of it: what
// passes has one reading, whatever parser comes after. It knows nothing of SAML but the
// prefixes that may mean one namespace alone.
package xmlscan
