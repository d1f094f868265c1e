// SPDX-License-Identifier: Apache-2.0

// Package limits names the limits of the bridge; how they are counted is pkg/limits' matter.
package limits
