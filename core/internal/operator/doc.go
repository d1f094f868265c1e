// SPDX-License-Identifier: Apache-2.0

// Package operator is what an operator can ask of an installation: one method for each
// act of a command. Service does it with the services that the routes call, so that an
// act has the same effects and the same audit events by whichever way it comes; package
// control brings it to the process that serves.
package operator
