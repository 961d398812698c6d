# Everything starts here: `make search` and `make test` need nothing but a Python 3.11 or newer.
#
#   PYTHON=python3.12   the Python that .venv is made with (default: python3)
#   TORCH_INDEX=<url>   the package index that torch's build, CPU or CUDA, is taken from
#   ARGS="..."          passed on to metanas search, or to pytest

.PHONY: help setup ready search test lint format wheel clean
.DEFAULT_GOAL := help
RUN := .venv/bin

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile
	@echo 'Variables: PYTHON=python3.12, TORCH_INDEX=<url of an index with the wanted torch build>, ARGS="..."'

setup:  ## make .venv with the metanas command in it (again only where something changed)
	@sh scripts/setup.sh

ready:
	@sh scripts/setup.sh --quiet

search: ready  ## two minutes of search on the sinusoid family
	@$(RUN)/metanas search sinusoid --budget 2m $(ARGS)

test: ready  ## the fast tests, under five minutes; ARGS="-m long" or "-m slow" for others, "-n 0" for one process
	@$(RUN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile $(ARGS)

lint: ready  ## style, types, import rules
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports --no-logo

format: ready  ## put the code in the house style
	$(RUN)/ruff check --fix-only .
	$(RUN)/ruff format .

wheel: ready  ## dist/metanas-*.whl
	$(RUN)/python -m build --wheel --no-isolation

clean:  ## remove what was built and cached; .venv stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find metanas search_spaces controllers storage tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
