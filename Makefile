# Needs only make and Python >= 3.11; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODE := avatars body_models data_prep configs scripts

.DEFAULT_GOAL := help
.PHONY: help setup tools demo demo-head test lint clean

help:
	@echo "make setup      install into $(VENV), in the versions tested"
	@echo "make tools      install what tests judge exported files with: glTF validator and three.js, by npm"
	@echo "make demo       scans of a clothed person -> avatar -> animation, with demo/report.html"
	@echo "make demo-head  film of a talking head -> tracked head -> avatar -> driven by another person, in demo_head/"
	@echo "make test       run the tests"
	@echo "make lint       ruff and mypy"
	@echo "make clean      remove caches and what the demos wrote ($(VENV) stays)"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, '$(PYTHON)' is not. Type: make setup PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[test,video]'
	@touch $@

tools:
	@if command -v npm > /dev/null; then npm ci --prefix tests/tools --no-audit --no-fund; else \
	  echo "npm is not installed, so the tests that need the glTF validator or three.js will be skipped." \
	    "Get it with Node.js (nodejs.org) and type again: make tools"; fi

demo: setup
	$(BIN)/python scripts/demo.py --out demo

demo-head: setup
	$(BIN)/python scripts/demo_head.py --out demo_head

# Two processes with a thread each, a file of tests in one of them: about twice as fast, and 4 GB of memory each at most.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)

clean:
	rm -rf demo demo_head build dist .pytest_cache .ruff_cache .mypy_cache
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +
