# Prerequisites: Go 1.26, Node 22, make. All else comes into .cache, or into Go's and npm's own caches.
SHELL    := /bin/bash -euo pipefail
# Paths are relative, and so right in a directory with spaces, quotes or $ in its own path.
CACHE    := .cache
MODULES  := kit lab $(wildcard services/*)
TAGS     := nomsgpack# 6 MB less of gin in each binary
FUZZTIME ?= 6s
# The lab's tests run programs whose sources go test does not know of: in CI no result is an old one.
# A first build of all images takes longer than the 10 minutes that go test gives a package.
TESTFLAGS ?= -timeout 30m $(if $(CI),-count=1)
# Of the images: their tag, what stands before their names, linux/amd64 or linux/arm64 (unset: the engine's own).
TAG      ?= 6
REGISTRY ?=
PLATFORM ?=
SOURCE   ?=
UP       ?= k8s/base

export npm_config_cache := $(CURDIR)/.cache/npm
# The build's environment is the project's own, whatever the user's, or go env -w, says: see lab/gobuild.
export GOFLAGS      := -mod=readonly -buildvcs=false
export GOWORK       := auto
export GO111MODULE  := on
export CGO_ENABLED  := 1# the race detector needs it
unexport GOOS GOARCH GOBIN GOEXPERIMENT

GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0
GOLANGCI    := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT  := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
FLEETMAN    := $(CACHE)/bin/fleetman

.PHONY: help run test check bench lint prose format ui build test-go test-ui fuzz modules mesh-parts istioctl images images-published clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 18

run: ui $(FLEETMAN) ## start the fleet: five vehicles on http://127.0.0.1:30080
	@exec $(FLEETMAN) up $(UP)

# Scenarios are checked after the tests, for they measure.
test: ui lint modules test-ui test-go fuzz $(if $(CI),check) ## everything that CI checks, but for the scenarios: see check

check: ui $(FLEETMAN) ## what every scenario promises, and that it can be broken, in some five minutes; CI does so too
	$(FLEETMAN) check --jobs 4 --json $(CACHE)/check.json --junit $(CACHE)/check.xml

bench: ui ## measure what README's table shows, in about six minutes
	go run ./lab/bench -readme README.md

lint: ## format, vet, linters (built in a minute or two the first time), workflows
	@unformatted=$$($(GOFUMPT) -l $(MODULES)); test -z "$$unformatted" || { echo "not formatted (make format): $$unformatted"; exit 1; }
	go vet -tags $(TAGS) work
	$(GOLANGCI) run $(MODULES:%=./%/...)
	$(ACTIONLINT)

prose: ## words that the glossary replaces, links that lead nowhere
	@go run ./lab/prose

format: ## format the Go code
	$(GOFUMPT) -l -w $(MODULES)

modules: ## every module is tidy, in step with the others, and builds alone as its image does
	@before=$$(cat go.work go.work.sum $(MODULES:%=%/go.mod) $(MODULES:%=%/go.sum) | sha256sum); \
	go work sync; \
	test "$$before" = "$$(cat go.work go.work.sum $(MODULES:%=%/go.mod) $(MODULES:%=%/go.sum) | sha256sum)" || { echo 'go work sync changed the modules: commit what it wrote'; git diff --stat; exit 1; }
	@for m in $(MODULES); do echo "module $$m"; (cd $$m && go mod tidy -diff && GOWORK=off go build -tags $(TAGS) -o /dev/null ./...); done

# These measure, or keep both cores busy: one at a time, after the others.
ALONE := $(addprefix fleetman.example/lab/,compare e2e images scenario/machine)

# In CI nothing may skip for want of a part, and no combination of components is left out: these without
# the race detector, which makes kustomize ten times as slow.
test-go: ui $(if $(CI),mesh-parts) ## the Go tests, with the race detector
	go test -race -tags $(TAGS) $(TESTFLAGS) $(if $(CI),-skip '^TestCombinations$$') $$(go list -tags $(TAGS) work | grep -vxF $(ALONE:%=-e %))
	$(if $(CI),go test -tags $(TAGS) $(TESTFLAGS) -run Combinations ./lab/k8stest -all)
	go test -race -tags $(TAGS) $(TESTFLAGS) -p 1 $(ALONE)

test-ui: ui ## the page's own tests
	cd services/webapp/ui && npm run --silent typecheck && npm test --silent

fuzz: ## every fuzz test for FUZZTIME
	@grep -rlE '^func Fuzz' --include='*_test.go' $(MODULES) | while read -r file; do \
	  for name in $$(grep -oE '^func Fuzz[A-Za-z0-9]*' $$file | cut -c6-); do \
	    echo "fuzz $$(dirname $$file) $$name"; go test -tags $(TAGS) -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$(dirname $$file); \
	  done; \
	done

NPM_QUIET := --no-audit --no-fund --loglevel=error
# A registry that cannot be reached is given up after seconds; npm ci alone takes minutes.
NPM_QUICK := --fetch-retries=0 --fetch-timeout=10000
# The page is built when its sources are newer than what was built of them.
UI_SOURCES := $(shell find services/webapp/ui -path '*/node_modules' -prune -o -path '*/dist' -prune -o -type f -print)
ui: services/webapp/ui/dist/index.html ## the page, as the webapp embeds it
services/webapp/ui/dist/index.html: services/webapp/ui/node_modules/.package-lock.json $(UI_SOURCES)
	cd services/webapp/ui && npm run --silent build
	@touch $@
services/webapp/ui/node_modules/.package-lock.json: services/webapp/ui/package-lock.json
	@command -v npm >/dev/null || { echo 'Node is missing: install Node 22 or newer, with npm'; exit 1; }
	@echo "getting the page's packages with npm ci: up to a minute, once"
	@cd services/webapp/ui; \
	npm ci --offline $(NPM_QUIET) &>/dev/null || { \
	  npm view typescript version $(NPM_QUICK) &>/dev/null || { echo "npm ci: no answer from the registry $$(npm config get registry): connect to it, or copy services/webapp/ui/node_modules from another clone"; exit 1; }; \
	  npm ci $(NPM_QUIET); }
	@touch $@

build: $(FLEETMAN) ## the fleetman command
.PHONY: $(FLEETMAN)
$(FLEETMAN):
	@mkdir -p $(CACHE)/bin
	@test -e $@ || echo 'building the fleetman command: up to a minute, once'
	@CGO_ENABLED=0 go build -v -trimpath -buildvcs=$$(git rev-parse HEAD &>/dev/null && echo auto || echo false) -o $@ ./lab/cmd/fleetman 2>&1 | { \
	  packages=0; while read -r line; do case $$line in \
	    *[\ :\#]*) echo "$$line" >&2 ;; \
	    *) packages=$$((packages + 1)); ((packages % 100)) || echo "building the fleetman command: $$packages packages compiled" ;; \
	  esac; done; }

mesh-parts: $(FLEETMAN) ## what a mesh needs, into .cache: Istio (built, 4 to 8 minutes once) and Envoy
	@$(FLEETMAN) parts
istioctl: $(FLEETMAN) ## only what validates the manifests
	@$(FLEETMAN) parts istioctl

IMAGES := go run ./lab/images -tag '$(TAG)' -registry '$(REGISTRY)' -platform '$(PLATFORM)' -source '$(SOURCE)'
images: ## the container images fleetman/NAME:TAG, with Docker
	@$(IMAGES)
images-published: ## the images by the published names and tags, variants included
	@$(IMAGES) -published

clean: ## remove what make brought and built
	rm -rf $(CACHE) services/webapp/ui/node_modules services/webapp/ui/dist/assets services/webapp/ui/dist/index.html
