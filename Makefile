# Every task of the project; `make help` lists them. Python 3.11 or newer, pip, make and git are all it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
DATA ?= real-data
PORT ?= 3000
# Each deployment has a Dagster instance of its own beside its data.
export DAGSTER_HOME ?= $(CURDIR)/$(DEMO)/dagster_home
INSTANCE = mkdir -p $$DAGSTER_HOME && cp deploy/local/dagster.yaml $$DAGSTER_HOME/

.DEFAULT_GOAL := help
.PHONY: help install bench orchestration workers audit sbom demo ui test ui-test unit messages pictures lint format real-geometry real-pixels clean

help: ## List the tasks
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,deploy,s3]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]' \
	|| echo "make bench: the peers could not be installed; claims against them are skipped"
	@touch $@

install: $(VENV)/.installed ## Create .venv with the pinned versions

demo: install ## Simulate a small season and materialise the whole graph
	@$(BIN)/avalanche simulate $(DEMO) --size demo
	@$(INSTANCE)
	@$(BIN)/avalanche run $(DEMO)/avalanche.toml

ui: install ## Open the Dagster UI on the demo's instance (PORT=3000)
	@$(INSTANCE)
	AVALANCHE_SETTINGS=$(or $(AVALANCHE_SETTINGS),$(CURDIR)/$(DEMO)/avalanche.toml) \
	AVALANCHE_WEBSERVER=localhost:$(PORT) $(BIN)/dagster dev -w workspace.yaml -p $(PORT)

test: $(VENV)/.installed-dev ## Lint, types, import rules and every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadfile

ui-test: $(VENV)/.installed-dev ## The tests in a real browser (Chromium)
	$(BIN)/pytest avalanche_assets_tests/ui

pictures: $(VENV)/.installed-dev ## The same, and keep the handbook's pictures in docs/pictures
	AVALANCHE_PICTURES=$(CURDIR)/docs/pictures $(BIN)/pytest avalanche_assets_tests/ui

messages: $(VENV)/.installed-dev ## Collect new texts for translation into avalanche_assets/reporting/locale
	$(BIN)/pybabel -q extract -F babel.toml -k say -k say_n:1,2 -k marked --no-location --omit-header \
		-o $(VENV)/messages.pot avalanche_assets
	$(BIN)/pybabel -q update --no-fuzzy-matching --ignore-pot-creation-date -l fr -w 110 \
		-i $(VENV)/messages.pot -o avalanche_assets/reporting/locale/fr.po

unit: $(VENV)/.installed-dev ## The fast tests alone
	$(BIN)/pytest -m "not integration"

format: $(VENV)/.installed-dev ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

real-geometry: export DAGSTER_HOME := $(CURDIR)/.real-geometry/dagster_home
real-geometry: install ## The whole graph on real terrain and a real orbit (DATA=folder with real data)
	@$(INSTANCE)
	@$(BIN)/avalanche real-geometry $(DATA) .real-geometry

real-pixels: export DAGSTER_HOME := $(CURDIR)/.real-pixels/dagster_home
real-pixels: install ## Three real repeat passes through VV*/VH* and a score (DATA=folder with real data)
	@$(INSTANCE)
	@$(BIN)/avalanche real-pixels $(DATA) .real-pixels

bench: $(VENV)/.installed-bench ## Speed and memory against peers (8 GB of disk; DATA=folder with real data)
	@AVALANCHE_TEST_DATA=$(DATA) $(BIN)/python -m benchmarks

orchestration: $(VENV)/.installed-dev ## What orchestration costs a date and step (three quarters of an hour)
	@$(BIN)/python -m benchmarks.orchestration

workers: $(VENV)/.installed-dev ## One worker against two, and what N machines take (20 minutes; PostgreSQL, Redis)
	@$(BIN)/python -m benchmarks.workers

audit: $(VENV)/.installed-dev ## Known vulnerabilities of the pinned packages (asks the package index)
	$(BIN)/pip-audit --disable-pip --no-deps -r constraints.txt

sbom: $(VENV)/.installed-dev ## List of all third-party parts, CycloneDX (sbom.json)
	$(BIN)/cyclonedx-py environment --no-validate --pyproject pyproject.toml --of JSON -o sbom.json $(BIN)/python

clean: ## Remove what the tasks made, except .venv
	rm -rf $(DEMO) .real-geometry .real-pixels .bench
