# Everything runs in .venv; `make demo` and `make test` set it up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
SAMPLES := $(wildcard ../shared/data)
ifneq ($(SAMPLES),)
export RANVIER_SAMPLES ?= $(abspath $(SAMPLES))
endif

.PHONY: help setup demo test test-slow lint types imports docs bench warm clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP)  ## install Ranvier and its development tools into .venv, compile the kernels

$(STAMP): pyproject.toml compat/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --editable compat --group dev
	$(BIN)/ranvier warm
	@touch $(STAMP)

demo: $(STAMP)  ## the main job: link, look, clean, measure, convert a simulated recording
	$(BIN)/ranvier demo

test: $(STAMP)  ## the tests (under 8 minutes)
	$(BIN)/python -m pytest

test-slow: $(STAMP)  ## soak, kill, fuzz and interop tests
	$(BIN)/python -m pytest -m slow --timeout 1800

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

imports: $(STAMP)  ## import contracts
	$(BIN)/lint-imports

docs: $(STAMP)  ## build the documentation into site/
	$(BIN)/python -m pip install --quiet --group docs
	$(BIN)/zensical build --clean

bench: $(STAMP)  ## the benchmarks that need no peers (see benchmarks/README.md)
	$(BIN)/python benchmarks/run.py

warm: $(STAMP)  ## compile every kernel into the cache
	$(BIN)/ranvier warm

clean:  ## remove what was built (not .venv)
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
