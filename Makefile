# SPDX-License-Identifier: Apache-2.0
# Everything a person types. "make help" lists the targets.
.DEFAULT_GOAL := help
include tools.mk

MODULES := bench core deploy/image migrations pkg pkg/deviceauth sso-bridge test/chart test/deploy test/fault test/guards test/sso
PACKAGES := $(addsuffix /...,$(addprefix ./,$(MODULES)))
VERSION ?= $(shell git describe --tags --always --dirty --match 'v*' 2>/dev/null | grep '^v' || echo v0.1.0)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: community ## build core and serve it with apps to try on http://127.0.0.1:5001, everything kept in ./data
	@exec bin/core serve --log-format text --seed-apps deploy/dev/apps.yaml

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
	@RACED="$(filter-out ./bench/... ./deploy/image/... ./test/chart/... ./test/deploy/... ./test/fault/... ./test/sso/...,$(PACKAGES))" sh scripts/test.sh

test-fast: ## what needs no browser and builds no binary, under a minute
	@go test -short $(PACKAGES)

deps: ## find or install what the suites need: Chromium, fonts, axe, a C compiler, SAML providers, xmlsec1, Postgres, Redis, nginx, Caddy
	@sh scripts/deps.sh

lint: ## formatting, vet, linters, tidy modules that build alone
	@test -z "$$(gofmt -l $(MODULES))" || { echo "gofmt would change:"; gofmt -l $(MODULES); exit 1; }
	@go vet $(PACKAGES)
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy -diff && GOWORK=off go build -o /dev/null ./...) || { echo "module $$m is not tidy or does not build alone"; exit 1; }; done
	@$(GOLANGCI_LINT) run $(PACKAGES)

fault: ## races and failing stores, all rounds (make test runs a tenth), under the race detector
	@ROUNDS=full go test -count=1 -race -gcflags='golang.org/x/crypto/argon2=-race=false' -gcflags='golang.org/x/crypto/blake2b=-race=false' -gcflags='modernc.org/sqlite/lib=-race=false' -timeout 90m \
		-skip 'InChromium$$' ./core/internal/apitest ./core/internal/access ./core/internal/cli ./core/internal/sqlstore ./core/internal/memstore ./core/internal/webui ./sso-bridge/internal/cli ./test/fault \
		./sso-bridge/internal/connection ./sso-bridge/internal/login ./sso-bridge/internal/memstore ./sso-bridge/internal/redisstore ./sso-bridge/internal/sqlstore

ha: ## restarts, an upgrade, failovers and losses under a load, some ten minutes; writes docs/reliability.md
	@ROUNDS=full go test -count=1 -v -timeout 60m -run '^TestUnderLoad$$' ./test/deploy/underload

deployed: ## every suite of what is deployed: keys that are changed and parts that fail under load, a real Prometheus
	@go test -count=1 -p 1 -timeout 40m ./test/chart/... ./test/deploy/... ./deploy/image/...

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

chart-docs: ## the chart's README and the settings that its schema knows, from values.yaml and the documents of settings
	@go run deploy/helm/schema.go
	@$(HELM_DOCS) --chart-search-root deploy/helm --sort-values-order file --log-level warning

# What a release is dated by, so that two builds of one commit are equal.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
ARCH ?= amd64,arm64
# What is given away is compiled by the Go that go.work names, also on a machine that is kept to an older one
# (GOTOOLCHAIN=local): its library may have vulnerabilities that are mended since. The module proxy gives it.
RELEASE_GO := $(shell sed -n 's/^toolchain //p' go.work)
images: ## container images of both services for amd64 and arm64 (or ARCH=amd64), with lists of parts, into dist/images; needs no Docker
	@GOTOOLCHAIN=$(RELEASE_GO) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) go run ./deploy/image build --version $(VERSION) --arch $(ARCH) --out dist/images

rootfs: ## what an image holds beside its program, into dist/rootfs for deploy/image/Dockerfile
	@go run ./deploy/image rootfs --out dist/rootfs

notice: ## NOTICE anew, from the licences of the modules
	@go run ./deploy/image notice --write

sbom: build ## lists of parts of the binaries (CycloneDX), into dist/sbom
	@go run ./deploy/image sbom --version $(VERSION) --out dist/sbom bin/core bin/sso-bridge bin/difyauth

release-snapshot: ## archives, packages and checksums of a release, into dist/release; publishes nothing
	@$(GORELEASER) check
	@GOTOOLCHAIN=$(RELEASE_GO) BUILD_FLAGS="$$(sh scripts/flags.sh)" LINK_FLAGS="$$(sh scripts/flags.sh ld)" VERSION=$(VERSION) BUILD_TIME=$(SOURCE_DATE_EPOCH) \
		BUILD_DATE=$$(date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(GORELEASER) release --snapshot --clean --skip=publish,sign,sbom

vulncheck: ## known vulnerabilities of what the programs call, by a database that the module proxy gives
	@go mod verify
	@GOTOOLCHAIN=$(RELEASE_GO) go run ./deploy/image/vulncheck

reproduce: ## the image of core twice, compiled anew in two folders
	@REPRODUCE=full go test -count=1 -timeout 60m -run TestTwoBuildsAreEqual ./test/deploy/images

clean: ## remove binaries and pictures; ./data stays
	@rm -rf bin dist .cache

.PHONY: help community run run-ee fleet demo build man test test-fast deps lint fault deployed fuzz guards figures bench screenshots reference chart-docs images rootfs notice sbom release-snapshot vulncheck reproduce clean ha
