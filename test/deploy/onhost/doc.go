// SPDX-License-Identifier: Apache-2.0

// Package onhost tests what installs the product without Kubernetes: the units of systemd,
// the files of docker compose and the samples of proxies.
package onhost
