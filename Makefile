# The front door. `make demo` and `make test` do all the set-up they need.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Never another environment than our own, whatever is at .venv/bin/python.
PIP := PIP_REQUIRE_VIRTUALENV=1 $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test soak check interop bench bench-long proto dashboards constraints clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "otelbridge needs Python 3.11 or later; '$(PYTHON)' is older or missing (set PYTHON=/path/to/python3.11)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# A stamp for each set of packages, so that nothing is installed twice.
$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing otelbridge (once)" >&2
	@$(PIP) install -c constraints.txt -e .
	@touch $@
$(VENV)/.test: $(VENV)/.run
	@echo "installing what the tests need (once)" >&2
	@$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@
$(VENV)/.check: $(VENV)/.test
	@echo "installing what the checks need (once)" >&2
	@$(PIP) install -c constraints.txt -e '.[test,check]'
	@touch $@

demo: $(VENV)/.run  ## replay a captured agent session through a bridge and print its traces
	@$(BIN)/otelbridge demo $(ARGS)

test: $(VENV)/.test  ## all tests that need no outside server
	@$(BIN)/python -m compileall -q otelbridge  # each bridge starts a process more, whatever is cached
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not interop' $(ARGS)

MINUTES ?= 10
# Three long tests for two processes: each takes half the time.
soak: $(VENV)/.test  ## try to lose something for MINUTES=10: the model, kills at each point, damage
	SOAK_S=$$(( $(MINUTES) * 30 )) $(BIN)/python -m pytest -n 2 -rP --show-capture=stdout \
	  -k 'acknowledged_is_told_once or killed_at_each_point or as_long_as_there_is_time or share_a_disk' \
	  tests/model tests/failpoints tests/journal/test_opening.py $(ARGS)

check: $(VENV)/.check  ## lint, types, layers, dependencies, spelling, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/codespell
	./proto/generate.sh --check
	$(BIN)/python -m dashboards --check

interop: $(VENV)/.test  ## prove the bridge against real peers (Collector, Jaeger, Prometheus)
	./tests/interop/peers/install.sh
	$(BIN)/python -m pytest -m interop tests/interop $(ARGS)

bench: $(VENV)/.test  ## the check of keys, a gateway's calls and the durable pipeline, next to bare servers
	$(BIN)/python -m benchmarks.authorizer $(ARGS)
	$(BIN)/python -m benchmarks.pipeline $(ARGS)
	$(BIN)/python -m benchmarks.telling $(ARGS)
	$(BIN)/python -m benchmarks.gateway $(ARGS)

bench-long: $(VENV)/.test  ## outages, draining and a start with a large backlog: half an hour
	$(BIN)/python -m benchmarks.outage --outage 600 $(ARGS)
	$(BIN)/python -m benchmarks.drain $(ARGS)
	$(BIN)/python -m benchmarks.backlog $(ARGS)

proto:  ## generate otelbridge/proto from proto/aibridged.proto
	./proto/generate.sh

dashboards: $(VENV)/.run  ## write the JSON of Grafana's dashboards from dashboards/*.py
	$(BIN)/python -m dashboards

constraints: $(VENV)/.check  ## write the installed versions to constraints.txt
	@$(BIN)/python -m pip --disable-pip-version-check freeze --exclude-editable > constraints.txt

clean:  ## remove what the targets made
	rm -rf $(VENV) .venv-proto .peers .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis
