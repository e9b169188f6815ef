# make demo: install and train on the embedded art set. make test: install what testing needs, lint, and test.
# make docs: the site. make notebooks: run them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
NEWEST ?= python3
.PHONY: demo test test-full test-newest lint docs notebooks package bench faults clean

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

# The site, into build/site; no network, and a warning is an error.
docs: $(VENV)/docs
	JAX_PLATFORMS=cpu $(BIN)/python -m scripts.site

# Runs the notebooks top to bottom on a CPU, as copies in build/notebooks; NOTEBOOKS="01 05" some of them, SAVE=1 in place.
notebooks: $(VENV)/notebooks
	JAX_PLATFORMS=cpu $(BIN)/python -m scripts.notebooks $(if $(SAVE),--save) $(NOTEBOOKS)

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

$(VENV)/docs: $(VENV)/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	touch $@

$(VENV)/notebooks: $(VENV)/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[notebooks]"
	touch $@

$(VENV)-newest/dev: pyproject.toml
	$(NEWEST) -m venv --clear $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -e ".[dev]"
	touch $@
