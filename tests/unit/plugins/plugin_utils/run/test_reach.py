# SPDX-License-Identifier: MIT
"""Services that others ask and cannot reach, told before any node is."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import inputs, opening

from testcell import starting

NODES = {name: {"ansible_host": f"192.0.2.{number}"} for number, name in enumerate(("n1", "n2"), 1)}
HERE = {"n1": {"ansible_host": "127.0.0.11"}, "n2": {"ansible_host": "127.0.0.12"}}
COMPOSE = """
services:
  engine:
    image: testcell/engine-sim:1
    ports: {engine}
  router:
    image: testcell/engine-sim:1
    ports: {router}
"""
METADATA = """
name: example
deployment:
  services:
    - {{name: engine, node: n1}}
    - {{name: router, node: {router}, depends_on: [engine]}}
test_execution: {{node: {test}, script: run_test.sh}}
benchmark: {{service: router, port: 18100, client: {client}}}
"""
OPEN, NEAR, BOTH = "['18100:1']", "['127.0.0.1:18100:1']", "['127.0.0.1:18100:1', '192.0.2.1:18100:1']"
UDP = "['127.0.0.1:18101:1', '53:53/udp']"
TEST = "port 18100 of router is published at a loopback address of n2 alone, where the test, which runs on {}, cannot reach it"
LINK = (
    "all ports of engine are published at a loopback address of n1 alone, where router on another node cannot reach it"
)
CONTROLLER = "services on the controller are used from other nodes, which need its address"

CASES = {
    "all open": (OPEN, OPEN, {}, NODES, []),
    "the test elsewhere": (OPEN, NEAR, {}, NODES, [("error", TEST.format("local"))]),
    "the test on another node": (OPEN, NEAR, {"test": "n1"}, NODES, [("error", TEST.format("n1"))]),
    "the test beside it": (OPEN, NEAR, {"test": "n2"}, NODES, []),
    "the test goes where it is": (OPEN, NEAR, {"test": "auto"}, NODES, []),
    "a script may have a way": (OPEN, NEAR, {"client": "script"}, NODES, [("warning", TEST.format("local"))]),
    "an address of the node, too": (OPEN, BOTH, {}, NODES, []),
    "all nodes are this machine": (OPEN, NEAR, {}, HERE, []),
    "one that it depends on": ("['127.0.0.1:18101:1']", OPEN, {}, NODES, [("warning", LINK)]),
    "one that publishes UDP beside": (UDP, OPEN, {}, NODES, [("warning", LINK)]),
    "one on the same node": ("['127.0.0.1:18101:1']", OPEN, {"router": "n1"}, NODES, []),
    "one that publishes nothing": ("[]", OPEN, {}, NODES, []),
    "the controller": (OPEN, OPEN, {"router": "local"}, NODES, [("error", CONTROLLER)]),
    "a controller with an address": (
        OPEN,
        OPEN,
        {"router": "local"},
        {**NODES, "local": {"ansible_connection": "local", "testcell_address": "192.0.2.9"}},
        [],
    ),
}


@pytest.fixture
def project(tmp_path):
    starting.start(tmp_path / "project")
    return tmp_path / "project"


@pytest.mark.parametrize(("engine", "router", "words", "hosts", "told"), CASES.values(), ids=CASES)
def test_who_cannot_be_reached_is_told_before_any_node_is(project, engine, router, words, hosts, told):
    folder = project / "scenarios" / "001_example"
    settings = {"router": "n2", "test": "local", "client": "testcell", **words}
    (folder / "metadata.yml").write_text(METADATA.format(**settings))
    (folder / "docker-compose.yml").write_text(COMPOSE.format(engine=engine, router=router))
    asked = opening.Asked(scenario="example", hosts=hosts)
    problems = [
        (one.severity, one.message)
        for one in inputs.validate(asked, project)[1]
        if one.file.endswith("metadata.yml") and one.severity != "note"
    ]
    assert [(severity, next(text for _, text in told if text in message)) for severity, message in problems] == told
    if any(severity == "error" for severity, _ in told):
        with pytest.raises(InputError, match=r"loopback address of n2|testcell_address"):
            opening.decide(asked, project, 1000.0, "me")
        return
    (case,) = opening.decide(asked, project, 1000.0, "me").cases
    assert [text for _, text in told if not any(text in warning for warning in case.warnings)] == []
