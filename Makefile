# SPDX-License-Identifier: MIT
# Every word does its own set-up; a second call does none of it again.
SHELL := /bin/bash
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -q -p no:cacheprovider
NODES ?= 3
BENCHES ?= cli_start adaptive_rate soak_client soak_sampler soak_percentiles soak_gates schedule deploy overhead artifacts recorder classify maintain nights
KILLS ?= 1000
KILLS_OF_A_TEST := 30
POINTS ?= 0
POINTS_OF_A_TEST := 80
STARTS ?= 10000
FAULTS ?= 1000
SOAK_SECONDS ?= 3660
LEAK_SECONDS ?= 1200

.PHONY: help run test setup images engine lab lab-down lint types units integration e2e bench crash-sweep short-crash-sweep syscall-sweep short-syscall-sweep robustness fault-sweep long-soak fault-tries strace rsync postgres iproute2 lock clean


help: ## show these words
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: ## set everything up and run the baseline on this machine
	@setup/baseline

test: setup images lint types units integration e2e short-crash-sweep short-syscall-sweep ## set everything up and pass all tests

setup: engine ## the Python environment and a Docker engine with Compose
	@setup/venv

engine:
	@setup/docker

images: ## the engines under test and the lab's node
	@setup/lab

lab: setup images ## three test nodes on this machine, each with its own sshd and Docker engine
	@$(BIN)/testcell lab up --nodes $(NODES)

lab-down: ## remove the test nodes
	@[ ! -x $(BIN)/testcell ] || $(BIN)/testcell lab down

lint: setup ## style of Python, Ansible, YAML and shell
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/yamllint -s .
	@$(BIN)/shellcheck -x setup/baseline setup/docker setup/images setup/lab setup/lib.sh setup/postgres setup/tool setup/venv .ci/run images/base/install-packages images/node/entry images/node/ready scenarios/*/run_test.sh docs/guide/units/nightly
	@$(BIN)/ansible-lint --offline --strict

types: setup ## types of Python
	@$(BIN)/mypy

units: setup ## tests that need no engine
	@$(PYTEST) -n auto tests/unit

integration: setup images strace postgres iproute2 ## tests against the Docker engine of this machine
	@$(PYTEST) tests/integration

e2e: setup images iproute2 ## runs on real nodes: sshd, dockerd, containers
	@$(PYTEST) tests/e2e

bench: setup images rsync ## figures beside their peers, one JSON line each
	@failed=0; for one in $(BENCHES); do $(BIN)/python bench/$$one.py || failed=1; done; exit $$failed

crash-sweep: setup images ## kill the controller in each step and at random moments, KILLS times, and let the run go on
	@$(BIN)/python bench/crash_sweep.py $(KILLS)

short-crash-sweep: setup images
	@$(BIN)/python bench/crash_sweep.py $(KILLS_OF_A_TEST)

strace rsync:
	@setup/tool $@

iproute2:
	@setup/tool ip iproute2

postgres:
	@setup/postgres

syscall-sweep: setup images strace ## a fault in each call that changes a run's folder, or in POINTS of them
	@$(BIN)/python bench/syscall_sweep.py $(POINTS)
	@$(BIN)/python bench/syscall_runs.py

short-syscall-sweep: setup strace
	@$(BIN)/python bench/syscall_sweep.py $(POINTS_OF_A_TEST)

robustness: setup images ## STARTS simultaneous starts, recovery from kill -9, what lease, snapshot and proof cost, damaged transfers and archives
	@failed=0; $(BIN)/python bench/starts.py $(STARTS) || failed=1; for one in recovery lease_cost damage archive_fuzz proof_cost; do $(BIN)/python bench/$$one.py || failed=1; done; exit $$failed

fault-sweep: setup images iproute2 ## FAULTS faults of all kinds on this machine, and whoever ought to undo them killed
	@$(BIN)/python bench/soak_faults.py $(FAULTS)

long-soak: setup images iproute2 ## a soak of LEAK_SECONDS with leaks, and one of SOAK_SECONDS on test nodes with a fault a minute
	@failed=0; $(BIN)/python bench/soak_leak.py --seconds $(LEAK_SECONDS) || failed=1; $(BIN)/python bench/soak_hour.py --seconds $(SOAK_SECONDS) || failed=1; exit $$failed

fault-tries: setup images strace iproute2 ## try each fault as often as the fault catalogue says
	@$(PYTEST) --all-tries -m tries

lock: setup ## pin every dependency with its digest
	@$(BIN)/pip-compile -q --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock pyproject.toml
	@$(BIN)/pip-compile -q --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra dev --output-file requirements-dev.lock pyproject.toml

clean: lab-down ## remove what the words above have made here
	@rm -rf .venv .cache .lab
