// SPDX-License-Identifier: Apache-2.0

// Package oncluster runs what the chart renders where no cluster is at hand. A small node
// takes the objects of "helm install --dry-run" as they are: each pod has a network
// namespace with an address of its own, each container a root of its own that it cannot
// write to, its user, its mounts with the modes that a kubelet gives them, its
// environment and its probes; Services, cluster DNS, Deployments, Jobs, Ingresses and
// HTTPRoutes do what they say. Nothing of the objects is rewritten. Images are not: the
// program that an image's entry point names is what "go build" makes (the package images
// runs the images themselves). It needs root, ip, nsenter, nginx and helm.
package oncluster
