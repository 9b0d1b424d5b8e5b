# Everything a newcomer needs, each from a clean clone: `make demo`, `make ui`, `make test`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo ui test test-all lint clean

help:   ## Show the targets.
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY)   ## Draw the sample and run the whole graph on it.
	$(BIN)/dataset-assets demo

ui: $(READY)   ## Open the Dagster UI on http://127.0.0.1:3000 (on DATASET_ASSETS_CONFIG, or the sample).
	$(BIN)/dataset-assets ui

test: $(READY)   ## Run the tests; no network is needed.
	$(BIN)/pytest -n 2 --dist loadfile

test-all: $(READY)   ## Run the long tests too: kills at random moments, the UI in Chromium, mutants.
	$(BIN)/pytest -m 'slow or not slow' --hypothesis-profile=default

lint: $(READY)   ## Check style and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:   ## Remove what the targets above made.
	rm -rf $(VENV) demo .dagster_home

# uv installs in a tenth of pip's time; where it cannot reach its index, pip does the same work.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dataset_assets needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]' \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
