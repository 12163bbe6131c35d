# Shortcuts for the commands of this project. `make help` lists them.
PYTHON ?= python3
PHOTOS ?= samples/photos
PORT ?= 4566
STAGE ?= $(or $(DISTILL_STAGE),dev)
CHROMIUM ?= $(shell command -v chromium || command -v google-chrome)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Without cached bytecode each of the many Python processes compiles its packages again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo local test test-browser verify-aws check types lint templates asl docs synth lock destroy clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready node_modules/.ready ## Install the dependencies into .venv and node_modules

.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[checks]'
	@touch $@

node_modules/.ready: package.json package-lock.json .venv/.ready
	npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

demo: export DEMO_PHOTOS := $(PHOTOS)
demo: export DEMO_OUT := $(OUT)
demo: export DEMO_REQUEST := $(REQUEST)
demo: setup ## Run a distillation on this machine (FORMAT=class|fields|caption, PHOTOS=dir, TRAIN_SIZES=12,30, REQUEST=file, OUT=dir, FAULTS=0.2, RPM=60)
	@$(BIN)/python -m local demo --photos="$$DEMO_PHOTOS" --out="$$DEMO_OUT" --request="$$DEMO_REQUEST" \
	  --format="$(FORMAT)" --train-sizes="$(TRAIN_SIZES)" --faults="$(FAULTS)" --rpm="$(RPM)"

local: setup ## Run the AWS emulator and the local Bedrock endpoint until Ctrl-C (PORT=4566)
	@$(BIN)/python -m local serve --port="$(PORT)"

test: setup check ## Run all checks and all tests
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadgroup

test-browser: setup ## Test the report in a headless Chromium (CHROMIUM=path)
	@test -n "$(CHROMIUM)" || { echo "Chromium not found. Pass its path: make test-browser CHROMIUM=path" >&2; exit 2; }
	CHROMIUM="$(CHROMIUM)" $(BIN)/python -m pytest -q tests/browser

verify-aws: setup ## Check assumptions about AWS: free checks, then a small paid run; asks first (STAGE=dev)
	@$(BIN)/python -m tests.aws.verify --stage "$(STAGE)"

check: setup asl ## Run the linters, type checker, import contracts, state machine validator and synth
	@$(MAKE) --no-print-directory --jobs 2 types lint templates

types: setup
	$(BIN)/pyright

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	npx --no-install asl-validator --json-path build/distillation.asl.json

templates: setup
	npx --no-install cdk synth --quiet --output build/cdk.dev
	$(BIN)/cfn-lint build/cdk.dev/*.template.json

asl: setup ## Render the state machine's YAML to build/distillation.asl.json
	@mkdir -p build
	$(BIN)/python -m infra.state_machine_definition > build/distillation.asl.json

docs: .venv/.ready ## Generate the tables of docs/data-formats.md, docs/local-vs-aws.md and docs/operations.md
	$(BIN)/python -m docs.generate

synth: setup ## Synthesise the stacks with their layers into cdk.out
	npx --no-install cdk synth --quiet

lock: setup ## Compile the layers' requirements for Lambda's platform
	@mkdir -p build
	grep -oE '"[A-Za-z0-9_.-]+==[^"]+"' pyproject.toml | tr -d '"' > build/pins.txt
	for layer in common evaluate; do uv pip compile --quiet infra/layers/$$layer.in \
	  -c build/pins.txt --python-version 3.14 \
	  --python-platform aarch64-manylinux_2_28 --only-binary :all: --no-header --no-annotate \
	  -o infra/layers/$$layer.txt; done

destroy: setup ## Delete a stage on AWS, tuned models first; asks before deleting the buckets (STAGE=dev)
	@$(BIN)/distill destroy --stage "$(STAGE)"

clean: ## Remove build, cdk.out and node_modules
	rm -rf build cdk.out node_modules
