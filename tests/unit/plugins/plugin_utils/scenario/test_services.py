# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.known import Known
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import HealthCheck, Service
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.services import (
    Declared,
    health_check,
    join,
    wrong_nodes,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.strict_yaml import parse

DECLARED = (
    Declared("a", "c.yml", "engine:1", (80,), ("b",), None, "x/c.yml", 2, 3),
    Declared("b", "c.yml", "engine:1", file="x/c.yml", line=5, column=3),
)


def joined(text: str | None, declared=DECLARED):
    document = parse(f"deployment:\n  services: {text}\n" if text else "name: a\n", "metadata.yml")
    entries = document.data["deployment"]["services"] if text else None
    services, problems = join(entries, declared, document)
    return services, [problem.render() for problem in problems]


def test_without_entries_every_declared_service_is_taken():
    services, problems = joined(None)
    assert problems == []
    assert services[0] == Service("a", depends_on=("b",), compose_file="c.yml", image="engine:1", ports=(80,))


def test_entry_beats_what_compose_declares():
    (first, _), problems = joined("[{name: b, node: n1, role: worker, critical: false}, {name: a, depends_on: []}]")
    assert problems == [] and (first.node, first.role, first.critical) == ("n1", "worker", False)


def test_services_of_unreadable_compose_files_are_not_called_unknown():
    services, problems = joined("[{name: x, depends_on: [y]}]", declared=())
    assert problems == [] and services[0].name == "x"


def test_B30_both_sides_are_listed():
    _, problems = joined("[{name: a, depends_on: []}, {name: c}]")
    assert len(problems) == 2 and all("(metadata: a, c; compose: a, b)" in problem for problem in problems)
    assert problems[1].startswith("x/c.yml:5:3: services.b: service is missing in deployment.services")


def test_service_that_is_in_another_file_is_named():
    _, problems = joined("[{name: a, compose_file: d.yml}, {name: b}]")
    assert any("services[0].compose_file: service 'a' is not in this file; allowed: c.yml" in line for line in problems)


@pytest.mark.parametrize(
    ("text", "ring", "place"),
    [
        ("[{name: a}, {name: b, depends_on: [a]}]", "a -> b -> a", "x/c.yml:2:3: services.a.depends_on"),
        (
            "[{name: b, depends_on: [a]}, {name: a}]",
            "b -> a -> b",
            "metadata.yml:2:36: deployment.services[0].depends_on",
        ),
        ("[{name: a, depends_on: [a]}, {name: b}]", "a -> a", "metadata.yml:2:36: deployment.services[0].depends_on"),
    ],
)
def test_B29_ring_is_printed_from_its_first_service(text, ring, place):
    (problem,) = joined(text)[1]
    assert problem == f"{place}: services wait for each other: {ring}"


def test_B29_ring_across_two_compose_files_is_seen():
    declared = (Declared("a", "c.yml", depends_on=("b",)), Declared("b", "d.yml", depends_on=("a",)))
    assert "a -> b -> a" in joined(None, declared)[1][0]


def test_B23_node_of_a_service_is_checked():
    document = parse("deployment: {services: [{name: a, node: x}, {name: b, node: local}, {name: c}]}", "m.yml")
    (problem,) = wrong_nodes(document.data["deployment"]["services"], Known(("n1",)), document)
    assert problem.render() == (
        "m.yml:1:41: deployment.services[0].node: is no node of the inventory; got string 'x'; allowed: n1, local, auto"
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, None),
        ({"timeout": 1.0}, None),
        ({"kind": "container"}, HealthCheck("container")),
        ({"kind": "http", "port": 80, "path": "/h", "expect_status": 204}, HealthCheck("http", 80, "/h", 204)),
        (
            {"kind": "command", "argv": ["a", "b"], "interval": 0.5},
            HealthCheck("command", argv=("a", "b"), interval_s=0.5),
        ),
    ],
)
def test_health_checks_take_defaults_for_what_is_absent(data, expected):
    assert health_check(data) == expected
