# SPDX-License-Identifier: MIT
"""Parts that tests of several rooms use: a plan of one case, and a cell whose node is played by a table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.plan import (
    CasePlan,
    RunPlan,
    ServicePlan,
    TestPlan,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import Cell, case_board, run_board


def service(name, node="n1", needs=(), **fields):
    base = {
        "role": "",
        "compose_file": "docker-compose.yml",
        "critical": True,
        "image": "x:1",
        "ports": (),
        "check": {},
    }
    return ServicePlan(name=name, node=node, depends_on=tuple(needs), **{**base, **fields})


def case(index=0, services=(), **fields):
    test = TestPlan(
        node="n1",
        script="run_test.sh",
        args=(),
        environment={},
        timeout_s=60,
        grace_s=5,
        result_paths=("results/",),
        config_file="test_config.json",
        client="testcell",
        service="",
        port=0,
        path="/v1/completions",
    )
    base = {
        "ref": CaseRef("s", "", 1),
        "description": "",
        "directory": "/nowhere",
        "labels": {},
        "nodes": tuple(dict.fromkeys([entry.node for entry in services] or ["n1"])),
        "compose_files": ("docker-compose.yml",),
        "test": test,
        "collection_mode": "standard",
        "strategy": "standard",
        "expected_roles": {},
        "canary_timeout_s": 5,
        "canary_retries": 0,
        "deployment_timeout_s": 60,
        "startup_timeout_s": 60,
        "health_check_timeout_s": 60,
        "limits": {"services": 0, "services_per_node": 0, "health_checks": 0},
        "retry": {"retries": 0, "delay_s": 0, "only_failed": True},
        "on_service_death": "end_test",
        "recovery": {"restart_services": 0},
        "min_gpu_memory_bytes": 0,
        "wait_before_s": 0.0,
        "validity": {},
        "config": {},
    }
    return CasePlan(index=index, services=tuple(services), **{**base, **fields})


def plan(results_dir, *cases, **fields):
    base = {
        "run_id": "20260101_000000",
        "results_dir": str(results_dir),
        "started_at": 0.0,
        "owner": "me",
        "continue_on_failure": True,
        "addresses": {"n1": "10.0.0.1", "n2": "10.0.0.2", "local": "127.0.0.1"},
        "lease_ttl_s": 60,
        "min_free_bytes": 0,
        "environment": {},
        "origin": {},
    }
    return RunPlan(cases=tuple(cases), **{**base, **fields})


class FakeNode:
    """A node that answers each op from a table of functions and remembers what it was asked."""

    python = "/usr/bin/python3"
    line = None

    def __init__(self, **answers):
        self.answers = answers
        self.calls = []
        self.run = None
        self.left = False

    def leave(self):
        self.left = True

    def hearing(self, _on_event):
        return self

    def many(self, *asked):
        return [self.call(op, **args) for op, args in asked]

    def call(self, op, **args):
        self.calls.append((op, args))
        answer = self.answers[op]
        return answer(**args) if callable(answer) else answer


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def make_cell(tmp_path):
    """Return a function that builds a cell: make_cell(case, node, client)."""

    def make(of_case, node="n1", client=None, *, step="test", run=None):
        run = run or plan(tmp_path / "results", of_case)
        run.run_dir.mkdir(parents=True, exist_ok=True)
        clock, said = Clock(), []
        cell = Cell(
            step,
            run,
            of_case,
            node,
            client or FakeNode(),
            case_board(run.boards, of_case.index),
            run_board(run.boards),
            clock,
            clock.sleep,
            said.append,
        )
        cell.facts = {"compose": [{"kind": "plugin", "argv": ["docker", "compose"], "version": "2"}]}
        return cell

    return make


@pytest.fixture
def build():
    """Return the builders: build.case, build.service, build.plan, build.node, build.replace."""

    class Builders:
        pass

    Builders.case, Builders.service, Builders.plan = staticmethod(case), staticmethod(service), staticmethod(plan)
    Builders.node, Builders.replace = FakeNode, staticmethod(replace)
    return Builders
