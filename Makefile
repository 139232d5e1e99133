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

.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

.PHONY: train test lint
