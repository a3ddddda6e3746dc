# `make demo` sets everything up and runs the main job; `make test` runs the tests; `make check` is what CI runs.
PYTHON ?= python3
BIN := .venv/bin
# Tests wait a lot, for servers and for killed runs: three processes keep two cores busy. A file stays in one of them, so
# that what its tests share is made once; tests/conftest.py lets the longest begin.
# They start gptexp many hundred times, so its bytecode is kept, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-fast check format docs clean

demo: .venv/ready
	$(BIN)/gptexp run lr-ablation --scale quick

test: .venv/ready
	$(PYTEST)

test-fast: .venv/ready
	$(PYTEST) -m "not slow"

check: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYTEST)

docs: .venv/ready
	$(BIN)/python docs/draw_architecture.py
	$(BIN)/python docs/write_json.py
	$(BIN)/pdoc --docformat google --output-directory docs/api gptexp

format: .venv/ready
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("gptexp needs Python 3.11 or newer, this is %d.%d; try make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Setting up .venv: PyTorch and what else is needed, some minutes and 2 GB"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch .venv/ready

clean:
	rm -rf .venv .venv-lowest docs/api .pytest_cache .mypy_cache .ruff_cache
