# make demo: install and train on the embedded art set. make test: install what testing needs, lint, and test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
NEWEST ?= python3
.PHONY: demo test test-full test-newest lint package bench faults clean

demo: $(VENV)/core
	$(BIN)/genart train modgan

test: lint
	$(BIN)/pytest

test-full: $(VENV)/dev
	$(BIN)/pytest --full 2>&1 | tee /dev/stderr | tail -n 25 > benchmarks/results/test_full.txt

# A part of the tests with another Python, NEWEST=/path/to/python, and the newest of everything.
test-newest: $(VENV)-newest/dev
	$(VENV)-newest/bin/pytest -m newest

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A wheel and an sdist into build/dist, each installed into a fresh environment and tried.
package: $(BIN)/python
	JAX_PLATFORMS=cpu $(BIN)/python -m scripts.package

bench: $(VENV)/core
	$(BIN)/python -m benchmarks.throughput

faults: $(VENV)/dev
	$(BIN)/python -m benchmarks.faults --out benchmarks/results/faults.md

clean:
	rm -rf $(VENV) $(VENV)-newest build *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/core: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/dev: $(VENV)/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

$(VENV)-newest/dev: pyproject.toml
	$(NEWEST) -m venv --clear $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -e ".[dev]"
	touch $@
