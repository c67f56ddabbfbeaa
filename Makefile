# make demo   sets everything up in .venv and runs the benchmark on embedded data
# make test   sets everything up in .venv and runs the tests
# make bench  measures how fast it is, beside others: BENCH="--quick" for minutes, BENCH=--help
# make docs   builds the documentation into site/: open site/index.html
# make faults kills a small run 200 times and compares what it ends with: KILLS=1000 for more
# Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SETUP := pyproject.toml setup.py constraints.txt

.DEFAULT_GOAL := demo
.PHONY: demo test bench docs faults lint format clean

demo: $(VENV)/.installed
	$(BIN)/bench run

test: $(VENV)/.installed-test
	$(BIN)/pytest -n auto --maxprocesses 8 --dist loadscope

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks $(BENCH)

docs: $(VENV)/.installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

KILLS ?= 200
faults: $(VENV)/.installed-test
	$(BIN)/python tests/killing.py --kills $(KILLS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find bench priors posteriors datasets benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "$(PYTHON) not found: install Python 3.11 or newer, or name it: make demo PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created $(SETUP)
	@echo "Installing into $(VENV) (the first time this downloads PyTorch: minutes)"
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.created $(SETUP)
	@echo "Installing into $(VENV) (the first time this downloads PyTorch: minutes)"
	$(PIP) -e '.[benchmarks]'
	@touch $@ $(VENV)/.installed

# With the tests' tools comes all that the demo and the benchmark need.
$(VENV)/.installed-test: $(VENV)/.created $(SETUP)
	@echo "Installing into $(VENV) (the first time this downloads PyTorch: minutes)"
	$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-bench
