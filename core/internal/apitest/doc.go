// SPDX-License-Identifier: Apache-2.0

// Package apitest boots the whole of core on ports of its own and speaks to it as
// browsers, clients and operators do. Its tests are the contract's acceptance entries.
package apitest
