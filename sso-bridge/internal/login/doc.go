// SPDX-License-Identifier: Apache-2.0

// Package login owns one login attempt through an identity provider, from core's request
// to the signed assertion: the start ticket, the handle under whose key the attempt is
// sealed, the single claim of a callback, the assertion, and the redacted trace that
// explains a failure. Protocols are Providers; which connection there is belongs to
// package connection, what an identity is to package identity.
//
// The states of an attempt:
//
//	created --start--> started --callback claims--> returned --> succeeded | failed
//
// Expired is no state: it is expires_at against the clock.
//
// Which provider is left alone for a while, and whose keys were read again just now, is
// no part of it and lies in no store: package egress and the protocols know it for their
// process. Replicas that each ask a provider once more do no harm, and one that had to
// ask Redis first could not sign anybody in without it.
package login
