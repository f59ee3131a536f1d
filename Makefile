# Everything goes through .venv, which `make setup` makes from pinned requirements.
PYTHON ?= python3
BIN := .venv/bin
FAST := tests/unit tests/golden tests/contract
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' operator/pyproject.toml)
RAY := 2.60.0

.DEFAULT_GOAL := help
.PHONY: images image-operator image-base image-cpu image-gpu sbom scan kind-up kind-down e2e docs
.PHONY: help setup quickstart test test-fast lint format verify generate golden lock bench bench-apps control-plane clean

help: ## Say what there is to make.
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.installed ## Install everything into .venv, from pinned versions.

.venv/.installed: requirements/uv.txt requirements/dev.txt operator/pyproject.toml serve_apps/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || \
		{ echo 'llmpipeline needs Python 3.11 or 3.12: make PYTHON=python3.12' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e operator -e serve_apps
	@touch $@

quickstart: setup ## Serve the sample on this machine, with tiny random models.
	$(BIN)/llmpipeline serve -f manifests/samples/quickstart.yaml --tiny-models

test: setup lint verify docs ## Lint, and run every test; those on a cluster where E2E_KUBECONFIG names one.
	$(BIN)/python -m pytest $(FAST) tests/chart tests/control_plane tests/e2e tests/apps

e2e: setup ## Test the chart, and with KubeRay whole pipelines, on the cluster of KUBECONFIG.
	E2E_KUBECONFIG="$${E2E_KUBECONFIG:-$${KUBECONFIG:-$$HOME/.kube/config}}" $(BIN)/python -m pytest tests/e2e

test-fast: setup ## The tests that take seconds.
	$(BIN)/python -m pytest -q $(FAST)

lint: setup ## Formatting, lint, types and import contracts.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy operator/llmpipeline serve_apps/llmpipeline_serve hack
	$(BIN)/lint-imports

format: setup ## Format and mend what can be mended.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: setup ## Write what is generated from the models.
	$(BIN)/python hack/generate.py

verify: setup ## Fail where generated files are stale or the layout breaks a rule.
	$(BIN)/python hack/generate.py --check
	@test ! -e operator/__init__.py || { echo 'operator/__init__.py would shadow the standard library' >&2; exit 1; }

golden: setup ## Write the golden manifests anew. A change under rayClusterConfig rebuilds every user's cluster.
	$(BIN)/python -m pytest -q tests/golden --update-golden

lock: setup ## Resolve the pinned requirements anew.
	hack/lock.sh

bench: setup ## Measure the operator on a real API server.
	$(BIN)/python hack/bench/burst.py

bench-apps: setup ## Measure the apps on this machine's Ray, each against a peer (15 minutes).
	$(BIN)/python hack/bench/apps.py
	$(BIN)/python hack/bench/traffic_split.py
	$(BIN)/python hack/bench/openai.py

images: image-operator image-base image-cpu ## Build the images of the operator and of the Ray Pods without GPUs, by docker build $(DOCKER_FLAGS).

image-operator:
	docker build $(DOCKER_FLAGS) --build-arg VERSION=$(VERSION) -f operator/Dockerfile -t llmpipeline/operator:$(VERSION) .

image-gpu: ## Build the image of the Ray Pods with GPUs (10 GB; 7 minutes).

image-base image-cpu image-gpu: image-%:
	docker build $(DOCKER_FLAGS) --build-arg VERSION=$(RAY)-$* -f serve_apps/Dockerfile --target $* \
		-t llmpipeline/serve:$(RAY)-$* .

sbom: ## Write what the images hold (SPDX) into dist/sbom; builds syft, once.
	hack/sbom.sh

scan: setup ## Have the chart judged by what is here of checkov, trivy, kube-linter, polaris and kube-score.
	$(BIN)/python hack/scan.py

kind-up: ## A kind cluster on this machine with KubeRay, the operator and the images.
	hack/kind.sh up

kind-down: ## Delete it.
	hack/kind.sh down

docs: setup ## Build the documentation into site/, and fail on a broken link.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

control-plane: setup ## Start an etcd and a kube-apiserver to play with.
	$(BIN)/python hack/control_plane.py run

clean: ## Remove what was installed.
	rm -rf .venv
