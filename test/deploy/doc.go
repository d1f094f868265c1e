// SPDX-License-Identifier: Apache-2.0

// Package deploy installs, runs and watches the product as its operators do: from the
// chart, the unit file, the compose files and the images, as processes on real stores. Its
// packages import no service; they drive what "make build" makes.
package deploy
