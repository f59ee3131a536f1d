# Everything goes through .venv, which `make setup` makes from pinned requirements.
PYTHON ?= python3
BIN := .venv/bin
FAST := tests/unit tests/golden tests/contract
# Of the faults those that take no longer than minutes; make faults has all of them, with more seeds.
FAULTS := tests/faults/test_crashes.py tests/faults/test_cluster.py tests/faults/test_hands.py
# Of the live monitoring check those that make no fault; make monitoring-check has all.
LIVE := tests/monitoring/test_live.py
MONITORING := tests/monitoring $(addprefix --deselect $(LIVE)::,test_an_alert_is_silent_where_nothing_is_wrong \
	test_alerts_of_requests_fire_for_the_apps_that_fail test_alerts_of_conditions_fire_for_the_pipelines_that_have_them \
	test_what_a_difference_of_variants_says test_tokens_add_up test_replicas_that_die_and_replicas_that_are_missing \
	test_the_operator_is_missed)
# What looks at KubeRay's CRDs: their versions, schemas and rules. The other tests only need them to be there.
STAND_IN := tests/unit/test_kuberay_crds.py tests/unit/test_pods.py tests/contract/test_fuzz.py \
	$(addprefix tests/control_plane/test_,crd.py doctor.py operator.py preflight.py samples.py without_kuberay.py)
ALL := tests/apps $(MONITORING) $(FAST) tests/chart tests/control_plane $(FAULTS) tests/e2e
# Two test processes, because most tests wait for something: the one begins with those on Ray, the other with the fast
# ones. Tests of one file stay together (tests/conftest.py), and files come in the order that is named.
PYTEST := $(BIN)/python -m pytest
TWO := -n 2 --no-loadscope-reorder
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' operator/pyproject.toml)
RAY := 2.60.0
# Generators and benchmarks share tests/support with the tests.
HACK := PYTHONPATH=tests $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: images image-operator image-base image-cpu image-gpu sbom release scan kind-up kind-down e2e docs
.PHONY: help setup quickstart test test-failed test-fast test-stand-in lint format verify generate golden freeze-release lock bench bench-apps faults truth prove-changes monitoring-check dashboards control-plane control-plane-binaries clean

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
	@# Ray starts dozens of processes. Without bytecode, as where PYTHONDONTWRITEBYTECODE is set, each of them compiles
	@# its modules for 6 s. Packages have templates that are no Python, so that some files fail is fine.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
	@touch $@

quickstart: setup ## Serve the sample on this machine, with tiny random models.
	$(BIN)/llmpipeline serve -f manifests/samples/quickstart.yaml --tiny-models

test: setup lint verify docs ## Lint, and run every test; those on a cluster where E2E_KUBECONFIG names one.
	FAULT_SEEDS=$${FAULT_SEEDS:-1} $(PYTEST) $(TWO) $(ALL)

test-failed: setup ## Run the tests that failed last, one after another; any that fails again, or none to run, is a failure.
	FAULT_SEEDS=$${FAULT_SEEDS:-1} $(PYTEST) --last-failed --last-failed-no-failures=none --maxfail=3 $(ALL)

test-stand-in: setup ## Test what looks at KubeRay's CRDs with our stand-in for them: as where they cannot be fetched.
	KUBERAY_CRDS=tests/support/kuberay/stand_in $(PYTEST) -q $(TWO) $(STAND_IN)

e2e: setup ## Test the chart, and with KubeRay whole pipelines, on the cluster of KUBECONFIG.
	E2E_KUBECONFIG="$${E2E_KUBECONFIG:-$${KUBECONFIG:-$$HOME/.kube/config}}" $(PYTEST) tests/e2e

test-fast: setup ## The tests that take seconds.
	$(PYTEST) -q $(TWO) $(FAST)

lint: setup ## Formatting, lint, types, import contracts and the language of what users read.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy operator/llmpipeline serve_apps/llmpipeline_serve hack tests/support
	$(BIN)/lint-imports
	$(HACK) hack/lint_language.py

format: setup ## Format, and fix what can be fixed.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: setup ## Write what is generated from the models.
	$(HACK) hack/generate.py

verify: setup ## Fail where generated files are stale or the layout breaks a rule.
	$(HACK) hack/generate.py --check
	@test ! -e operator/__init__.py || { echo 'operator/__init__.py would shadow the standard library' >&2; exit 1; }

golden: setup ## Write the golden manifests again. A change under rayClusterConfig rebuilds every user's cluster.
	$(PYTEST) -q tests/golden --update-golden

freeze-release: setup ## Keep what a release renders, to compare later versions with: VERSION=0.1.0.
	$(HACK) hack/freeze_release.py $(VERSION)

lock: setup ## Resolve the pinned requirements again.
	hack/lock.sh

faults: setup ## Every fault between the operator and the API server, with 20 seeds each (half an hour).
	FAULT_SEEDS=$${FAULT_SEEDS:-20} $(PYTEST) -q tests/faults

monitoring-check: setup ## Test dashboards and alerts: promtool, and a live pipeline that a real Prometheus scrapes (6 minutes).
	$(PYTEST) -q tests/monitoring

dashboards: setup ## Draw the dashboards for the docs from the Prometheus at URL.
	$(HACK) hack/draw_dashboards.py $(URL)

truth: setup ## Make each fault of the corpus on the cluster of KUBECONFIG, and see whether its cause is named.
	$(HACK) hack/truth.py $(ARGS)

prove-changes: setup ## Make every change of the effect table under load on the cluster of KUBECONFIG (hours; ARGS=--help).
	PYTHONPATH=tests:hack $(BIN)/python -m prove_changes $(ARGS)

bench: setup ## Measure the operator on a real API server.
	$(HACK) hack/bench/burst.py
	$(HACK) hack/bench/latency.py
	$(HACK) hack/bench/churn.py

bench-apps: setup ## Measure the apps on this machine's Ray, each against a peer (15 minutes).
	$(HACK) hack/bench/apps.py
	$(HACK) hack/bench/traffic_split.py
	$(HACK) hack/bench/openai.py

images: image-operator image-base image-cpu ## Build the images of the operator and of the Ray Pods without GPUs, by docker build $(DOCKER_FLAGS).

image-operator:
	docker build $(DOCKER_FLAGS) --build-arg VERSION=$(VERSION) -f operator/Dockerfile -t llmpipeline/operator:$(VERSION) .

image-gpu: ## Build the image of the Ray Pods with GPUs (10 GB; 7 minutes).

image-base image-cpu image-gpu: image-%:
	docker build $(DOCKER_FLAGS) --build-arg VERSION=$(RAY)-$* -f serve_apps/Dockerfile --target $* \
		-t llmpipeline/serve:$(RAY)-$* .

sbom: ## Write what the images hold (SPDX) into dist/sbom; builds syft, once.
	hack/sbom.sh

release: setup ## Build wheels, chart, plugin, checksums and release notes of the last commit into dist (ARGS=--images: and images).
	$(HACK) hack/release.py $(ARGS)

scan: setup ## Have the chart judged by what is here of checkov, trivy, kube-linter, polaris and kube-score.
	$(HACK) hack/scan.py

kind-up: ## A kind cluster on this machine with KubeRay, the operator and the images.
	hack/kind.sh up

kind-down: ## Delete it.
	hack/kind.sh down

docs: setup ## Build the documentation into site/, and fail on a broken link.
	$(BIN)/zensical build --strict

control-plane: setup ## Start an etcd and a kube-apiserver to play with.
	$(HACK) -m support.control_plane.server run

control-plane-binaries: setup ## Build etcd and kube-apiserver, once, if they are missing.
	$(HACK) -m support.control_plane.server build

clean: ## Remove what was installed.
	rm -rf .venv
