# Prerequisites: Go 1.26, Node 22, make. Everything else is fetched into .cache and into the caches of Go and npm.
SHELL    := /bin/bash -euo pipefail
# Paths are relative, so that the path of the directory may contain spaces, quotes or $.
CACHE    := .cache
MODULES  := kit lab $(patsubst %/go.mod,%,$(wildcard services/*/go.mod))
TAGS     := nomsgpack# 6 MB less of gin in each binary
# A number, not a time: Go may report the end of a time as a failure, before a slow machine has run the seeds.
FUZZTIME ?= 2000x
# The lab's tests run programs whose sources are not in go test's cache key: CI does not use the cache.
# The first build of all images takes longer than 10 minutes, go test's default time-out. make lint runs go vet.
TESTFLAGS ?= -timeout 30m $(if $(CI),-count=1 -vet=off)
# Images: tag, prefix of the names, linux/amd64 or linux/arm64 (default: that of the engine).
TAG      ?= 6
REGISTRY ?=
PLATFORM ?=
SOURCE   ?=
UP       ?= k8s/base

export npm_config_cache := $(CURDIR)/.cache/npm
# The build does not depend on the user's environment or on go env -w: see lab/gobuild.
export GOFLAGS      := -mod=readonly -buildvcs=false
export GOWORK       := auto
export GO111MODULE  := on
export CGO_ENABLED  := 1# the race detector needs it
unexport GOOS GOARCH GOBIN GOEXPERIMENT

GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0
GOLANGCI    := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT  := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
FLEETMAN    := $(CACHE)/bin/fleetman

# The command's version: the last tag, the commits since then, and whether files are changed.
VERSION     = $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
BUILDVCS    = $(shell git rev-parse HEAD &>/dev/null && echo auto || echo false)
# Without debug information, which takes a tenth of the first build; stack traces need none. The services are compiled with
# the same flags, so that builds share packages: see lab/local/build.go.
NO_DEBUG    = -gcflags=all=-dwarf=false
# Large modules of the command, which no request passes and no service imports: without inlining they compile in three
# quarters of the time.
NO_INLINE   = k8s.io sigs.k8s.io go.yaml.in github.com/envoyproxy github.com/google/gnostic-models github.com/go-openapi \
  github.com/json-iterator github.com/fxamacker github.com/yuin
COMPILE     = -trimpath $(NO_DEBUG) $(NO_INLINE:%='-gcflags=%/...=-dwarf=false -l')
BUILDFLAGS  = $(COMPILE) -buildvcs=$(BUILDVCS) -ldflags '-s -w -X main.version=$(VERSION)'
# make run compiles the command without clusters and measurements: see lab/cmd/fleetman/local.go.
RUN        := $(CACHE)/bin/fleetman-local
RUNTAGS    := $(TAGS),local

.PHONY: help run compiled test test-cluster check bench lint prose format ui build install test-go test-sequential test-manifests test-alone test-images test-ui fuzz modules mesh-parts istioctl images images-published clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 18

run: ## start the fleet, five vehicles on http://127.0.0.1:30080; UP='ARGUMENTS' are those of fleetman up
	@test -e $(RUN) || { echo 'building the pages, the launcher and the services: about a minute, once'; $(MAKE) --silent --jobs=3 ui compiled; }
	@$(MAKE) --silent ui
	@$(call go_build,the launcher,$(BUILDFLAGS) -tags $(RUNTAGS) -o $(RUN) ./lab/cmd/fleetman)
	@exec $(RUN) up $(UP)

# $(call go_build,WHAT,ARGUMENTS) prints how many packages are compiled. GOGC and GOMEMLIMIT: see lab/gobuild.
define go_build
command -v go >/dev/null || { echo 'Go is missing: install Go 1.26 or newer'; exit 1; }; mkdir -p $(CACHE)/bin; \
	GOGC=$${GOGC:-off} GOMEMLIMIT=$${GOMEMLIMIT:-2GiB} CGO_ENABLED=0 go build -v $(2) 2>&1 | { \
	  packages=0; while read -r line; do case $$line in \
	    *[\ :\#]*) echo "$$line" >&2 ;; \
	    *) packages=$$((packages + 1)); ((packages % 100)) || echo "$(1): $$packages packages compiled" ;; \
	  esac; done; }
endef

# What needs no page is compiled while the pages are built.
compiled:
	@$(call go_build,compiling,$(COMPILE) -tags $(RUNTAGS) ./kit/... ./lab/mesh)

# Each part runs, also after one has failed. The parts that measure or wait have the processors first; beside them run
# those that only compute. What both need is built before. LANES=1 runs all parts one after another.
MEASURE = $(if $(CI),check) test-alone test-images
COMPUTE = lint modules test-ui test-sequential test-manifests fuzz test-go
test: ui $(FLEETMAN) $(if $(CI),mesh-parts) ## run all checks of CI except the scenarios: see check
	@MAKE='$(MAKE)' .ci/parts '$(MEASURE)' '$(COMPUTE)'

# What fails beside three other fleets is checked again, alone: other work delays responses, a defect stays.
check: ui $(FLEETMAN) ## check the promises of all scenarios and their controls, in about five minutes
	$(FLEETMAN) check --jobs 4 --again 2 --ready-timeout 3m -o json --junit $(CACHE)/check.xml >$(CACHE)/check.json

bench: ui $(FLEETMAN) ## measure the tables of docs/bench.md, in about six minutes
	$(FLEETMAN) bench --readme docs/bench.md

lint: prose ## check words, format, vet, linters (built in a minute or two the first time) and workflows
	@unformatted=$$($(GOFUMPT) -l $(MODULES)); test -z "$$unformatted" || { echo "not formatted (make format): $$unformatted"; exit 1; }
	go vet -tags $(TAGS) work
	$(GOLANGCI) run $(MODULES:%=./%/...)
	$(ACTIONLINT)

prose: ## check words against the glossary, and links
	@go run ./lab/prose

format: ## format the Go code
	$(GOFUMPT) -l -w $(MODULES)

modules: ## check that every module is tidy, in sync with the others, and builds alone as for its image
	@before=$$(cat go.work go.work.sum $(MODULES:%=%/go.mod) $(MODULES:%=%/go.sum) | sha256sum); \
	go work sync; \
	test "$$before" = "$$(cat go.work go.work.sum $(MODULES:%=%/go.mod) $(MODULES:%=%/go.sum) | sha256sum)" || { echo 'go work sync changed the modules: commit what it wrote'; git diff --stat; exit 1; }
	@for m in $(MODULES); do echo "module $$m"; (cd $$m && go mod tidy -diff && GOWORK=off go build -tags $(TAGS) -o /dev/null ./...); done

# The tests of these packages of lab measure: one package at a time.
ALONE := compare e2e runner
# These test code without goroutines, or programs: without the race detector, which makes them ten times as slow.
SEQUENTIAL := lint report

# In CI no test may be skipped, and all combinations of components are tested.
test-go: ui $(if $(CI),mesh-parts) ## run the Go tests with the race detector, except those of the other targets
	go test -race -tags $(TAGS) $(TESTFLAGS) $$(go list -tags $(TAGS) work | grep -vxF $(addprefix -e fleetman.example/lab/,$(ALONE) $(SEQUENTIAL) k8stest images))

test-sequential: ## run the Go tests of code without goroutines
	go test -tags $(TAGS) $(TESTFLAGS) $(SEQUENTIAL:%=./lab/%)

test-manifests: $(if $(CI),mesh-parts) ## run the tests of the manifests
	go test -tags $(TAGS) $(TESTFLAGS) ./lab/k8stest $(if $(CI),-all)

test-alone: ui $(if $(CI),mesh-parts) ## run the Go tests that measure, with the race detector, one package at a time
	go test -race -tags $(TAGS) $(TESTFLAGS) -p 1 $(ALONE:%=./lab/%)

test-images: ## run the tests of the container images, with Docker
	go test -tags $(TAGS) $(TESTFLAGS) ./lab/images

test-ui: ui ## run the pages' tests
	@for ui in $(UIS); do (cd $$ui && npm run --silent typecheck && npm test --silent); done

# The cluster is that of a context in the kubeconfig, with Istio and the images of fleetman images load.
CONTEXT ?=
test-cluster: $(FLEETMAN) ## run the tests on the cluster of CONTEXT, in about seven minutes: see CONTRIBUTING.md
	FLEETMAN_TEST_CONTEXT='$(CONTEXT)' go test -tags $(TAGS) -count=1 -timeout 60m ./lab/clustertest

fuzz: ## run each fuzz test, for FUZZTIME inputs, also after one has failed
	@trap 'exit 130' INT; files=$$(grep -rlE '^func Fuzz' --include='*_test.go' $(MODULES)); failed=(); \
	for file in $$files; do \
	  for name in $$(grep -oE '^func Fuzz[A-Za-z0-9]*' $$file | cut -c6-); do \
	    echo "fuzz $$(dirname $$file) $$name"; \
	    go test -tags $(TAGS) -vet=off -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$(dirname $$file) || failed+=("$$(dirname $$file) $$name"); \
	  done; \
	done; \
	((!$${#failed[@]})) || { printf 'FAIL fuzz: %s\n' "$${failed[@]}"; exit 1; }

NPM_QUIET := --no-audit --no-fund --loglevel=error
# Fails after seconds if the registry cannot be reached; npm ci alone takes minutes.
NPM_QUICK := --fetch-retries=0 --fetch-timeout=10000
# The pages that the webapp and the fleetman command embed. One is built if a source is newer than the built page.
UIS := services/webapp/ui lab/console/ui
ui: $(UIS:%=%/dist/index.html) ## build the pages that the webapp and the console embed
define build_ui
$(1)/dist/index.html: $(1)/node_modules/.package-lock.json $$(shell find $(1) -path '*/node_modules' -prune -o -path '*/dist' -prune -o -type f -print)
	cd $(1) && npm run --silent build
	@touch $$@
endef
$(foreach ui,$(UIS),$(eval $(call build_ui,$(ui))))
# Fails unless the packages in node_modules are those of package-lock.json, except optional ones of other platforms. Times
# do not tell: those of node_modules from another clone may be older.
SAME_PACKAGES := const fs = require("fs"), of = file => JSON.parse(fs.readFileSync(file)).packages; \
  const want = of("package-lock.json"), have = of("node_modules/.package-lock.json"); \
  process.exitCode = +Object.keys({...want, ...have}).some(name => name && have[name]?.integrity !== want[name]?.integrity && (have[name] || !want[name].optional))
# npm ci empties node_modules first: it works in a copy, so that what is there stays if it fails.
$(UIS:%=%/node_modules/.package-lock.json): %/node_modules/.package-lock.json: %/package-lock.json
	@command -v npm >/dev/null || { echo 'Node is missing: install Node 22 or newer, with npm'; exit 1; }
	@if ! (cd $* && node -e '$(SAME_PACKAGES)' 2>/dev/null); then \
	  echo "getting the packages of $* with npm ci: up to a minute, once"; \
	  mkdir -p $(CACHE)/packages/$*; \
	  cp $*/package.json $*/package-lock.json $*/.npmrc $(CACHE)/packages/$*; \
	  cd $(CACHE)/packages/$*; \
	  { test -d "$$npm_config_cache" && npm ci --offline $(NPM_QUIET) &>/dev/null; } || { \
	    npm view typescript version $(NPM_QUICK) &>/dev/null || { echo "npm ci: no answer from the registry $$(npm config get registry): connect to it, or copy $*/node_modules from another clone"; exit 1; }; \
	    npm ci $(NPM_QUIET); }; \
	  cd "$$OLDPWD"; \
	  rm -rf $*/node_modules; \
	  mv $(CACHE)/packages/$*/node_modules $*; \
	fi
	@touch $@

build: $(FLEETMAN) ## build the fleetman command
.PHONY: $(FLEETMAN)
$(FLEETMAN):
	@test -e $@ || echo 'building the fleetman command: up to a minute, once'
	@$(call go_build,the fleetman command,$(BUILDFLAGS) -o $@ ./lab/cmd/fleetman)

install: export GOBIN := $(GOBIN)# the user's, which other targets do not have
install: ## install the fleetman command into GOBIN, or GOPATH/bin
	@CGO_ENABLED=0 go install $(BUILDFLAGS) ./lab/cmd/fleetman
	@echo "installed $$(go list -f '{{.Target}}' ./lab/cmd/fleetman)"

mesh-parts: $(FLEETMAN) ## get the binaries of the mesh: Istio (built once, in 4 to 8 minutes) and Envoy
	@$(FLEETMAN) binaries
istioctl: $(FLEETMAN) ## get only istioctl, which validates the manifests
	@$(FLEETMAN) binaries istioctl

IMAGES := go run ./lab/images -tag '$(TAG)' -registry '$(REGISTRY)' -platform '$(PLATFORM)' -source '$(SOURCE)'
images: ## build the container images fleetman/NAME:TAG, with Docker
	@$(IMAGES)
images-published: ## build the images with the published names and tags, including variants
	@$(IMAGES) -published

clean: ## remove all files that make has fetched and built
	rm -rf $(CACHE) $(UIS:%=%/node_modules) $(UIS:%=%/dist/assets) $(UIS:%=%/dist/favicon.svg) $(UIS:%=%/dist/index.html)
