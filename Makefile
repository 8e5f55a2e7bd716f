# `make` lists what there is. Everything happens in .venv and in this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STARTED := $(VENV)/.installing

# The tests start hundreds of processes. Where no bytecode may be kept, each would compile the package.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv demo ui test slow format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## everything installed in .venv, at the tested versions

# The stamp is written last. An installation that was killed half-way is begun afresh, because pip
# takes a package whose files are half there for installed; one that failed is only tried again.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "pathassets needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(or $(firstword $(MAKECMDGOALS)),venv)" >&2; \
	  exit 1; }
	@if [ -e $(STARTED) ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "$(PYTHON) -m venv $(VENV)"; $(PYTHON) -m venv --clear $(VENV); fi
	@rm -f $@ && touch $(STARTED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' \
	  || { code=$$?; [ $$code -gt 128 ] || rm -f $(STARTED); exit $$code; }
	# Without what they need: torchvision would bring a torch of its own, of several gigabytes.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps \
	  timm torchvision
	@touch $@ && rm -f $(STARTED)

demo: $(STAMP) ## six sample slides through the whole pipeline
	$(BIN)/pathassets demo

ui: $(STAMP) ## the Dagster UI over this folder
	$(BIN)/pathassets ui

test: $(STAMP) ## the one gate: format, lint, types, floors, tests (all but the slow ones)
	# Types beside all else, and three workers on two cores: tests wait for processes now and then.
	# Collected once before, for the bytecode of the tests, which each worker would make anew.
	$(BIN)/mypy & types=$$!; \
	$(BIN)/ruff format --check && $(BIN)/ruff check && $(BIN)/lint-imports \
	  && { $(BIN)/pytest --collect-only -qq >/dev/null; $(BIN)/pytest -n 3 --dist worksteal; }; \
	  others=$$?; \
	  wait $$types && exit $$others

# Files are handed out in this order: what takes minutes first, lest one worker have it in the end.
LONGEST := test_chaos test_bucket_home defs/test_inbox_daemon defs/page/test_services defs/test_daemon \
  defs/assets/test_all_assets engine/platform/test_line_batch defs/page/test_hostile_page defs/page/test_foreign_page \
  engine/features/test_encoding_processes test_examples
LONG := $(LONGEST:%=tests/%.py)
# Clusters, and days on which somebody dies: beside others they would wait for the cores.
ALONE := tests/adapters/test_ray.py tests/engine/workers/on_ray tests/engine/platform/test_ray_batch.py tests/defs/chaos

slow: $(STAMP) ## the slow tests: real daemon, PostgreSQL, browser
	# No other file is collected: to look through the 8,000 tests takes 20 s in each worker. The
	# catalog's tests on PostgreSQL are slow by its conftest.
	$(BIN)/pytest --slow -m slow -n 4 --dist loadfile --no-loadscope-reorder \
	  $(LONG) tests/catalog $$(grep -rl --include='test_*.py' 'mark\.slow' tests | grep -v $(ALONE:%=-e %) | sort)
	$(BIN)/pytest --slow -m slow $(ALONE)

format: $(STAMP) ## rewrite the code as the gate wants it
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: $(STAMP) ## write the versions in .venv to constraints.txt
	{ grep '^#' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//'; } \
	  > constraints.new && mv constraints.new constraints.txt

clean: ## remove caches; .venv, slides and results stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
	find pathassets tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
