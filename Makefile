# `make train` and `make test` install everything that they need.

PYTHON ?= python3
DATASET ?= DEMO
DATA_DIR ?= data
TRAIN_OPTIONS ?=
BIN := .venv/bin
# gives TensorFlow Lite Micro too little memory, so it needs a separate process
MICRO := tests/export/test_microcontroller.py

# the page's port on this machine alone
PORT ?= 8000

.PHONY: train test proof lint clean notebooks web serve-web test-web web-picture

train: .venv/train.stamp
	$(BIN)/python train.py -dn $(DATASET) --data_dir $(DATA_DIR) $(TRAIN_OPTIONS)

# Tests on the real corpus need SER_CORPORA: the folder that holds EMO-DB/.
test: lint
	$(BIN)/pytest -n 2 --dist worksteal -m "not proof" --ignore $(MICRO)
	$(BIN)/pytest -m "not proof" $(MICRO)

# Slow proofs: a hundred kills, full simulations, long fuzzing.
proof: .venv/dev.stamp
	$(BIN)/pytest -m proof

# Runs the notebooks as they are and keeps what they show.
notebooks: .venv/dev.stamp
	$(BIN)/python -m reproduction.notebooks

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

# The network in a web page: built into web/dist, which any web server can serve.
web: web/node_modules/.package-lock.json
	cd web && npm run build

serve-web: web
	@echo "the page: http://127.0.0.1:$(PORT)/ (Ctrl-C ends it)"
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory web/dist

# In a real browser, against the answers of the command line.
test-web: web .venv/train.stamp
	cd web && PYTHON=$(abspath $(BIN)/python) npm test

# images/web.png, for the README
web-picture: web .venv/train.stamp
	cd web && PYTHON=$(abspath $(BIN)/python) npm run picture

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci
	@touch $@

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
