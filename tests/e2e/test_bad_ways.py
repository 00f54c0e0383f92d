# SPDX-License-Identifier: MIT
"""Whole runs over ways to the nodes that lose packets, are slow, or are late: slower, right, and with nothing taken for dead."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import verify
from bad_ways import losing, lost_packets, through_wires
from cellruns import NODES, leavings, on_node
from deployments import make_project, running, service

pytestmark = [pytest.mark.docker, pytest.mark.lab]

SERVICES = {"first": service(node="node1"), "second": service(node="node2", needs=["first"])}
# Random bytes, which no compression makes fewer, and their digest as the node sees it.
WRITES = 'cd "$SCENARIO_RESULT_PATH"; head -c {size} /dev/urandom >data; sha256sum <data >sum\n'
ENDS_S = 240


@pytest.fixture
def live(tmp_path, results):
    """Start a run over three nodes whose test leaves so many bytes."""

    def start(inventory, size):
        test = {"node": "node3", "timeout": 120}
        project = make_project(tmp_path / "project", SERVICES, WRITES.format(size=size), test=test)
        return running(inventory, results, project)

    return start


def assert_right(ended, size):
    """The run has passed, and all of it is home, as the node had it and as the run's proof says."""
    assert ended.ends == ("pass", 0, ""), ended.screen
    (data,) = ended.folder.rglob("data")
    assert data.stat().st_size == size
    assert hashlib.sha256(data.read_bytes()).hexdigest() == (data.parent / "sum").read_text().split()[0]
    assert verify.folder(ended.folder).findings == ()
    assert {node: leavings(node) for node in NODES} == {node: [] for node in NODES}


def reconnected(ended):
    return [line for line in ended.details["warnings"] if "the connection was lost" in line]


@pytest.mark.tries(3)
@pytest.mark.parametrize(
    "chance", [pytest.param(0.01, marks=pytest.mark.long), 0.05, pytest.param(0.2, marks=pytest.mark.long)]
)
def test_f18_a_run_over_ways_that_lose_packets_is_right(lab, live, chance):
    size = 1_000_000
    with losing(chance), live(lab, size) as going:
        ended = going.ended(ENDS_S)
        lost = {node: lost_packets(node) for node in NODES}
    assert_right(ended, size)
    assert all(sum(counts) > 0 for counts in lost.values()), lost
    assert chance > 0.05 or reconnected(ended) == []


@pytest.mark.long
@pytest.mark.tries(3)
@pytest.mark.parametrize("wire", [{"rate": 8000.0}, {"delay_s": 0.25}], ids=["64 kbit/s", "500 ms"])
def test_f18_a_run_over_slow_or_late_ways_is_right(lab, live, tmp_path, wire):
    """The node's program is sent as well."""
    size = 50_000
    for node in NODES:
        on_node(node, "rm -f /var/tmp/testcell-0/cellnode-*")
    with through_wires(lab, tmp_path, **wire) as inventory, live(inventory, size) as going:
        ended = going.ended(ENDS_S)
    assert_right(ended, size)
    assert reconnected(ended) == []
