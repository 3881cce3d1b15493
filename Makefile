# Every target sets up what it needs by itself: Python 3.11+ and make are enough.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
DATA ?= var/market

.DEFAULT_GOAL := help
.PHONY: help setup run demo year test crash tamper s3 opa regal check outside conformance peer bench generate lock clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/run.stamp: requirements/run.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || { echo "Making the virtual environment ..."; $(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: on Debian, apt-get install python3-venv"; exit 1; }; }
	@echo "Installing the locked packages ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "Installing the locked development packages ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/run.stamp ## Virtual environment from the hashed lock

run: setup ## Seed world, the main job once, then the server (PORT=8000)
	@$(BIN)/python -m marketplace run --data $(DATA) --port $(PORT)

demo: setup ## The main job as a story (SOURCE=folder of DICOM, JSON=file)
	@$(BIN)/python -m marketplace demo $(if $(SOURCE),--source "$(SOURCE)") $(if $(DECLARE),--declare "$(DECLARE)") $(if $(JSON),--json-file "$(JSON)") $(if $(DEMO_DATA),--data "$(DEMO_DATA)")

year: setup ## A year of 20 assets and 8 buyers, and its director's page (YEAR_DATA=folder, JSON=file)
	@$(BIN)/python -m marketplace year $(if $(YEAR_DATA),--data "$(YEAR_DATA)") $(if $(JSON),--json-file "$(JSON)")

test: $(VENV)/dev.stamp ## All tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

crash: $(VENV)/dev.stamp ## Kill every process under load, then let every system call fail (KILLS=60 FORM=both)
	@$(BIN)/python -m tests.harness.crash --kills $(or $(KILLS),60) --form $(or $(FORM),both)
	@$(BIN)/python -m tests.harness.faults

tamper: $(VENV)/dev.stamp ## Change database and files behind the service's back: all must be named (MUTATIONS=1000)
	@$(BIN)/python -m tests.harness.tamper --mutations $(or $(MUTATIONS),1000)

s3: # A real S3 server for the tests that push into buckets; without Go or network they are skipped and say so
	@test -x .tools/versitygw || ! command -v go >/dev/null || { echo "Building an S3 server ..."; \
		GOBIN=$(CURDIR)/.tools go install github.com/versity/versitygw/cmd/versitygw@v1.0.14 >/dev/null 2>&1 || echo "The S3 server could not be built here."; }

opa: # The version that docker-compose.yml runs; without Go or network the tests that need it are skipped and say so
	@command -v go >/dev/null || echo "Go is not installed: the policies are not checked by OPA itself."
	@test -x .tools/opa || ! command -v go >/dev/null || { echo "Building OPA ..."; \
		GOBIN=$(CURDIR)/.tools go install github.com/open-policy-agent/opa@v$$(sed -n 's|.*openpolicyagent/opa:||p' docker-compose.yml) >/dev/null 2>&1 || echo "OPA could not be built here."; }

regal: # The linter of policies (REGAL_SOURCE=folder of its sources, where its Go module cannot be had); else its test is skipped and says so
	@test -x .tools/regal || ! command -v go >/dev/null || { echo "Building Regal ..."; mkdir -p .tools; \
		$(if $(REGAL_SOURCE),cd "$(REGAL_SOURCE)" && go build -o "$(CURDIR)/.tools/regal" .,GOBIN=$(CURDIR)/.tools go install github.com/open-policy-agent/regal@v0.42.0) >/dev/null 2>&1 \
		|| echo "Regal could not be built here: the policies are not linted by it."; }

outside: $(VENV)/dev.stamp ## A verifier that is not ours reads a log of ours (needs Go and its modules)
	@$(BIN)/python -m pytest tests/outside -n 0 -rs

check: $(VENV)/dev.stamp opa regal ## Lint, types, import contracts, policy tests, generated documents
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m marketplace policy lint
	@$(BIN)/python -m pytest tests/policies -n 0 -rs
	@$(BIN)/python -m tests.generated --check

conformance: $(VENV)/dev.stamp ## The Eclipse Dataspace TCK against the service (needs Java 17 and Maven; ONLY=expression, KIT_CLASSPATH=classes where Maven has none)
	@$(if $(KIT_CLASSPATH),KIT_CLASSPATH='$(KIT_CLASSPATH)' )$(BIN)/python -m tests.conformance $(if $(ONLY),'$(ONLY)')

peer: $(VENV)/dev.stamp ## A real Eclipse EDC buys from us and sells to us (needs Java 17 and Maven; EDC=0.18.0)
	@$(BIN)/python -m tests.peer $(EDC)

bench: $(VENV)/dev.stamp ## Measure against floors and goals (NAME=all, QUICK=1 for a tenth, JSON=1)
	@$(BIN)/python -m marketplace bench $(or $(NAME),all) $(if $(QUICK),--quick) $(if $(JSON),--json)

generate: $(VENV)/dev.stamp ## Write the generated documents (OpenAPI, diagrams, role matrix)
	@$(BIN)/python -m tests.generated --write

lock: ## Resolve the dependencies again (needs uv)
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header pyproject.toml -o requirements/run.txt
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --extra dev -c requirements/run.txt pyproject.toml -o requirements/dev.txt

clean: ## Remove the environment and all local data
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
