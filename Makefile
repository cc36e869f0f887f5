# Every verb of the project. Nothing has to be installed beforehand but make, Python 3.11 or later,
# and root (or a Docker engine) where a cluster or an image is wanted.

PYTHON ?= python3
FLAVOR ?= onnx
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv/bin
RUN := $(VENV)/python
# Progress is shown while it is made, also where the output goes into a file.
export PYTHONUNBUFFERED := 1
export FLAVOR

.PHONY: help demo demo-down test test-unit test-long test-torch test-e2e check fix generate record-contracts images cluster-up cluster-down \
        kubeconfig prepare bench-overhead bench-runtime bench-analysis bench-rollout bench-router \
        clean

help: ## This list
	@echo "modelfleet: serve machine-learning models on Kubernetes"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  FLAVOR=torch  with images, demo and test-e2e: the runtime with torch (a 5 GB image)"
	@echo "  CLUSTER=existing KUBECONFIG=... REGISTRY=...  use a cluster that is there already"

demo: .venv/.synced ## A real Kubernetes, the operator, a trained model, and a curl line to try
	@$(RUN) -m dev.demo up

demo-down: .venv/.synced ## Take the demo away again
	@$(RUN) -m dev.demo down

test: .venv/.synced ## Every test: test-unit, then test-e2e on a real cluster
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-e2e

test-unit: .venv/.synced ## The tests that need no cluster (five minutes)
	@$(RUN) -m pytest tests/unit -m "not torch" $(PYTEST)

test-long: .venv/.synced ## The laws and the stories at length (ten minutes; LAW_STEPS=, STORY_SEEDS=)
	@LAW_STEPS=$(or $(LAW_STEPS),100000) STORY_SEEDS=$(or $(STORY_SEEDS),5) $(RUN) -m pytest \
	  tests/unit/operator/rollout/test_laws.py tests/unit/operator/test_stories.py \
	  tests/unit/operator/routed/test_stories.py $(PYTEST)

test-torch: .venv/.synced ## The unit tests that need torch, in an environment of their own (5 GB)
	@UV_PROJECT_ENVIRONMENT=.venv-torch $(PYTHON) dev/bootstrap.py runtime-torch
	@.venv-torch/bin/python -m pytest tests/unit -m "torch" $(PYTEST)

test-e2e: .venv/.synced ## The tests on a real cluster, which they start and end themselves
	@$(if $(filter torch,$(FLAVOR)),$(PYTHON) dev/bootstrap.py runtime-torch,true)
	@$(RUN) -m dev.prepare --flavor $(FLAVOR) --gateway
	@$(RUN) -m pytest tests/e2e $(if $(filter torch,$(FLAVOR)),-m torch,-m "not torch") $(PYTEST)

check: .venv/.synced ## Format, lint, strict types, import layers, generated files up to date
	@$(VENV)/ruff format --check --quiet . || { echo "run: make fix"; exit 1; }
	@$(VENV)/ruff check --quiet .
	@$(VENV)/mypy
	@$(VENV)/lint-imports > /dev/null || { $(VENV)/lint-imports; exit 1; }
	@$(RUN) -m modelfleet_operator.api.crd --check
	@$(RUN) -m dev.messages --check
	@echo "check: format, lint, types, layers and generated files are in order"

fix: .venv/.synced ## Format the code, and mend what the linter can mend
	@$(VENV)/ruff check --fix --quiet . ; $(VENV)/ruff format --quiet .

generate: .venv/.synced ## Write the CRD, the reference pages and gRPC's messages again
	@$(RUN) -m modelfleet_operator.api.crd
	@$(RUN) -m dev.messages

record-contracts: .venv/.synced ## Ask other servers what their packages answer, for the tests to compare with (needs the registry)
	@$(RUN) -m tests.unit.runtime.contracts.record

images: .venv/.synced ## Build the operator's, the router's and the runtime's image (FLAVOR=onnx or torch)
	@$(RUN) -m dev.images build --flavor $(FLAVOR)

prepare: .venv/.synced ## Build and cache all that a cluster needs, without starting one
	@$(RUN) -m dev.prepare --flavor $(FLAVOR)

bench-overhead: .venv/.synced ## What the runtime costs on top of its HTTP server (a minute; needs wrk)
	@$(RUN) benchmarks/overhead.py

bench-runtime: .venv/.synced ## The runtime against its peers (35 minutes; PEERS=, MODELS=, DEVICE=; needs cc, Java)
	@$(RUN) -m benchmarks.runtime

bench-analysis: .venv/.synced ## How often the rollout gate is wrong, and how soon it is right (5 minutes; SCALE=)
	@$(RUN) -m benchmarks.analysis

bench-router: .venv/.synced ## What 50 ModelDeployments cost a pair of routers, and how soon it follows (15 minutes; N=, KEEP=1)
	@$(RUN) -m benchmarks.router $(if $(N),--deployments $(N)) $(if $(KEEP),--keep)

bench-rollout: .venv/.synced ## What callers lose through rollouts and faults on a real cluster (40 minutes; CAUSES=, RATE=, LEAST=, KEEP=1)
	@$(RUN) -m benchmarks.rollout $(if $(CAUSES),--causes "$(CAUSES)") $(if $(RATE),--rate $(RATE)) $(if $(LEAST),--least $(LEAST)) $(if $(KEEP),--keep)

cluster-up: .venv/.synced ## A real Kubernetes to develop on, named dev (NAME=... for another)
	@$(RUN) -m dev.cluster up --name $(or $(NAME),dev)

cluster-down: .venv/.synced ## Take it away again
	@$(RUN) -m dev.cluster down --name $(or $(NAME),dev)

kubeconfig: ## Print the path of the cluster's kubeconfig, and nothing else (make -s kubeconfig)
	@$(PYTHON) -m dev.cluster kubeconfig --name $(or $(NAME),dev)

clean: ## Remove what the checks and tests left in this folder (the cache stays)
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .artifacts dist

.venv/.synced: pyproject.toml uv.lock dev/bootstrap.py
	@$(PYTHON) dev/bootstrap.py
