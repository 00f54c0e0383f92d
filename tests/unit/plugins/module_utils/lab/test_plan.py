# SPDX-License-Identifier: MIT
"""One action a node, decided from the state of its container."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.lab import plan
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.model import Link, Wanted, nodes_of
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.observe import Container, Observed

LINK = Link(IPv4Network("172.31.5.0/24"), 22)


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({}, plan.KEEP),
        ({"digest": "other"}, plan.RECREATE),
        ({"running": False}, plan.START),
        ({"paused": True}, plan.UNPAUSE),
        ({"address": ""}, plan.ATTACH),
        ({"address": "172.31.5.99"}, plan.ATTACH),
        ({"digest": "other", "running": False}, plan.RECREATE),
    ],
)
def test_state_of_the_container_decides(wanted: Wanted, changes: dict[str, object], action: str) -> None:
    node = nodes_of(wanted, LINK, "i", "k")[0]
    facts = {"digest": node.digest, "running": True, "paused": False, "address": node.address} | changes
    observed = Observed({node.container: Container(name=node.container, **facts)}, (), (), LINK)  # type: ignore[arg-type]
    assert plan.node_steps([node], observed) == (plan.Step(action, node),)


def test_absent_container_is_created(wanted: Wanted) -> None:
    nodes = nodes_of(wanted, LINK, "i", "k")
    assert [step.action for step in plan.node_steps(nodes, Observed({}, (), (), None))] == [plan.CREATE] * 3


def test_container_that_is_no_node_any_more_is_surplus(wanted: Wanted) -> None:
    nodes = nodes_of(wanted, LINK, "i", "k")
    names = [node.container for node in nodes] + ["testcell-lab-node4"]
    observed = Observed({name: Container(name, "d", True, False, "") for name in names}, (), (), LINK)
    assert plan.surplus(nodes, observed) == ("testcell-lab-node4",)
