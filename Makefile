# `make help` lists what there is. GNU make and a POSIX shell; everything else is made by local/venv.sh.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV ?= .venv
export VENV

BIN := $(VENV)/bin
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml gateway/pyproject.toml services/*/pyproject.toml sandbox/pyproject.toml local/pyproject.toml))
SERVICES := auth user coin image subscription gateway sandbox

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "  make run-<name>   Run one and what it needs: $(SERVICES)"
	@echo "  make up-<name>    The same in containers, its code mounted and reloaded"
	@echo "  PORT_BASE=6000 make run moves every port; PYTEST_ARGS='-k ledger' make test picks tests"

# Targets below that need the virtual environment depend on one of these two; both are quick when nothing changed.
.PHONY: installed installed-dev
installed:
	@sh local/venv.sh run
installed-dev:
	@sh local/venv.sh dev

.PHONY: run
run: installed ## Run the whole mesh on this machine; Ctrl-C stops it
	@$(BIN)/python -m local_mesh --die-with-parent

RUN_ONE := $(addprefix run-,$(SERVICES))
.PHONY: $(RUN_ONE)
$(RUN_ONE): run-%: installed
	@$(BIN)/python -m local_mesh --die-with-parent $*

.PHONY: test
test: installed-dev ## Run all tests, with a real MongoDB
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup $(PYTEST_ARGS)

.PHONY: check
check: lint types imports test ## All that a change must pass: format, lint, types, imports, tests

.PHONY: lint
lint: installed-dev ## Check format and style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

# One call a member: their tests have files of the same name.
.PHONY: types
types: installed-dev ## Check types strictly, once per member
	@for member in $(MEMBERS); do \
		folders=$$(ls -d $$member/src $$member/tests 2>/dev/null); \
		echo "mypy $$member"; MYPYPATH=$$member/src $(BIN)/mypy $$folders || exit 1; \
	done
	@for folder in tests bench; do \
		[ ! -d $$folder ] || { echo "mypy $$folder"; MYPYPATH=$$folder $(BIN)/mypy $$folder || exit 1; }; \
	done

.PHONY: imports
imports: installed-dev ## Check who may import whom
	@$(BIN)/lint-imports

.PHONY: format
format: installed-dev ## Format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: chaos
chaos: installed-dev ## Kill, cut and slow everything for 5 minutes, then prove that nothing was lost
	@$(BIN)/python tests/chaos $(CHAOS_ARGS)

.PHONY: bench
bench: installed-dev ## Measure a mesh started for the purpose
	@$(BIN)/python bench $(BENCH_ARGS)

.PHONY: audit
audit: installed ## Prove that every wallet adds up, in the running mesh or at MONGO_URI
	@$(BIN)/python -m local_mesh.inside coin -m coin_service.commands audit

.PHONY: up
up: ## Build and start the containers, and wait until they are healthy
	@docker compose up --detach --build --wait
	@echo "ready: http://localhost:$${GATEWAY_PORT:-5000}   logs: docker compose logs --follow   stop: make down"

# The service's code is mounted and reloads on every change; the gateway comes along so that it can be reached.
UP_ONE := $(addprefix up-,auth user coin image subscription gateway)
.PHONY: $(UP_ONE)
$(UP_ONE): up-%:
	@docker compose --file docker-compose.yml --file docker-compose.dev.yml up --build $(sort gateway $*)

.PHONY: down
down: ## Stop the containers; their data stays
	@docker compose down

.PHONY: requests
requests: installed-dev ## Write docs/requests.http and the Postman collection from the running gateway's schema
	@$(BIN)/python docs/build_requests.py

.PHONY: constraints
constraints: ## Pin the newest versions of everything in constraints.txt
	@sh local/constraints.sh

.PHONY: clean
clean: ## Remove what tools made (.venv, caches); .data stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
