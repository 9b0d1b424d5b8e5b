# Everything a newcomer needs, each from a clean clone: `make demo`, `make ui`, `make test`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo ui test test-all lint bench-metadata bench-queries bench-images bench-resize \
  bench-lossless bench-fetch bench-duplicates bench-search bench-rebuild bench-embeddings bench-annotations bench-subsets clean

help:   ## Show the targets.
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(READY)   ## Draw the sample and run the whole graph on it.
	$(BIN)/dataset-assets demo

ui: $(READY)   ## Open the Dagster UI on http://127.0.0.1:3000 (on DATASET_ASSETS_CONFIG, or the sample).
	$(BIN)/dataset-assets ui

test: $(READY)   ## Run the tests; no network is needed.
	$(BIN)/pytest -n 2 --dist loadfile

test-all: $(READY)   ## Run the long tests too: kills at random moments, the UI in Chromium, mutants, a Ray cluster.
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev,ray]'
	$(BIN)/pytest -n 2 --dist loadfile -m 'slow or not slow' --hypothesis-profile=new_each_time

lint: $(READY)   ## Check style and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Sizes of the benchmark, and a list of real tags to draw from where there is one.
RECORDS    ?= 100000
ROUNDS     ?= 3
VOCABULARY ?= $(wildcard ../shared/data/danbooru_tags/danbooru.csv)

bench-metadata: $(READY)   ## Measure how fast metadata is read, beside the community's loader (RECORDS=500000).
	$(BIN)/python -m benchmarks.metadata --records $(RECORDS) --rounds $(ROUNDS) --data benchmarks/_data \
	  $(if $(VOCABULARY),--vocabulary $(VOCABULARY))

# Five million take about 10 GB of disk and an hour.
POSTS ?= 500000

bench-queries: $(READY)   ## Measure how fast tags are searched, beside SQLite and a list column (POSTS=500000).
	$(BIN)/python -m benchmarks.tag_queries --posts $(POSTS)

HASHES   ?= 1000000
PICTURES ?= $(wildcard ../shared/data/openclipart_mirror/original)

bench-duplicates: $(READY)   ## Measure how fast near-duplicates are found (HASHES=1000000 PICTURES=folder), beside faiss.
	$(BIN)/uv pip install --quiet --python $(BIN)/python faiss-cpu
	$(BIN)/python -m benchmarks.near_duplicates --hashes $(HASHES) $(if $(PICTURES),--pictures $(PICTURES))

VECTORS ?= 1000000

bench-search: $(READY)   ## Measure search by likeness and close pairs of vectors, beside faiss and torch (VECTORS=2000000).
	$(BIN)/uv pip install --quiet --python $(BIN)/python faiss-cpu
	mkdir -p benchmarks/_data
	$(BIN)/python -m benchmarks.vector_search --vectors $(VECTORS) --faiss

IMG2DATASET := benchmarks/_data/img2dataset/bin/python

# img2dataset has an environment of its own; it does not run on Python 3.13.
$(IMG2DATASET):
	$(PYTHON) -m venv benchmarks/_data/img2dataset
	$(IMG2DATASET) -m pip install --quiet --disable-pip-version-check 'img2dataset==1.47.0'

bench-resize: $(READY) $(IMG2DATASET)   ## Measure how fast training images are made, beside img2dataset's resizer (IMAGES=folder).
	$(BIN)/python -m benchmarks.resize --img2dataset $(IMG2DATASET) --rounds $(ROUNDS) $(IMAGES)

FETCHED ?= 4000

bench-lossless: $(READY)   ## Measure lossless recompression, beside optipng and jpegoptim where they are installed (IMAGES=folder).
	$(BIN)/python -m benchmarks.lossless $(IMAGES)

REBUILT ?= 4000

bench-rebuild: $(READY)   ## Measure a rebuild of images with nothing and with 1 % changed, and with two workers (REBUILT=2000).
	$(BIN)/python -m benchmarks.image_rebuild --images $(REBUILT)

bench-images: bench-resize bench-lossless bench-fetch bench-duplicates bench-rebuild   ## All benchmarks of images, one after another.

bench-fetch: $(READY) $(IMG2DATASET)   ## Measure how fast images are fetched, beside img2dataset and curl (FETCHED=8000).
	$(BIN)/python -m benchmarks.fetch --img2dataset $(IMG2DATASET) --images $(FETCHED) --rounds $(ROUNDS)

CLIP_RETRIEVAL := benchmarks/_data/clip-retrieval/bin/python

# Its copy of CLIP asks for a setuptools that still has pkg_resources.
$(CLIP_RETRIEVAL):
	$(PYTHON) -m venv benchmarks/_data/clip-retrieval
	$(CLIP_RETRIEVAL) -m pip install --quiet --disable-pip-version-check 'clip-retrieval==2.45.0' 'setuptools<70'

bench-embeddings: $(READY) $(CLIP_RETRIEVAL)   ## Measure how fast images become CLIP vectors, beside clip-retrieval and the model alone.
	$(BIN)/python -m benchmarks.annotations --clip-retrieval $(CLIP_RETRIEVAL) --rounds $(ROUNDS)

bench-annotations: bench-embeddings bench-search   ## All benchmarks of annotations, one after another.

SUBSET_IMAGES ?= 1000000

bench-subsets: $(READY)   ## Measure what a subset of a million images costs, and its release's manifest (SUBSET_IMAGES=100000).
	$(BIN)/python -m benchmarks.subsets --images $(SUBSET_IMAGES)

clean:   ## Remove what the targets above made.
	rm -rf $(VENV) demo .dagster_home benchmarks/_data

# uv installs in a tenth of pip's time; where it cannot reach its index, pip does the same work.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dataset_assets needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]' \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
