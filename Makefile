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
PIP := -m pip --disable-pip-version-check --quiet --no-input
# pip warns root about system packages; these are virtual environments.
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help run demo check test fix bench test-crash test-differential lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## start everything on this machine; Ctrl+C stops it
	@exec $(VENV)/bin/tailrace up $(ARGS)

demo: $(VENV)/.runtime $(PREFECT)/.installed ## run a sample flow against `make run` and show its logs
	@exec $(VENV)/bin/python demo/run.py $(ARGS)

check: $(VENV)/.dev ## format, lint, types, direction of imports: seconds, no servers
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/pyrefly check --python-interpreter-path $(VENV)/bin/python
	$(VENV)/bin/lint-imports

test: check $(PREFECT)/.installed ## check, and every test on real parts
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

test-differential: $(VENV)/.dev $(PREFECT)/.installed ## the same requests to the reference server, answers compared
	$(VENV)/bin/python -m pytest tests/differential $(ARGS)

test-crash: $(VENV)/.dev $(PREFECT)/.installed ## kill processes at random moments, 200 rounds
	TAILRACE_TEST_CRASH_ROUNDS=200 $(VENV)/bin/python -m pytest -m crash --timeout 7200 $(ARGS)

fix: $(VENV)/.dev ## format and mend what the linter can mend
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.runtime $(PREFECT)/.installed ## measure against the reference server, side by side
	@exec $(VENV)/bin/python -m bench $(ARGS)

lock: .venv-lock/bin/uv ## resolve the three lock files anew
	$(call compile,pyproject.toml --group build,requirements.lock,)
	$(call compile,pyproject.toml --group build --group dev,requirements-dev.lock,--constraints requirements.lock)
	$(call compile,requirements-prefect.in,requirements-prefect.lock,)
	@! grep -nE '[a-z+]+://' requirements.lock requirements-dev.lock requirements-prefect.lock

clean: ## remove environments and caches; data stays
	rm -rf $(VENV) $(PREFECT) .venv-lock .pytest_cache .ruff_cache .import_linter_cache .pyrefly_cache

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
