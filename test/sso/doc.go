// SPDX-License-Identifier: Apache-2.0

// Package sso signs people in through real identity providers: it drives the built
// programs of both services as processes, providers that other people wrote, a browser
// and a client library, and sees what each of them sees. It imports neither service.
package sso
