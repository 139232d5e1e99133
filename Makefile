# All set-up happens here: Python 3.11 and make are enough. ARGS passes options on: make train ARGS="--epochs 5"
PYTHON ?= python3.11
BIN = .venv/bin

train: .venv/ready
	$(BIN)/python train.py $(ARGS)

test: .venv/ready
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# the bundles in runtimes that we did not write; RUN=<run folder> tests its bundles, MATRIX=<file> keeps the table
test-runtimes: .venv/ready .venv-older/ready .venv-micro/ready
	@{ command -v chromium && command -v kotlinc; } >/dev/null \
	|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq chromium kotlin >/dev/null; } \
	|| echo "chromium or kotlin is missing and could not be installed: the tests that need it are skipped"
	$(BIN)/python -m pytest -m runtimes $(ARGS)

.venv-older/ready: tests/runtimes/older.txt
.venv-micro/ready: tests/runtimes/micro.txt
.venv-older/ready .venv-micro/ready:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --requirement $<
	touch $@

# every exported file of a trained run against its gate, on recorded and degraded real nights
test-trained: .venv/ready
	$(BIN)/python -m pytest -m trained $(ARGS)

# LiteRT.js anew from its packages: needs npm
litert:
	cd watch_sim/page/litert && npm install --no-package-lock --ignore-scripts --no-audit --no-fund && npm run build

.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

.PHONY: train test lint test-runtimes test-trained litert
