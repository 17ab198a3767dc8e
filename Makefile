# Every target is a script in scripts/, so that it can be read and run without make.
.DEFAULT_GOAL := help
.PHONY: help run build test check lab format clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Install what the build needs, build release, run the link manager
	@scripts/run $(ARGS)

build: ## Build the release executable, .build/release/trunkline
	@scripts/build

test: ## Install what the tests need, run unit, scenario and lab tests
	@scripts/test

check: ## What CI runs: lint, layers, tests, benchmark and fuzz smoke
	@scripts/check

lab: ## The lab's long forms, with the published figures (CASES="name ..." picks some)
	@scripts/lab --long $(CASES)

format: ## Rewrite all Swift files in the house style
	@scripts/format

clean: ## Remove everything that a build or a lab run made
	@rm -rf .build .lab Fuzz/.build Benchmarks/.build demo.wav demo.svg
