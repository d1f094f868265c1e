// SPDX-License-Identifier: Apache-2.0

// Package command holds what the command lines of both services have in common: exit
// codes, how failures are said, settings as flags, and answers as text or JSON.
package command
