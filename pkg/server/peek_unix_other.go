// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package server

// hungUp does not know: where the client has sent more, pings find out.
func hungUp(int) bool { return false }
