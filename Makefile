# Everything that is done with a checkout of lockstep. Needs Python >= 3.11 with venv, make, and a package index; nothing else.
# `make` alone lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# What the caller's shell has set for another project must not reach this one.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV CONDA_PREFIX PIP_REQUIRE_VIRTUALENV PIP_TARGET PIP_PREFIX PIP_USER

RECENT := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11 python; do \
	if $$candidate -c '$(RECENT)' >/dev/null 2>&1; then echo $$candidate; break; fi; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
# --no-deps beside --require-hashes: the lock files are complete, there is nothing to resolve.
INSTALL := $(PIP) install --require-hashes --no-deps --requirement
WORKERS ?= 4
KILLS ?= 200
OBJECTS ?= 5000
SEED ?= 5
FAULTS ?= build/faults.xml

.PHONY: help demo test test-all test-faults fuzz check bench bench-life docs lock format clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: $(VENV)/.run ## Back up, destroy and restore a real PostgreSQL and a real S3 store on this machine
	@$(BIN)/lockstep demo $(ARGS)

test: $(VENV)/.dev ## Test against real servers, in minutes (ARGS="-k word" to choose)
	@$(BIN)/python -m pytest -q --numprocesses=$(WORKERS) -m "not deep" $(ARGS)

test-all: $(VENV)/.dev ## Every test: also each fault, each version into each, each precondition
	@$(BIN)/python -m pytest -q --numprocesses=$(WORKERS) $(ARGS)

test-faults: $(VENV)/.dev ## Kill it at every step and at KILLS random moments, starve it, lie to it; an hour (KILLS=200)
	@LOCKSTEP_TEST_KILLS=$(KILLS) LOCKSTEP_TEST_OBJECTS=$(OBJECTS) LOCKSTEP_TEST_SEED=$(SEED) \
	  $(BIN)/python -m pytest -q --numprocesses=$(WORKERS) -o junit_family=xunit1 --junitxml=$(FAULTS) $(ARGS) tests/faults
	@$(BIN)/python tests/support/fault_tables.py $(FAULTS)

fuzz: $(VENV)/.dev ## Give the readers of env files and manifests changed bytes, a minute each (ARGS="--seconds 600")
	@for each in $(wildcard tests/fuzz/fuzz_*.py); do $(BIN)/python $$each --runs 1000000000 --seconds 60 $(ARGS) || exit 1; done

check: $(VENV)/.dev ## Format, lint, types, layers, unit and property tests; under a minute
	@$(BIN)/ruff format --check --quiet --output-format concise . || { echo "ruff format: run 'make format'" >&2; exit 1; }
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/mypy --no-error-summary
	@layers=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$layers" >&2; exit 1; }
	@$(BIN)/python -m pytest -q --numprocesses=2 -m "not deep" $(wildcard tests/unit tests/property)

bench: $(VENV)/.dev ## Measure lockstep beside aws, rclone and s5cmd, on the same store in the same run
	@$(BIN)/python benchmarks/run.py $(ARGS)

bench-life: $(VENV)/.dev ## Back up twice, lose everything, restore: in a directory and in two S3 stores, plain and encrypted
	@PYTHONPATH=tests $(BIN)/python benchmarks/life.py $(ARGS)

docs: $(VENV)/.docs ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(VENV)/.dev ## Put the code into its one format and mend what can be mended
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

# One universal lock for every supported Python and platform. It names no index: whoever installs uses their own.
LOCK = UV_NO_CONFIG=1 $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --system-certs $(UPGRADE)

lock: $(VENV)/.lock ## Write requirements/*.txt anew from pyproject.toml (UPGRADE=--upgrade for newer releases)
	@$(LOCK) requirements/lock.in --output-file requirements/lock.txt
	@$(LOCK) pyproject.toml --group build --extra embedded --output-file requirements/run.txt
	@$(LOCK) pyproject.toml --group build --extra dev --constraint requirements/run.txt --output-file requirements/dev.txt
	@$(LOCK) pyproject.toml --group build --extra docs --constraint requirements/dev.txt --output-file requirements/docs.txt

clean: ## Remove what the other targets made
	@rm -rf $(VENV) site dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The environment. Each stamp stands for one lock file, installed to the byte.

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer was found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "make: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements/run.txt pyproject.toml
	@echo "installing what lockstep runs on into $(VENV)" >&2
	@$(INSTALL) requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "installing the tools for checks and tests into $(VENV)" >&2
	@$(INSTALL) requirements/dev.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.run requirements/docs.txt
	@$(INSTALL) requirements/docs.txt
	@touch $@

$(VENV)/.lock: $(VENV)/.made requirements/lock.txt
	@$(INSTALL) requirements/lock.txt
	@touch $@
