# `make train` and `make test` install everything that they need.

PYTHON ?= python3
DATASET ?= DEMO
DATA_DIR ?= data
TRAIN_OPTIONS ?=
BIN := .venv/bin
# gives TensorFlow Lite Micro too little memory, so it needs a separate process
MICRO := tests/export/test_microcontroller.py

.PHONY: train test proof lint clean

train: .venv/train.stamp
	$(BIN)/python train.py -dn $(DATASET) --data_dir $(DATA_DIR) $(TRAIN_OPTIONS)

# Tests on the real corpus need SER_CORPORA: the folder that holds EMO-DB/.
test: lint
	$(BIN)/pytest -n 2 --dist worksteal -m "not proof" --ignore $(MICRO)
	$(BIN)/pytest -m "not proof" $(MICRO)

# Slow proofs: a hundred kills, full simulations, long fuzzing.
proof: .venv/dev.stamp
	$(BIN)/pytest -m proof

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "error: needs Python 3.11 to 3.13; choose one with PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv

.venv/train.stamp: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

.venv/dev.stamp: requirements.txt requirements-dev.txt requirements-cluster.txt \
  requirements-microcontroller.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@ .venv/train.stamp

clean:
	rm -rf .venv
