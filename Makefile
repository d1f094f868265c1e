# Everything a person types. "make help" lists the targets.
.DEFAULT_GOAL := help
MODULES := core migrations pkg pkg/deviceauth sso-bridge
PACKAGES := $(addsuffix /...,$(addprefix ./,$(MODULES)))

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

test: ## every suite
	go test -count=1 $(PACKAGES)

lint: ## formatting and go vet
	@test -z "$$(gofmt -l $(MODULES))" || { gofmt -l $(MODULES); exit 1; }
	go vet $(PACKAGES)

.PHONY: help test lint
