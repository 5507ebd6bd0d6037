# Tailrace: every verb does its own set-up. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The interpreter that makes the environments; 3.11 or newer.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# More arguments for `make run`, `make demo`, `make test` and `make bench`: make run ARGS="--port 4300"
ARGS ?=

VENV := .venv
PREFECT := .venv-prefect
UI := app/ui
# Node builds the web UI and serves nothing: this machine's where it is new enough, else that of a wheel.
NODE_BIN := $(shell node -e 'process.exit(+process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null && \
	command -v npm >/dev/null && dirname "$$(command -v npm)" || echo .venv-node/bin)
NPM := PATH="$(abspath $(NODE_BIN)):$$PATH" npm --prefix $(UI)
PIP := -m pip --disable-pip-version-check --quiet --no-input
# pip warns root about system packages; these are virtual environments.
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help run ui demo check test fix bench test-crash test-differential browser lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.runtime $(UI)/dist/index.html ## start everything on this machine; Ctrl+C stops it
	@exec $(VENV)/bin/tailrace up $(ARGS)

ui: $(UI)/dist/index.html ## build the web UI, which `make run` serves

demo: $(VENV)/.runtime $(PREFECT)/.installed ## run a sample flow against `make run` and show its logs
	@exec $(VENV)/bin/python demo/run.py $(ARGS)

check: $(VENV)/.dev $(UI)/src/api/schema.d.ts ## format, lint, types, direction of imports: seconds, no servers
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/pyrefly check --python-interpreter-path $(VENV)/bin/python
	$(VENV)/bin/lint-imports
	$(NPM) run --silent format:check
	$(NPM) run --silent check

test: check browser $(UI)/dist/index.html $(PREFECT)/.installed ## check, and every test on real parts
	$(NPM) test
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-differential: $(VENV)/.dev $(PREFECT)/.installed ## the same requests to the reference server, answers compared
	$(VENV)/bin/python -m pytest tests/differential $(ARGS)

test-crash: $(VENV)/.dev $(PREFECT)/.installed ## kill processes at random moments, 200 rounds
	TAILRACE_TEST_CRASH_ROUNDS=200 $(VENV)/bin/python -m pytest -m crash --timeout 7200 $(ARGS)

fix: $(VENV)/.dev ## format and mend what the linter can mend
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(NPM) run --silent format

bench: $(VENV)/.runtime $(PREFECT)/.installed ## measure against the reference server, side by side
	@exec $(VENV)/bin/python -m bench $(ARGS)

lock: .venv-lock/bin/uv ## resolve the lock files anew
	$(call compile,pyproject.toml --group build,requirements.lock,)
	$(call compile,pyproject.toml --group build --group dev,requirements-dev.lock,--constraints requirements.lock)
	$(call compile,requirements-prefect.in,requirements-prefect.lock,)
	$(call compile,requirements-node.in,requirements-node.lock,)
	$(NPM) install --package-lock-only
	$(PYTHON) $(UI)/lock_without_addresses.py
	@! grep -nE '[a-z+]+://' requirements*.lock $(UI)/package-lock.json

clean: ## remove environments and caches; data stays
	rm -rf $(VENV) $(PREFECT) .venv-lock .venv-node $(UI)/node_modules $(UI)/dist .pytest_cache .ruff_cache .import_linter_cache .pyrefly_cache

# $(1) inputs, $(2) lock file, $(3) more options. Versions in a lock file stay unless they must go;
# remove the file first to take the newest of everything.
define compile
	.venv-lock/bin/uv pip compile $(1) $(3) --output-file $(2) --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-strip-extras --no-emit-index-url \
		--no-emit-find-links --quiet
endef

.venv-lock/bin/uv:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python $(PIP) install uv

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'make: Python 3.11 or newer is needed; name one with PYTHON=' >&2; exit 2; }
	@echo 'making $(VENV)'
	@$(PYTHON) -m venv $(VENV)

# A lock file is complete, so pip need not look at dependencies (--no-deps); the package itself comes
# last and alone.
$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo 'installing what requirements.lock names'
	@$(VENV)/bin/python $(PIP) install --no-deps --require-hashes -r requirements.lock
	@$(VENV)/bin/python $(PIP) install --no-deps --no-build-isolation --editable .
	@# The first start, by whatever user, need not compile.
	@$(VENV)/bin/python -m compileall -q app jobs storage
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo 'installing what requirements-dev.lock names'
	@$(VENV)/bin/python $(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

# Prefect has an environment of its own: it shares no dependency with the server.
$(PREFECT)/.installed: requirements-prefect.lock
	@echo 'making $(PREFECT) with what requirements-prefect.lock names'
	@$(PYTHON) -m venv $(PREFECT)
	@$(PREFECT)/bin/python $(PIP) install --no-deps --require-hashes -r requirements-prefect.lock
	@touch $@

.venv-node/bin/npm: requirements-node.lock
	@echo 'making .venv-node: this machine has no Node 20'
	@$(PYTHON) -m venv .venv-node
	@.venv-node/bin/python $(PIP) install --no-deps --require-hashes -r requirements-node.lock
	@touch $@

$(UI)/node_modules/.installed: $(UI)/package-lock.json | $(NODE_BIN)/npm
	@echo 'installing what $(UI)/package-lock.json names'
	@$(NPM) ci --silent
	@touch $@

# Types of the API, from what its routes say.
$(UI)/openapi.json: $(VENV)/.runtime $(shell find app storage -name '*.py')
	@$(VENV)/bin/tailrace openapi > $@

$(UI)/src/api/schema.d.ts: $(UI)/openapi.json $(UI)/node_modules/.installed
	@$(NPM) run --silent types

$(UI)/dist/index.html: $(UI)/src/api/schema.d.ts $(wildcard $(UI)/*.json $(UI)/*.js $(UI)/*.ts) $(UI)/index.html \
		$(shell find $(UI)/src -type f -not -name schema.d.ts)
	@echo 'building the web UI'
	@$(NPM) run --silent build -- --logLevel warn
	@touch $@

# Debian's Chromium for the tests of the UI, where it can be had; they say when they are left out.
browser:
	@command -v chromium >/dev/null || \
		{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
			{ apt-get install --yes --quiet chromium || { apt-get update --quiet && apt-get install --yes --quiet chromium; }; } \
			>/dev/null; } || echo 'make: no Chromium, and it cannot be installed here: tests/ui will be left out' >&2
