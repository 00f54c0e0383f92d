# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import case_files
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening, view

METADATA = """\
name: shop
test_execution: {node: n1}
service_health_check: {strategy: STRATEGY}
deployment:
  services:
    - {name: redis, node: n1}
    - {name: mysql, node: n2}
    - {name: order, node: n1, depends_on: [redis, mysql]}
"""
COMPOSE = """\
services:
  redis: {image: "redis:1"}
  mysql:
    image: "mysql:1"
    healthcheck: {test: ["CMD", "true"], start_period: 1m30s}
  order: {image: "order:1"}
"""
TEST_CONFIG = '{"base_url": "http://127.0.0.1:80", "model": "m", "num_prompts": 1}\n'
NODES = {"n1": {"ansible_host": "192.0.2.1"}, "n2": {"ansible_host": "192.0.2.2"}}


@pytest.fixture
def plan_of(tmp_path):
    """Return a function that plans a run of one scenario of three services."""

    def make(strategy="standard"):
        folder = tmp_path / "scenarios" / "001_shop"
        folder.mkdir(parents=True)
        texts = {"metadata.yml": METADATA.replace("STRATEGY", strategy), "docker-compose.yml": COMPOSE}
        for name, text in {**texts, "test_config.json": TEST_CONFIG, "run_test.sh": "#!/bin/sh\n"}.items():
            (folder / name).write_text(text)
        (folder / "run_test.sh").chmod(0o755)
        return opening.decide(opening.Asked(scenario="shop", hosts=NODES, forks=9), tmp_path, 0.0, "me")

    return make


@pytest.fixture
def past_run(tmp_path):
    """Leave the files of a run in which redis took 2 s, mysql 6 s, and another image of order 40 s."""
    services = [
        {"name": "redis", "image": "redis:1", "started_s": 1.0, "ready_s": 3.0},
        {"name": "mysql", "image": "mysql:1", "started_s": 1.0, "ready_s": 7.0},
        {"name": "order", "image": "order:0", "started_s": 7.0, "ready_s": 47.0},
    ]
    record = {"run_id": "20260101_000000", "scenario": "shop", "case": "", "attempt": 1, "services": services}
    case_files.write(tmp_path / "results" / "20260101_000000" / "shop", record)


def told(case):
    return {
        one["name"]: (one["node"], one["estimate_s"], one["estimate_source"], one["slack_s"])
        for one in case["services"]
    }


def test_the_plan_shows_the_critical_path_and_how_late_each_service_may_be(plan_of):
    case = view.as_data(plan_of())["cases"][0]
    assert case["batches"] == [["redis@n1", "mysql@n2"], ["order@n1"]]
    assert case["critical_path"] == {"services": ["mysql", "order"], "seconds": 91.0}
    assert told(case) == {
        "redis": ("n1", 1.0, "assumed", 89.0),
        "mysql": ("n2", 90.0, "start_period", 0.0),
        "order": ("n1", 1.0, "assumed", 0.0),
    }


def test_what_earlier_runs_measured_beats_what_the_files_say(past_run, plan_of):
    case = view.as_data(plan_of())["cases"][0]
    assert case["critical_path"] == {"services": ["mysql", "order"], "seconds": 7.0}
    assert told(case) == {
        "redis": ("n1", 2.0, "measured", 4.0),
        "mysql": ("n2", 6.0, "measured", 0.0),
        "order": ("n1", 1.0, "assumed", 0.0),
    }


def test_a_start_period_means_nothing_where_health_is_not_waited_for(plan_of):
    case = view.as_data(plan_of("quick"))["cases"][0]
    assert told(case)["mysql"] == ("n2", 1.0, "assumed", 0.0)


def test_the_plan_for_people_says_the_same(plan_of):
    lines = view.as_text(plan_of()).splitlines()
    start = lines.index("  batch 2  order@n1")
    assert lines[start + 1 : start + 5] == [
        "  path     mysql > order: 1 min 31 s if starts take as estimated",
        "  start    redis  1.0 s (assumed), slack 1 min 29 s",
        "  start    mysql  1 min 30 s (start_period), on the path",
        "  start    order  1.0 s (assumed), on the path",
    ]


def test_a_case_without_services_has_no_path(build, tmp_path):
    empty = build.replace(build.case(), directory=str(tmp_path))
    run = build.plan(tmp_path, empty)
    assert view.as_data(run)["cases"][0]["critical_path"] == {"services": [], "seconds": 0.0}
    assert "path" not in view.as_text(run)
