# Everything a person types. "make help" lists the targets.
.DEFAULT_GOAL := help
include tools.mk

MODULES := bench core migrations pkg pkg/deviceauth sso-bridge test/fault test/guards test/sso
PACKAGES := $(addsuffix /...,$(addprefix ./,$(MODULES)))
VERSION ?= $(shell git describe --tags --always --dirty --match 'v*' 2>/dev/null | grep '^v' || echo v0.1.0)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: community ## build core and serve it on http://127.0.0.1:5001, everything kept in ./data
	@exec bin/core serve --log-format text

run-ee: build ## core with company sign-in, sso-bridge and a provider for development on 127.0.0.1, everything kept in ./data-ee
	@go build -o bin/devidp ./sso-bridge/cmd/devidp
	@exec sh scripts/run-ee.sh

fleet: community ## two cores on one Postgres and one Redis, found or started on this machine
	@exec sh scripts/fleet.sh

demo: community ## one whole sign-in in this terminal, on a server that it starts and stops
	@go run ./core/cmd/demo

build: community ## static binaries bin/core, bin/sso-bridge and bin/difyauth
	@sh scripts/build.sh ./sso-bridge/cmd/sso-bridge bin/sso-bridge $(VERSION)

# What the Community Edition is made of; it waits for nothing of the other.
community:
	@sh scripts/build.sh ./core/cmd/core bin/core $(VERSION)
	@sh scripts/build.sh ./pkg/deviceauth/cmd/difyauth bin/difyauth $(VERSION)

man: community ## difyauth's manual pages, into bin/man/man1 (MANPATH=bin/man man difyauth)
	@bin/difyauth man --dir bin/man/man1

test: ## every suite this machine can run; says what it left out (CI=true: nothing may be)
	@RACED="$(filter-out ./bench/... ./test/fault/... ./test/sso/...,$(PACKAGES))" sh scripts/test.sh

test-fast: ## what needs no browser and builds no binary, under a minute
	@go test -short $(PACKAGES)

deps: ## find or install what the suites need: Chromium, fonts, axe, a C compiler, Postgres, Redis, nginx, Caddy
	@sh scripts/deps.sh

lint: ## formatting, vet, linters, tidy modules that build alone
	@test -z "$$(gofmt -l $(MODULES))" || { echo "gofmt would change:"; gofmt -l $(MODULES); exit 1; }
	@go vet $(PACKAGES)
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy -diff && GOWORK=off go build -o /dev/null ./...) || { echo "module $$m is not tidy or does not build alone"; exit 1; }; done
	@$(GOLANGCI_LINT) run $(PACKAGES)

fault: ## races and failing stores, all rounds (make test runs a tenth), under the race detector
	@ROUNDS=full go test -count=1 -race -gcflags='golang.org/x/crypto/argon2=-race=false' -gcflags='golang.org/x/crypto/blake2b=-race=false' -gcflags='modernc.org/sqlite/lib=-race=false' -timeout 90m \
		-skip 'InChromium$$' ./core/internal/apitest ./core/internal/access ./core/internal/cli ./core/internal/sqlstore ./core/internal/memstore ./sso-bridge/internal/cli ./test/fault \
		./sso-bridge/internal/connection ./sso-bridge/internal/login ./sso-bridge/internal/memstore ./sso-bridge/internal/redisstore ./sso-bridge/internal/sqlstore

fuzz: ## each fuzz target for FUZZTIME (30s)
	@PACKAGES="$(PACKAGES)" sh scripts/fuzz.sh

guards: ## take away each guard by itself and name the test that notices, an hour; writes docs/reference/guards.md
	@nice go run ./test/guards

figures: ## binary size, start and idle memory of what "make build" makes
	@go test -count=1 -v -run TestFigures ./core/internal/apitest

bench: build ## core against bare floors, a quarter of an hour on a quiet Linux machine; writes docs/performance.md
	@go run ./bench -write docs/performance.md

# The gallery keeps its pictures in .cache; the documents show three of them.
GALLERY := $(CURDIR)/.cache/screenshots
screenshots: ## a picture of every page into .cache/screenshots, and those that the documents show
	@mkdir -p $(GALLERY) docs/images
	@SCREENSHOTS=$(GALLERY) go test -count=1 -run '^TestGalleryInChromium$$' ./core/internal/apitest
	@cp $(GALLERY)/en-device-authorize-light-900.png docs/images/device-authorize.png
	@cp $(GALLERY)/zh-Hans-device-authorize-dark-360.png docs/images/device-authorize-zh-phone.png
	@cp $(GALLERY)/en-sessions-light-900.png docs/images/sessions.png

reference: ## docs/reference and docs/config.md anew, from the code
	@UPDATE=1 go test -count=1 -run 'Reference' ./core/internal/httpapi ./core/internal/app ./core/internal/apitest ./sso-bridge/internal/app

clean: ## remove binaries and pictures; ./data stays
	@rm -rf bin .cache

.PHONY: help community run run-ee fleet demo build man test test-fast deps lint fault fuzz guards figures bench screenshots reference clean
