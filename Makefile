# The commands a person types; everything else is in the tools that they call.
PYTHON ?= python3
VENV := .venv
COMPILED := .venv-compiled
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
export PYTHONDONTWRITEBYTECODE :=  # some machines set it: each of the many processes would compile everything anew

.PHONY: help venv demo test covered uncovered native coverage test-compiled sanitized check peers compiled fuzz simulation bench soak blackhole clean

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

# Two of these at a time: a part that has one thread leaves a core to another, and what waits leaves both.
TOGETHER = $(MAKE) --no-print-directory -j 2 --output-sync=target
PYTEST = $(BIN)/pytest -n 2 --dist loadgroup $(ARGS)
COMPILER = $(shell command -v cc)$(CI)

test: $(BIN)/python ## everything that has to hold (ten minutes on 2 cores, when Debian's packages are there)
	@$(TOGETHER) $(if $(COMPILER),$(COMPILED)/.run) peers check covered
	@echo "The others of the tests, and those of what is compiled; what they say comes at their ends."
	@$(TOGETHER) uncovered $(if $(COMPILER),native)
	@$(if $(COMPILER),,echo "Left out: the tests of the compiled packet path, which need gcc and python3-dev.")

uncovered: $(VENV)/.test peers
	$(PYTEST) -m "not long" $(addprefix --ignore=,$(COVERED))

# They wait for three quarters of their time: one process beside the two of the others.
native: export WORKERS = 0
native:
	@$(MAKE) --no-print-directory sanitized
	@$(MAKE) --no-print-directory test-compiled

# Rooms in which every branch has a test: their own tests show it, under coverage. The others' run at their full speed.
COVERED := $(addprefix tests/radius/,wire exchange discovery) $(wildcard tests/federation/test_*.py)
covered: $(VENV)/.test ## the tests of the rooms that must be covered completely
	$(PYTEST) --cov --cov-report= $(COVERED)
	$(BIN)/python -m tests.support.coverage_gates

coverage: $(VENV)/.test ## what the tests cover, file by file
	$(PYTEST) -m "not long" --cov --cov-report=term:skip-covered

# Built from a copy, so that no extension module lands beside the source that the tests interpret.
PACKAGES := biebroam.py biebroam_roles.py hatch_build.py radius federation api config
$(COMPILED)/.run: pyproject.toml $(shell find radius federation api config biebroam.py biebroam_roles.py hatch_build.py -name '*.py' -o -name '*.[ch]' 2>/dev/null) | $(BIN)/python
	@command -v cc >/dev/null || { echo "A C compiler is missing. Run: sudo apt-get install gcc python3-dev" >&2; exit 1; }
	rm -rf build/source && mkdir -p build/source && cp -r $(PACKAGES) pyproject.toml README.md LICENSE build/source
	test -x $(COMPILED)/bin/python || $(PYTHON) -m venv $(COMPILED)
	$(COMPILED)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(COMPILED)/bin/python -m pip uninstall --quiet --yes biebroam
	HATCH_BUILD_HOOK_ENABLE_MYPYC=1 HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 \
	  $(COMPILED)/bin/python -m pip install --quiet ./build/source
	@touch $@

compiled: peers $(COMPILED)/.run ## Biebroam with its packet path compiled, in .venv-compiled

WORKERS ?= 2
# The same tests of the packet path, on the compiled modules; the tools are those of the other environment.
test-compiled: compiled $(VENV)/.test ## the tests of the compiled packet path on what is compiled
	rm -rf build/tests && mkdir -p build/tests && cp -r tests pyproject.toml build/tests
	cd build/tests && export PYTHONPATH="$$(../../$(COMPILED)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" && \
	  ../../$(BIN)/python -c 'import radius.wire.packet as it; assert it.__file__.endswith(".so"), it' && \
	  ../../$(BIN)/python -m pytest -n $(WORKERS) -p no:cacheprovider tests/radius tests/federation/test_*.py

$(VENV)/.fuzz: pyproject.toml $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group fuzz
	@touch $@

fuzz: $(VENV)/.fuzz ## a search for inputs that break something, guided by coverage (ARGS=--help)
	$(BIN)/python -m tests.fuzz $(ARGS)

RUNS ?= 5000
simulation: $(VENV)/.test ## whole federations in memory, in bad weather (RUNS=5000, ARGS=--help)
	$(BIN)/python -m tests.simulation --runs $(RUNS) $(ARGS)

# The sanitizers' libraries have to be loaded before Python; its own allocator would hide what they look for.
SANITIZERS = $(shell cc -print-file-name=libasan.so) $(shell cc -print-file-name=libubsan.so)
sanitized: $(VENV)/.test ## the tests of the native parts under AddressSanitizer and UBSan
	BIEBROAM_SANITIZE=1 PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$(SANITIZERS)" \
	  $(BIN)/python -m pytest -q -p no:cacheprovider tests/radius/wire/test_kernel.py tests/radius/transport/test_udp.py tests/radius/transport/test_outbox.py tests/radius/transport/test_segments.py tests/radius/tls/test_records.py

bench: $(VENV)/.test compiled ## the load measurements beside the peers that are installed
	$(BIN)/python -m tests.load.bench $(ARGS)

soak: $(VENV)/.test ## ten minutes of load, churn and garbage; the proxy must not grow (ARGS="--seconds 180")
	$(BIN)/python -m tests.load.soak $(ARGS)

blackhole: $(VENV)/.test compiled ## what others feel while one library does not answer (ARGS=--help)
	$(BIN)/python -m tests.load.blackhole $(ARGS)

clean: ## away with what was built here
	rm -rf $(VENV) $(COMPILED) build dist .pytest_cache .ruff_cache .hypothesis .coverage
