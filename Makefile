# make run and make test do all their own set-up; they need Python 3.11 to 3.13 and make.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
# What says that an environment is whole, and by which constraints.
RUNS := $(VENV)/.installed-$(notdir $(CONSTRAINTS))
TESTS := $(VENV)/.installed-dev-$(notdir $(CONSTRAINTS))

.PHONY: run test check bench clean
.NOTPARALLEL:

run: $(RUNS)
	$(BIN)/magnn demo

test: $(TESTS)
	$(BIN)/python -m pytest

check: $(TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(TESTS)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) magnn-demo

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "magnn needs Python 3.11 to 3.13")'
	rm -f $@* $(VENV)/.installed*  # a link to a Python that is gone, and what was installed for it
	$(PYTHON) -m venv $(VENV) || { rm -f $@*; exit 1; }

$(RUNS): $(BIN)/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e .
	@rm -f $(filter-out $(RUNS) $(TESTS),$(wildcard $(VENV)/.installed*))
	touch $@

$(TESTS): $(BIN)/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e '.[dev]'
	@rm -f $(filter-out $(RUNS) $(TESTS),$(wildcard $(VENV)/.installed*))
	touch $@ $(RUNS)
