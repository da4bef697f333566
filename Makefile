# Two commands need nothing but Python 3.11 or newer and make:
#   make demo    install into .venv and run the demo
#   make test    install into .venv and run the whole test suite
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-mergekit lint format build clean

demo: $(VENV)/.installed
	$(BIN)/tvmerge demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

# Parity with mergekit, which lives in an environment of its own: an oracle, never a dependency.
test-mergekit: $(VENV)/.installed-dev .venv-mergekit/.installed
	$(BIN)/python -m pytest tests/merging/test_mergekit.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

build: $(VENV)/.installed-dev
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamps are written last: an install that was interrupted is done again.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: tvmerge needs Python 3.11 or newer; say which: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.installed

.venv-mergekit/.installed: Makefile | $(VENV)/.installed-dev
	$(PYTHON) -m venv .venv-mergekit
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(.venv-mergekit/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch.pth"
	.venv-mergekit/bin/python -m pip install --quiet mergekit==0.1.5
	@touch $@
