// SPDX-License-Identifier: Apache-2.0

// Package bridgeclient asks sso-bridge over its second listener, with signed requests
// (docs/specs/v1.0/server/sso.md, Inner requests). It is the only package of core that
// does; what a login means is package sso's matter.
package bridgeclient
