// SPDX-License-Identifier: Apache-2.0

// Package clientip finds the address of a client behind proxies. Only what trusted
// proxies have written counts; every other header is a stranger's claim.
package clientip
