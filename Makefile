# Every target makes .venv where there is none; nothing else has to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := core api operator runner local client
SCRIPTS := $(shell grep -lsE '^\#!.*sh$$|^\# shellcheck shell' .ci/* cluster/*)
CLUSTER ?= .cluster/kubeconfig
ARGS ?=

.PHONY: install demo up test browser pictures matrix e2e cluster-chart cluster-faults cluster-security policies check generate lock images install-chart \
	base-image bench bench-cluster verdicts clean

install: $(READY)

# uv is fetched by pip when the machine lacks it. Bytecode is compiled here because dspy's import costs three times as
# much without it, at every start of every job.
$(READY): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	command -v uv >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV=$$(command -v uv || echo $(BIN)/uv); \
	$$UV pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt && \
	$$UV pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -m compileall -q $(SOURCES)
	touch $@

demo: $(READY)
	$(BIN)/dspy-service demo $(ARGS)

up: $(READY)
	$(BIN)/dspy-service up $(ARGS)

# Whole services mostly wait (for a process to be missed, a lease to end): more of them at once than processors. So do
# two operators, and they go first, beside others.
test: $(READY)
	$(BIN)/python -m pytest -n 3 tests/conformance tests/unit $(ARGS)
	$(BIN)/python -m pytest -n 4 --dist worksteal tests/e2e tests/e2e_local tests/faults $(ARGS)

# The web page in a real Chromium (Debian's `chromium`); without one, its tests are skipped and say so.
browser: $(READY)
	$(BIN)/python -m pytest tests/browser $(ARGS)

# The pictures of docs/ and the README, from a real run in the same Chromium.
pictures: $(READY)
	PYTHONPATH=tests/support $(BIN)/python docs/pictures/take.py

# Every optimizer in every situation, and the table of them; `make test` runs a sample.
matrix: $(READY)
	$(BIN)/python -m pytest -n 2 tests/unit/runner/optimizer/matrix --matrix $(ARGS)

# The same end-to-end tests on a real cluster where the chart is installed.
e2e: $(READY)
	$(BIN)/python -m pytest tests/e2e --kubeconfig $(CLUSTER) $(ARGS)

# What only real pods can show. The faults stop kubelets and API servers: not for a cluster that others use.
cluster-faults: $(READY)
	$(BIN)/python -m pytest tests/cluster/faults --kubeconfig $(CLUSTER) $(ARGS)

cluster-chart: $(READY)
	$(BIN)/python -m pytest tests/cluster/chart --kubeconfig $(CLUSTER) $(ARGS)

cluster-security: $(READY)
	$(BIN)/python -m pytest tests/cluster/security --kubeconfig $(CLUSTER) $(ARGS)

# The chart's accounts and admission policies, on an API server without nodes (`make control-plane-down` ends it).
policies: $(READY)
	$(BIN)/python -m pytest tests/policies --kubeconfig $$(cluster/control-plane up) $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/shellcheck $(SCRIPTS)
	$(BIN)/python -m dspy_service_core.crd.generate --check
	$(BIN)/python -m dspy_service_runner.introspect.introspect --check
	$(BIN)/python -m dspy_service_runner.introspect.packages --lock requirements/runner.txt --check
	$(BIN)/python -m dspy_service_local.reference --check

# What is generated and committed: the CRD from the models, the catalogue from the pinned dspy.
generate: $(READY)
	$(BIN)/python -m dspy_service_core.crd.generate --write
	$(BIN)/python -m dspy_service_runner.introspect.introspect --write
	$(BIN)/python -m dspy_service_runner.introspect.packages --lock requirements/runner.txt --write
	$(BIN)/python -m dspy_service_local.reference --write

# Without a host's name in it: hashes alone say what is installed. The images' locks are parts of the tests' own.
COMPILE = $$(command -v uv || echo $(BIN)/uv) pip compile --universal --generate-hashes --no-annotate --no-header --quiet
PART = $(COMPILE) pyproject.toml --constraint requirements/dev.txt
lock: $(READY)
	$(COMPILE) pyproject.toml --extra dev --output-file requirements/dev.txt
	$(PART) --extra api --extra operator --output-file requirements/api.txt
	$(PART) --extra runner --output-file requirements/runner.txt
	$(PART) --extra runner --excludes requirements/runner-slim.excludes --output-file requirements/runner-slim.txt
	$(COMPILE) --group images --output-file requirements/images.txt

# The container images, on PYTHON_IMAGE (python:3.12-slim where that can be pulled, otherwise Debian's own Python), and
# what they weigh. CA: a bundle to trust while packages are fetched.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
CA ?= $(SSL_CERT_FILE)
BUILD = docker build --quiet --network host $(CA:%=--secret id=ca,src=%) --build-arg PYTHON_IMAGE=$$base \
	--build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown)
PACKAGES = dspy-service-runner:$(VERSION)-packages
images: $(READY)
	set -e; environment=$$(cluster/docker env); eval "$$environment"; base=$$(cluster/base-image); set -x; \
	$(BUILD) --file Dockerfile.api --tag dspy-service-api:$(VERSION) .; \
	$(BUILD) --file Dockerfile.runner --tag dspy-service-runner:$(VERSION) .; \
	$(BUILD) --file Dockerfile.runner --build-arg VARIANT=-slim --tag dspy-service-runner:$(VERSION)-slim .; \
	$(BUILD) --build-arg RUNNER=dspy-service-runner:$(VERSION) --tag $(PACKAGES) examples/packages; \
	PYTHONPATH=tests/support $(BIN)/python bench/run.py images

# A real Kubernetes and what it needs: cluster/README.md. Prints the image that ours are built on.
base-image:
	@cluster/base-image

.PHONY: control-plane control-plane-down conformance

# etcd, API server and controllers as processes: ready in under 10 s. KUBERNETES_VERSION=v1.30.14 for another version.
control-plane:
	@cluster/control-plane up

control-plane-down:
	@cluster/control-plane down

# The chart in the cluster of `make cluster`; STORE=s3 for its S3 server, ARGS for helm.
install-chart: $(READY)
	cluster/install-chart $(ARGS)

# The conformance suite on the embedded API server and on real ones, the oldest supported version among them.
conformance: $(READY)
	cluster/conformance $(ARGS)

.PHONY: node-image cluster cluster-down load-images

# kind on this machine, with volumes on demand and an S3 server; prints its kubeconfig. NODES=2 for two nodes.
node-image:
	@cluster/node-image

cluster:
	@cluster/kind up

cluster-down:
	@cluster/kind down

# What `make images` built, into every node.
load-images:
	@cluster/kind load dspy-service-api:$(VERSION) dspy-service-runner:$(VERSION) $(PACKAGES)

# What a job costs the API server of `make control-plane`, and jobs in the cluster of `make cluster`, where the chart is
# installed (NAMESPACE_UNDER_TEST), beside bare Jobs of the same pod; BENCH_JOBS=20 where a hundred take too long.
bench-cluster: $(READY)
	KUBECONFIG_UNDER_TEST=$(CLUSTER) PYTHONPATH=tests/support $(BIN)/python bench/run.py $(or $(ARGS),requests pods)

# How often the verdicts' intervals are true, by shape of the scores and number of rows: five minutes.
verdicts: $(READY)
	PYTHONPATH=tests/support $(BIN)/python bench/verdicts.py $(ARGS)

bench: $(READY)
	PYTHONPATH=tests/support $(BIN)/python bench/run.py $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
