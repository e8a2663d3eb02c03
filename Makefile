# Two commands from a bare clone: `make run` and `make test`. Each does its own set-up.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
DEVICE ?= cpu

.PHONY: run demo test lint compiled crash bench docs accessibility release-check clean

run: $(VENV)/run.ready
	$(BIN)/fewstep train glyphs-5way-1shot --test-tasks 100 --run-dir $(DEMO)/maml
	$(BIN)/fewstep train glyphs-5way-1shot --test-tasks 100 --algorithm finetune --run-dir $(DEMO)/finetune
	$(BIN)/fewstep compare $(DEMO)/maml $(DEMO)/finetune --inner-steps 5 --picture $(DEMO)/comparison.png

# With the runs that `make run` has made.
demo: $(VENV)/demo.ready
	$(BIN)/fewstep demo

test: lint
	$(BIN)/pytest -n logical --maxprocesses 8 --dist worksteal

lint: $(VENV)/test.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

compiled: $(VENV)/test.ready
	$(BIN)/pytest tests/exactness -m "compiled or not compiled" -k compiled

crash: $(VENV)/test.ready
	$(BIN)/pytest tests/crash -m crash

bench: $(VENV)/bench.ready
	$(BIN)/python -m benchmarks --device $(DEVICE)

# The site, in site/; any warning or dead link is an error.
docs: $(VENV)/docs.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# Every page of the site, and REPORT=FILE.html, by axe-core and Lighthouse; needs node, npm and chromium.
accessibility: docs scripts/accessibility/node_modules/ready
	node scripts/accessibility/check.mjs site $(REPORT)

scripts/accessibility/node_modules/ready: scripts/accessibility/package.json
	npm install --no-save --no-fund --no-audit --prefix scripts/accessibility
	touch $@

$(VENV)/python.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fewstep needs Python 3.11 or later; name one with: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

# Compiled by all cores, where pip compiles by one; without the tests of other packages.
define INSTALL
$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable
endef
define COMPILE
$(BIN)/python -W ignore -m compileall -qq -j 0 -x '/tests?/' src $(VENV)/lib || true
endef

$(VENV)/run.ready: $(VENV)/python.ready
	$(INSTALL) .
	$(COMPILE)
	touch $@

$(VENV)/test.ready: $(VENV)/python.ready
	$(INSTALL) '.[dev,models]'
	$(COMPILE)
	touch $(VENV)/run.ready $@

$(VENV)/demo.ready: $(VENV)/run.ready
	$(INSTALL) '.[demo]'
	$(COMPILE)
	touch $@

$(VENV)/bench.ready: $(VENV)/run.ready
	$(INSTALL) '.[bench]'
	$(COMPILE)
	touch $@

$(VENV)/docs.ready: $(VENV)/run.ready
	$(INSTALL) '.[docs]'
	$(COMPILE)
	touch $@

release-check:
	$(PYTHON) -m scripts.release_check

clean:
	rm -rf $(VENV) runs site .cache scripts/accessibility/node_modules
