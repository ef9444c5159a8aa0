# `make demo` and `make test` need Python 3.11 or newer with venv, and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types unit integration wheel bench bench-mapping format schema presets-page clean

demo: $(VENV)/.installed
	@$(BIN)/quota-exporter demo

test: lint types unit integration wheel

lint: $(VENV)/.developer
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.developer
	$(BIN)/mypy

unit: $(VENV)/.developer
	$(BIN)/pytest tests/unit

integration: $(VENV)/.developer
	$(BIN)/pytest tests/integration

# the unit tests against the built wheel, outside the source tree, on each Python from 3.11 to 3.13 that is here
wheel: $(VENV)/.developer
	tests/wheel.sh $(abspath $(BIN))/python

# prints wall, CPU per poll and memory for 10, 100 and 1,000 TLS gateways
bench: $(VENV)/.developer
	$(BIN)/python -m tests.bench

# prints what mapping one reply costs
bench-mapping: $(VENV)/.developer
	$(BIN)/python -m tests.bench.mapping

format: $(VENV)/.developer
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schema: $(VENV)/.installed
	$(BIN)/quota-exporter schema > deploy/examples/quota-exporter.schema.json

presets-page: $(VENV)/.installed
	$(BIN)/quota-exporter presets --format markdown > docs/presets.md

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "quota-exporter needs Python 3.11 or newer: make PYTHON=python3.11")'
	@echo "Making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "On Debian: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing quota-exporter into it ..."
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.developer: pyproject.toml | $(VENV)/bin/python
	@echo "Installing quota-exporter and what its tests need into it ..."
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@ $(VENV)/.installed
