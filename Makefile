# One command per intention. Everything lives in .venv, pinned by requirements.lock; the second `make setup` does nothing.
PYTHON = python3
VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

# Modules are compiled once, whatever the environment says: each command that tests start would do it anew.
export PYTHONDONTWRITEBYTECODE =

# Two processes with one thread each: with more threads they would only wait for one another. A file goes to one of them,
# or both would make what its tests share; who is done takes the next one, and the longest come first.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The files that hold tests of a mark: looking through all others for it would take longer than the tests.
marked = $(shell grep -rl --include=*.py 'mark\.$(1)\b' tests)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-kernels test-apart check format docs ci test-ci bench lock clean
.DELETE_ON_ERROR:

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Install everything into .venv

# The lock is complete, so pip looks for no dependencies: older pips stumble over versions newer than the pins. pip
# compiles on one core, compileall on all; templates that are no Python it cannot compile, and need not, nor the tests of
# other packages.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is not Python 3.11 or newer; name one that is, for example: make setup PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true
	@touch $@

demo: setup ## Run the whole chain on drawn photographs, and say where the report is
	$(BIN)/biranet demo

test: setup ## Run the tests, except those marked slow or sample, and name the slowest
	$(PYTEST) -m "not slow and not sample" --durations=25

test-slow: setup ## Run the tests marked slow: kills, fuzzing, big trees, studies, the demo
	$(PYTEST) -m slow

check: setup ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Lay out the code and repair what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The second of two threads would use up a processor while it waits for the first.
test-kernels: setup ## Run the tests marked kernels as two older processors would compute them
	OPENBLAS_CORETYPE=Sandybridge ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE \
		$(BIN)/python -m pytest -q -m kernels $(call marked,kernels)
	OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m kernels $(call marked,kernels)

test-apart: setup ## Run the tests marked apart, which bring a Ray cluster or OpenVINO into their process
	COVERAGE_FILE=.coverage.apart OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -q -m apart $(call marked,apart) --cov --cov-report= --cov-fail-under=0

docs: setup ## Write the reference of the Python interface to build/docs; a warning is an error
	$(BIN)/python -W error docs/reference/build.py build/docs

# All at a time, since each by itself leaves one processor idle for a part of its time; the tests end last, and add the
# coverage of those apart to their own.
ci: setup ## Do what CI does: check, docs, quick tests, the slow ones marked sample, those apart, other kernels
	$(MAKE) --keep-going --jobs 4 check docs test-kernels test-apart test-ci

test-ci: setup
	$(PYTEST) -m "not slow or sample" --durations=25 --cov --cov-report=term

# The real photographs, as CONTRIBUTING.md describes their folder.
DATA = $(or $(BIRANET_REAL_DATA),../shared/data/fundus)

bench: setup ## Run all benchmarks on real photographs (DATA=FOLDER), and write docs/benchmarks.md
	$(BIN)/python benchmarks/page.py $(DATA)

lock: setup ## Pin anew what pyproject.toml asks for; other pins stay
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --quiet \
		--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" --output-file requirements.lock

clean: ## Remove what tests, checks and the demo left; .venv stays
	rm -rf build demo htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
