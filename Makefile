# Everything runs in .venv; `make demo` and `make test` set it up.
PYTHON ?= python3
VENV   := .venv
PEERS  := .venv-peers
PEERS_SORTING := .venv-peers-sorting
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
SAMPLES := $(wildcard ../shared/data)
ifneq ($(SAMPLES),)
export RANVIER_SAMPLES ?= $(abspath $(SAMPLES))
endif

.PHONY: help setup demo test test-slow lint types imports docs bench bench-peers bench-sorting peers peers-sorting interop warm clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP)  ## install Ranvier and its development tools into .venv, compile the kernels

$(STAMP): pyproject.toml compat/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --editable compat --group dev
	$(BIN)/ranvier warm
	@touch $(STAMP)

demo: $(STAMP)  ## the main job: link, look, clean, measure, convert a simulated recording
	$(BIN)/ranvier demo

# a file's tests stay in one process, in their order: what a module made once, it makes once
test: $(STAMP)  ## the tests, on up to four cores (under 8 minutes on two)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP)  ## soak, kill, fuzz and interop tests
	$(BIN)/python -m pytest -m slow --timeout 1800 -o faulthandler_timeout=1790

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

peers: $(PEERS)/.ready  ## the programs that benchmarks and interop tests compare with, in .venv-peers

$(PEERS)/.ready: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(PEERS)/bin/python -m pip install --quiet --editable . spikeinterface==0.105.3 nex5file==0.1.3 pyedflib edfio nwbinspector phylib \
		MEArec==1.11.0 pytest pytest-timeout hypothesis
	@touch $@

interop: $(PEERS)/.ready  ## other programs read what we write, and write what we read
	RANVIER_PEERS=$(abspath $(PEERS))/bin/python $(PEERS)/bin/python -m pytest -m interop --timeout 900 -o faulthandler_timeout=890

bench-peers: $(PEERS)/.ready  ## the benchmarks against peers
	RANVIER_PEERS=$(abspath $(PEERS))/bin/python $(PEERS)/bin/python benchmarks/run.py --peers

peers-sorting: $(PEERS_SORTING)/.ready  ## the spike sorters that ours is compared with, in .venv-peers-sorting (1.5 GB)

# lupin needs torch; its CPU build is enough: point pip at that one where it would fetch the other (several GB)
$(PEERS_SORTING)/.ready:
	$(PYTHON) -m venv $(PEERS_SORTING)
	$(PEERS_SORTING)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(PEERS_SORTING)/bin/python -m pip install --quiet spikeinterface==0.105.3 torch==2.13.0 mountainsort5==0.5.9 isosplit6==0.1.4 \
		spikesift==0.1.1 hdbscan numba scipy scikit-learn
	@touch $@

bench-sorting: $(STAMP)  ## accuracy and speed of spike sorting; ARGS="--full --peers --eval" (see benchmarks/README.md)
	$(BIN)/python -m benchmarks.sorting $(ARGS)

warm: $(STAMP)  ## compile every kernel into the cache
	$(BIN)/ranvier warm

clean:  ## remove what was built (not .venv)
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
