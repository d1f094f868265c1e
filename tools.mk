# Versions of the tools that make calls; "go run" fetches and keeps them.
GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
