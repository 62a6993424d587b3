# The commands a person types; everything else is in the tools that they call.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help

.PHONY: help venv demo test check peers bench clean

help: ## what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# python3-venv is a package of its own on Debian; root installs it, others are told.
$(BIN)/python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq python3-venv; \
	  else echo "Python's venv module is missing. Run: sudo apt-get install python3-venv" >&2; exit 1; fi; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.run: pyproject.toml config/version.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.run
	$(BIN)/python -m pip install --quiet --group test --group lint
	@touch $@

venv: $(VENV)/.test ## the environment for work on Biebroam

demo: $(VENV)/.run ## two libraries and real roaming logins through them
	@$(BIN)/biebroam demo $(ARGS)

peers: ## the RADIUS servers and clients that the tests run against
	@sh tests/support/install-peers.sh

check: $(VENV)/.test ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

test: $(VENV)/.test peers check ## everything that has to hold (under 10 minutes on 2 cores)
	$(BIN)/pytest -n 2 --dist loadgroup --cov --cov-report= -m "not long"
	$(BIN)/python -m tests.support.coverage_gates

bench: $(VENV)/.test peers ## the load measurements beside the peers that are installed
	$(BIN)/python -m tests.load.bench $(ARGS)

clean: ## away with what was built here
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .coverage
