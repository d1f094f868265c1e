// SPDX-License-Identifier: Apache-2.0

// Package server is the HTTP ground that both services stand on: fiber with its
// risky defaults overridden, the one error writer, the headers that every answer
// carries, bounded bodies, request ids and client addresses. It knows no route.
package server
