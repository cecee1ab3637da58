PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEBIAN := dataset-fashion-mnist
# The lowest versions that pyproject.toml allows; of torch the one that constraints.txt has a build of.
LOWEST := .venv-lowest
PIP := -m pip install -qq --disable-pip-version-check

# One thread a process: the trials of a sweep share the cores, and thread pools on top of that slow all of them down.
export OMP_NUM_THREADS ?= 1
# pip is told not to compile, since most of what it installs is never imported; the first import compiles and keeps.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test faults mutants lowest check format reference venv debian clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP)  ## search, compress and report on a small data set: halving run examples/digits.yaml --replace
	@$(BIN)/halving run examples/digits.yaml --replace

test: $(STAMP)  ## run the tests: those without Ray side by side, then those on Ray
	@$(BIN)/python -m pytest -q -m "not ray" -n 2 --dist loadfile
	@$(BIN)/python -m pytest -q -m ray

faults: $(STAMP)  ## kill drivers, ranks and nodes many times: the long form of tests/faults
	@$(BIN)/python -m pytest -q tests/faults tests/benchmarks --slow --kills 30 --timeout 3600

mutants: $(STAMP)  ## mutation testing: the share of small faults that the tests notice
	@$(BIN)/python tests/mutants/run.py

lowest:  ## run the demo with the lowest versions that pyproject.toml allows, in .venv-lowest
	@test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	@$(LOWEST)/bin/python $(PIP) -c constraints.txt uv
	@grep '^torch==' constraints.txt > $(LOWEST)/torch.txt
	@$(LOWEST)/bin/uv pip compile --quiet --no-header --no-annotate --resolution lowest-direct \
	--python $(LOWEST)/bin/python -c $(LOWEST)/torch.txt pyproject.toml > $(LOWEST)/versions.txt
	@$(LOWEST)/bin/python $(PIP) --no-compile -c $(LOWEST)/versions.txt .
	@cd $(LOWEST) && env -u PYTHONPATH bin/halving run ../examples/digits.yaml --replace
	@cd $(LOWEST) && env -u PYTHONPATH bin/python ../.ci/check_models.py runs/digits

check: $(STAMP)  ## format, lint, strict types, import rules
	@$(BIN)/ruff format --check --quiet --output-format concise . || { echo "make format puts this right"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(STAMP)  ## format the code and put right what ruff can
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

reference: $(STAMP)  ## write docs/reference.md from the code
	@$(BIN)/python docs/make_reference.py

venv: $(STAMP)  ## make .venv and install into it

debian:  ## as root: install the Debian packages without which some tests are skipped
	@apt-get update -qq
	@DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $(DEBIAN) > /dev/null

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "halving needs Python 3.11 or newer, but \
	$(PYTHON) is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing halving and what it needs into $(VENV) (a minute or so, once) ..."
	@$(BIN)/python $(PIP) "pip>=25"
	@$(BIN)/python $(PIP) --no-compile -c constraints.txt -e '.[dev,bench]'
	@touch $@

clean:  ## remove both environments, caches and build leftovers; never runs/
	@rm -rf $(VENV) $(LOWEST) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find orchestrator trainables search_spaces benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +
