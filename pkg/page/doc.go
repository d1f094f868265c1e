// SPDX-License-Identifier: Apache-2.0

// Package page is the kit that pages are made with: which language a browser wants,
// and message catalogues with plural forms. Templates and texts belong to each
// service's own webui package.
package page
