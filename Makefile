# Two commands do everything: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-llm check bench data clean

run: $(VENV)/.training
	$(BIN)/python -m agents.run --config config.example.yaml

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# With a real small model: built and fetched once (docs/llm.md), `make test-llm LLM=qwen-0.5b` for another.
LLM ?= smollm2-135m
test-llm: $(VENV)/.test
	$(BIN)/python tests/llm_real/local_llm.py --model $(LLM) -- $(BIN)/python -m pytest tests/llm_real

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

# CIFAR for `--data cifar10` and `cifar100`: once, checked, where there is internet.
data: $(VENV)/.training
	$(BIN)/python -m training.data fetch cifar10 --directory data
	$(BIN)/python -m training.data fetch cifar100 --directory data

# Stamps: nothing is installed again until pyproject.toml changes.
$(VENV)/.training: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[training]'
	touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[training,test]'
	touch $@ $(VENV)/.training

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache
