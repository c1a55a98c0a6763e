# Every habit is one command: `make help` lists them. Only python3.11+ and make are needed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help demo test check bench trial faults fuzz format clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## embedded Postgres, sandboxes, gateway and two syncs; Ctrl-C ends it
	@$(BIN)/httpproxy demo

# Bytecode is kept whatever the environment says: hundreds of processes are started.
test: $(STAMP) ## the tests, with a floor under their coverage
	@$(BIN)/python -m compileall -q -j 0 httpproxy providers
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term:skip-covered

check: $(STAMP) ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(STAMP) ## the benchmarks: a table, and build/bench.json
	@$(BIN)/python -m tests.benchmarks

trial: $(STAMP) ## 70,000 records, writers, a kill in the middle; compared at the end
	@$(BIN)/python -m tests.trial

faults: $(STAMP) ## 300 kills, failing wires, disks and databases under load: some minutes
	@$(BIN)/python -m tests.faults

fuzz: $(STAMP) ## 100 made-up calls of each kind for each operation of /v1: some minutes
	@PYTHONPATH=tests $(BIN)/python tests/api/fuzzing.py 100

model: $(STAMP) ## 50,000 random schedules against the interval rule: some minutes
	@$(BIN)/python -m tests.model

format: $(STAMP) ## put the code in form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove what was built; data in .httpproxy stays
	@rm -rf $(VENV) build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment follows pyproject.toml: when that changes, it is brought up to date.
# --group needs pip 25.1 or later, which most systems do not have, hence the first upgrade.
$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "there is no $(PYTHON): install Python 3.11 or later, or name it: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12"; exit 1; }
	@echo "bringing $(VENV) up to date; the first time takes about a minute"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --retries 10 --upgrade pip
	@$(BIN)/python -m pip install --quiet --retries 10 --editable '.[otel]' --group check --group test
	@touch $@
