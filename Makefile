# Sets everything up; needs only Python 3.11 and make. ARGS passes options on: make train ARGS="--epochs 5"
PYTHON ?= python3.11
BIN = .venv/bin
# Debian packages for make test-runtimes; npm only if missing, as Node.js may come from elsewhere with its own npm
RUNTIME_TOOLS = chromium kotlin g++ gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib $(if $(shell command -v npm),,npm)

train: .venv/ready
	$(BIN)/python train.py $(ARGS)

# in two processes; tests/conftest.py has what they share
test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# the bundles in third-party runtimes; RUN=<run folder> tests its bundles, MATRIX=<file> writes the table
test-runtimes: .venv/ready .venv-older/ready .venv-micro/ready
	@{ command -v chromium && command -v kotlinc && command -v g++ && command -v arm-none-eabi-g++ && command -v npm; } >/dev/null \
	|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq $(RUNTIME_TOOLS) >/dev/null; } \
	|| echo "some of $(RUNTIME_TOOLS) could not be installed: the tests that need them are skipped"
	$(BIN)/python -m pytest -m runtimes $(ARGS)

.venv-older/ready: tests/runtimes/older.txt
.venv-micro/ready: tests/runtimes/micro.txt
.venv-older/ready .venv-micro/ready:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --requirement $<
	touch $@

# whole evaluations, as a user runs them, and trainings that must not know what they are scored on
test-evaluations: .venv/ready
	$(BIN)/python -m pytest -m evaluations tests/evaluation/test_crossvalidation.py tests/evaluation/test_leaks.py \
		tests/models/test_inner_folds.py $(ARGS)

# processes of the service: behind a proxy, killed, stopped, and under generated requests (CASES=10000 for more of these)
test-service: .venv/ready
	@command -v nginx /usr/sbin/nginx >/dev/null \
	|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq nginx >/dev/null; } \
	|| echo "nginx could not be installed: the tests that need it are skipped"
	$(BIN)/python -m pytest -m service $(ARGS)

# work on a Dask cluster, some of whose workers are killed
test-cluster: .venv/ready
	$(BIN)/python -m pytest -m cluster tests/cluster $(ARGS)

# the documentation as a site, site/index.html
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# every command in the documentation, and the site
test-docs: .venv/ready
	$(BIN)/python -m pytest -m docs tests/docs $(ARGS)

# prepare, training and export, killed (-9) at 10 moments and resumed; KILLS=50 for more, SEED for other moments
test-faults: .venv/ready
	$(BIN)/python -m pytest -m faults $(ARGS)

# recordings, bundles and saved states, damaged and read, for an hour in total
FUZZ_SECONDS ?= 3600
fuzz: .venv/ready
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest tests/fuzz $(ARGS)

# checks every exported file of a trained run against its gate, on recorded and degraded real nights
test-trained: .venv/ready
	$(BIN)/python -m pytest -m trained $(ARGS)

# the model shipped with the code, bundles/gru-int8, trained on all nights of NIGHTS in some minutes;
# STRESS=<cross-validated stress.json of `evaluation stress`> adds its figures for worse sensors to card and bundle
NIGHTS ?= ../shared/sleep-accel
reference: .venv/ready
	rm -rf artifacts/reference
	mkdir -p artifacts/reference/nights
	ln -s $(foreach part,heart_rate motion steps counts labels,$(wildcard $(abspath $(NIGHTS))/$(part))) artifacts/reference/nights
	$(BIN)/python -c "from pipeline.origin import *; write_origin('artifacts/reference/nights', SLEEP_ACCEL)"
	$(BIN)/python train.py --dataset_dir artifacts/reference/nights --train_split 1 --architectures gru --out artifacts/reference/run
	$(if $(STRESS),cp $(STRESS) artifacts/reference/run/stress.json && $(BIN)/python -m export artifacts/reference/run)
	rm -rf bundles/gru-int8
	$(BIN)/python -m export artifacts/reference/run --for any --precision int8 --out bundles/gru-int8

# rebuilds LiteRT.js from its packages; needs npm
litert:
	cd watch_sim/page/litert && npm install --no-package-lock --ignore-scripts --no-audit --no-fund && npm run build

# modules are compiled when they are first imported: most never are
.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.txt
	touch $@

.PHONY: train test test-evaluations test-faults fuzz lint docs test-docs test-runtimes test-service test-cluster test-trained reference litert
