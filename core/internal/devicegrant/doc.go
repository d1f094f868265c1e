// SPDX-License-Identifier: Apache-2.0

// Package devicegrant owns the device authorization grant (RFC 8628): its codes,
// its states, the polling policy and the redemption of an approval. Tokens belong
// to package token; this package decides when one may be minted.
//
// The states of a grant, every move a conditional write that names the state it
// expects, and in redeeming also the owner:
//
//	(absent) --start--> pending --approve--> approved --poll claims--> redeeming --minted--> (deleted)
//	                       |                     ^                        |
//	                       |                     +--mint failed-----------+--lease lapsed: claimable again
//	                       +--deny--> denied --poll--> (deleted)
//
// Expired is no state: it is expires_at against the clock.
package devicegrant
