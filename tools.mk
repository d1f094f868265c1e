# SPDX-License-Identifier: Apache-2.0
# Versions of the tools that make calls; "go run" fetches and keeps them.
GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
HELM_DOCS ?= go run github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
GORELEASER ?= go run github.com/goreleaser/goreleaser/v2@v2.16.0
