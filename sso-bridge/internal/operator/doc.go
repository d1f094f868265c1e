// SPDX-License-Identifier: Apache-2.0

// Package operator is what commands can do to the bridge, whoever does it: this process on
// the stores, or the one that serves, over its control socket. Requests and answers encode
// as JSON, and -o json shows the answers.
package operator
