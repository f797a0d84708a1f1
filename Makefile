# The front door: every target installs what it needs first (see scripts/bootstrap.sh) and then calls meson.
# `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

BUILD ?= build
BUILD_ASAN ?= build-asan
BUILD_FUZZ ?= build-fuzz
BUILD_LINT ?= build-lint
BUILD_WIN ?= build-win
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
# Warnings are errors where a machine judges.
WERROR := $(if $(CI),true,false)

MESON ?= /usr/bin/meson
# cmocka's programs then tell each case, which scripts/count_tests.py counts. (Not meson's tap protocol: cmocka 1.1.5 calls
# a skipped case "not ok".)
export CMOCKA_MESSAGE_OUTPUT := TAP
# One configured directory each; ninja itself notices changed build files.
setup = test -f $(1)/build.ninja || $(MESON) setup $(1) -Dwerror=$(WERROR) $(2) >/dev/null || \
	{ cat $(1)/meson-logs/meson-log.txt; exit 1; }

.PHONY: all demo check soak check-unit check-sanitizers browser-check lint fuzz fuzz-quick windows-check bench install clean help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

all: ## build the program into build/
	@scripts/bootstrap.sh build
	@$(call setup,$(BUILD),)
	@ninja -C $(BUILD) -j$(JOBS)

demo: ## everything a user would do, on real PostgreSQL, Redis, nginx and dig, in a throw-away directory
	@scripts/bootstrap.sh build demo
	@$(call setup,$(BUILD),)
	@ninja -C $(BUILD) -j$(JOBS) --quiet stile
	@STILE="$(CURDIR)/$(BUILD)/stile" tests/demo/demo.sh

check: ## build, and run all tests
	@scripts/bootstrap.sh build demo test
	@scripts/test-daemons.sh >/dev/null || echo "The tests that need these daemons will be skipped." >&2
	@$(call setup,$(BUILD),)
	@ninja -C $(BUILD) -j$(JOBS)
	@rm -f $(BUILD)/meson-logs/*log.json
	@rc=0; $(MESON) test -C $(BUILD) --no-rebuild --no-suite system --no-suite policy --print-errorlogs || rc=1; \
	$(MESON) test -C $(BUILD) --no-rebuild --suite system --suite policy --logbase systemlog --num-processes 7 --print-errorlogs || rc=1; \
	scripts/count_tests.py $(BUILD) || rc=1; exit $$rc

soak: ## killed before every single system call, and with each of them failing, the host is put back (root; half an hour)
	@scripts/bootstrap.sh build demo test
	@scripts/test-daemons.sh >/dev/null
	@$(call setup,$(BUILD),)
	@STILE_SOAK=1 $(MESON) test -C $(BUILD) --verbose --timeout-multiplier 24 system_kill_anywhere system_kill_broker

check-unit: ## only the fast suites (unit, replay), without sanitizers
	@scripts/bootstrap.sh build
	@$(call setup,$(BUILD),)
	@$(MESON) test -C $(BUILD) --suite unit --suite replay --print-errorlogs

check-sanitizers: ## the unit and replay suites once more, under ASan and UBSan
	@scripts/bootstrap.sh build
	@$(call setup,$(BUILD_ASAN),-Db_sanitize=address$(,)undefined -Db_lundef=false)
	@$(MESON) test -C $(BUILD_ASAN) --suite unit --suite replay --timeout-multiplier 4 --print-errorlogs

lint: ## clang-format, clang-tidy, cppcheck, direction of dependencies, man page
	@scripts/bootstrap.sh build lint
	@scripts/lint.sh $(BUILD_LINT)

browser-check: ## a web page by name in headless Chromium (which it installs), through `stile up`; as root
	@scripts/bootstrap.sh build demo test browser
	@scripts/test-daemons.sh >/dev/null
	@$(call setup,$(BUILD),)
	@ninja -C $(BUILD) -j$(JOBS)
	@$(MESON) test -C $(BUILD) --no-rebuild --print-errorlogs system_browser

fuzz-quick: ## every fuzz harness for a few seconds on its corpus
	@scripts/bootstrap.sh build lint
	@scripts/fuzz.sh $(BUILD_FUZZ) quick

fuzz: ## every fuzz harness for SECONDS_EACH (default 600)
	@scripts/bootstrap.sh build lint
	@scripts/fuzz.sh $(BUILD_FUZZ) $(or $(SECONDS_EACH),600)

windows-check: ## cross-build the portable modules and stile.exe with mingw-w64, test them under wine
	@scripts/bootstrap.sh build windows
	@scripts/windows-check.sh $(BUILD_WIN)

bench: ## measure against loopback relays, haproxy, dnsmasq and nft; writes bench/results.json
	@scripts/bootstrap.sh build demo bench
	@$(call setup,$(BUILD),)
	@ninja -C $(BUILD) -j$(JOBS)
	@bench/run.py --build "$(CURDIR)/$(BUILD)"

install: all ## install into PREFIX (default /usr/local), honouring DESTDIR
	@$(MESON) configure $(BUILD) --prefix $(abspath $(PREFIX)) >/dev/null
	@$(MESON) install -C $(BUILD)

clean: ## remove all build directories
	rm -rf $(BUILD) $(BUILD_ASAN) $(BUILD_FUZZ) $(BUILD_LINT) $(BUILD_WIN)

, := ,
