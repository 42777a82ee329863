# wasimoff: `make demo` runs the main job on real input, `make test` checks everything. Both set up what they need.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test check unit e2e bench serve proto lock clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: .venv/ready node_modules/ready static/vendor/ready ## make .venv, fetch and build what the pages need, find a Chromium
	@$(BIN)/python scripts/chromium.py

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) scripts/system.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

node_modules/ready: package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# The build looks at its inputs itself and is quick when none has changed.
static/vendor/ready: .venv/ready node_modules/ready FORCE
	@node scripts/build_static.mjs
	@touch $@

.PHONY: FORCE
FORCE:

demo: setup ## broker, native provider and a Chromium tab: a job of 32 tasks across both
	@$(BIN)/python scripts/demo.py

test: setup check unit e2e ## everything: linters, unit and integration tests, end to end tests

check: setup ## linters, types, import contracts, generated code (seconds)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	node_modules/.bin/tsc --project static/js/tsconfig.json
	node_modules/.bin/tsc --project wasi-apps/web_demo/tsconfig.json
	node_modules/.bin/tsc --project pyodide_provider/native/python/tsconfig.json
	$(BIN)/python scripts/proto.py --check
	$(BIN)/python scripts/tables.py --check
	$(BIN)/python scripts/dockerfile.py

unit: setup ## tests without a browser
	$(BIN)/python -m pytest tests wasi-apps

e2e: setup ## end to end, with real Chromium
	$(BIN)/python -m pytest e2e --timeout 300

bench: setup ## measurements, as ratios
	$(BIN)/python bench/broker.py
	$(BIN)/python bench/provider.py

serve: setup ## a broker on http://localhost:4080
	$(BIN)/python -m broker

proto: setup ## generate the wire's classes from messages.proto
	$(BIN)/python scripts/proto.py

LOCK := uv pip compile --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --quiet

# The containers' locks are subsets of the first.
lock: ## resolve requirements*.lock anew (needs uv)
	$(LOCK) pyproject.toml --extra dev --output-file requirements.lock
	$(LOCK) pyproject.toml --extra broker --constraints requirements.lock --output-file requirements-broker.lock
	$(LOCK) pyproject.toml --extra provider --constraints requirements.lock --output-file requirements-provider.lock
	$(LOCK) --group pages --constraints requirements.lock --output-file requirements-pages.lock

clean: ## remove what setup made
	rm -rf .venv node_modules static/vendor build *.egg-info
