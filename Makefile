# Everything a developer or a visitor does, by name. `make` alone prints this list.
.DEFAULT_GOAL := help
PYTHON ?= python3
LLM ?= auto
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= tests
WORKERS ?= auto
# Once at set-up: where PYTHONDONTWRITEBYTECODE is set, as in many containers, every start would compile all libraries again.
export UV_COMPILE_BYTECODE := 1

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: compiled $(if $(filter local,$(LLM)),$(VENV)/.local-llm) models ## take real customer tickets through the governed refund workflow
	@$(BIN)/python -m examples.refunds.demo --llm $(LLM)

test: $(VENV)/.dev models compiled ## all set-up and all tests
	$(BIN)/python -m pytest -n $(WORKERS) $(TESTS)

test-slow: $(VENV)/.dev models compiled ## the tests that `make test` leaves out: whole data sets, quick forms of the benchmarks
	$(BIN)/python -m pytest -n $(WORKERS) -m slow $(TESTS)

check: $(VENV)/.dev ## formatting, lint, types, imports
	@$(MAKE) --no-print-directory --jobs=2 types style

# Beside each other: pyright has one core for minutes.
types: $(VENV)/.dev
	$(BIN)/pyright

style: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

fmt: $(VENV)/.dev ## format and apply safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev models compiled ## every benchmark, printed; figures go to benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks runtime
	$(BIN)/python -m benchmarks parked
	$(BIN)/python -m benchmarks recovery
	$(BIN)/python -m benchmarks timers
	$(BIN)/python -m benchmarks growth
	$(BIN)/python -m benchmarks demo
	$(BIN)/python -m benchmarks faults
	$(BIN)/python -m benchmarks gateway

docs: $(VENV)/.dev models compiled ## run every snippet of the documentation
	$(BIN)/python -m pytest tests/docs

lock: $(VENV)/.uv ## renew the lock files from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --extra local-llm -c requirements.lock -o requirements-local-llm.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --group dev --all-extras -c requirements.lock -o requirements-dev.lock

# For the same reason, our own code before each start of many processes; what is compiled already takes no time.
compiled: $(VENV)/.runtime
	@$(BIN)/python -m compileall -q -j 0 src tests benchmarks examples

models: $(VENV)/.runtime
	@$(BIN)/signoff models pull local/minilm --quiet
	@$(BIN)/signoff models pull local/rampart --quiet

$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Signoff needs Python 3.11 or newer; $(PYTHON) is older. Name another: make PYTHON=python3.12 demo" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu the venv module is a package of its own: sudo apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8,<1'
	@touch $@

$(VENV)/.runtime: requirements.lock pyproject.toml $(VENV)/.uv
	@echo "Installing locked dependencies into $(VENV) …"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.local-llm: requirements-local-llm.lock $(VENV)/.runtime
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-local-llm.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: help demo test test-slow check types style fmt bench docs lock models compiled
