# Two commands for a fresh clone: `make demo` and `make test`. They need Python (3.10 or newer), git and make alone.
PYTHON ?= python3
VENV ?= .venv
VENV4 ?= .venv-4
BIN := $(VENV)/bin
PYTEST := -m pytest -n auto --maxprocesses 4
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check pytest test-4 test-all test-lowest clean

demo: $(VENV)/.installed
	$(BIN)/pipe run pair-classification --top-k 2 \
		--second-text "The firm bought its rival last year." \
		"The company acquired its competitor last year."

test: check pytest

check: $(VENV)/.installed-dev .typecheck/pipesmith
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

pytest: $(VENV)/.installed-dev
	$(BIN)/python $(PYTEST) $(PYTEST_ARGS)

# The second line: transformers 4.57 with TensorFlow, in an environment of its own.
test-4: $(VENV4)/.installed
	$(VENV4)/bin/python $(PYTEST) -m both_lines $(PYTEST_ARGS)

$(VENV4)/.installed: pyproject.toml constraints-4.txt
	$(PYTHON) -m venv $(VENV4)
	$(VENV4)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-4.txt \
		torch tensorflow-cpu --editable '.[dev,video]'
	$(VENV4)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps tf-keras==2.21.0
	@touch $@

# Everything unsampled, on 5 and then on 4.57, where each loads what the other pushes; before a release, not in CI.
test-all: $(VENV)/.installed-dev $(VENV4)/.installed
	$(BIN)/python $(PYTEST) --slow $(PYTEST_ARGS)
	PIPESMITH_OTHER_LINE=$(abspath $(BIN)/python) $(VENV4)/bin/python $(PYTEST) --slow $(PYTEST_ARGS)

# The lower bounds of pyproject.toml, in an environment of its own; run before a release.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet -c constraints-lowest.txt --editable '.[dev]'
	.venv-lowest/bin/python $(PYTEST) $(PYTEST_ARGS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing pipesmith and what it needs into $(VENV): a few minutes the first time."
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable '.[dev,video]'
	@touch $@

# mypy does not follow setuptools' package-dir: it reads the sources through a view of links.
.typecheck/pipesmith:
	mkdir -p $@
	ln -s ../../cli ../../pipelines ../../templates $@/

clean:
	rm -rf $(VENV) $(VENV4) .venv-lowest .typecheck build dist *.egg-info
