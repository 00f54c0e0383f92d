# SPDX-License-Identifier: MIT
"""Where services run in each topology, and the cases that topologies make."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import (
    BenchmarkSpec,
    Scenario,
    Service,
    TestSpec,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import topologies

NODES = ("local", "node-1", "node-2")


def scenario(*services, test="local", **more):
    made = services or (Service("a", ports=(1,)), Service("b", ports=(2,)), Service("c", node="node-2"))
    return Scenario("s", Path("s"), services=made, test=TestSpec(node=test), **more)


@pytest.mark.parametrize(
    ("test", "topology", "placed"),
    [
        ("local", "distributed", {"a": "node-1", "b": "node-2", "c": "node-2"}),
        ("local", "distributed_chaos", {"a": "node-1", "b": "node-2", "c": "node-2"}),
        ("local", "single", dict.fromkeys("abc", "node-1")),
        ("local", "single_chaos", dict.fromkeys("abc", "node-1")),
        ("node-2", "single", dict.fromkeys("abc", "node-2")),
        ("auto", "single", dict.fromkeys("abc", "node-2")),
    ],
)
def test_single_is_one_node_and_distributed_what_the_scenario_says(test, topology, placed):
    benchmark = BenchmarkSpec(service="b")
    assert topologies.place(scenario(test=test, benchmark=benchmark), NODES, topology) == placed


def test_the_controller_has_all_services_where_it_is_the_only_node():
    assert topologies.place(scenario(Service("a"), Service("b")), ("local",), "single") == {"a": "local", "b": "local"}


def test_services_of_the_controller_stay_there_where_no_node_has_any():
    services = (Service("a", node="local"), Service("b", node="local"))
    assert topologies.place(scenario(*services), NODES, "single") == {"a": "local", "b": "local"}


def test_ports_that_one_node_cannot_give_twice_are_named():
    services = (Service("a", ports=(80, 81)), Service("b", ports=(81,)))
    assert topologies.place(scenario(*services), NODES, "distributed") == {"a": "node-1", "b": "node-2"}
    with pytest.raises(InputError) as caught:
        topologies.place(scenario(*services), NODES, "single")
    assert "soak.topologies: b and a both publish port 81, which node-1 has once" in str(caught.value)


@pytest.mark.parametrize(
    ("topology", "placed", "warned"),
    [
        ("distributed", {"a": "node-1", "b": "node-2"}, False),
        ("single", {"a": "node-1", "b": "node-1"}, False),
        ("distributed_chaos", {"a": "node-1", "b": "node-1"}, True),
    ],
)
def test_a_topology_that_is_distributed_by_name_only_is_a_warning(topology, placed, warned):
    found = topologies.warning(scenario(), topology, placed)
    assert (found is not None) is warned
    if found:
        assert found.severity == "warning" and "uses one node, node-1, so it is not distributed" in found.render()


def test_each_cell_of_the_matrix_comes_once_for_each_topology():
    cells = ({"concurrency": 1}, {"concurrency": 4})
    found = topologies.cases(scenario(matrix=cells), ("single", "distributed_chaos"))
    assert [case.id for case in found] == [
        "concurrency-1_topology-single",
        "concurrency-1_topology-distributed-chaos",
        "concurrency-4_topology-single",
        "concurrency-4_topology-distributed-chaos",
    ]
    assert found[1].labels == {"concurrency": "1", "topology": "distributed_chaos"}
    assert found[1].values == {"concurrency": 1, "topology": "distributed_chaos"}
    assert [case.id for case in topologies.cases(scenario(), ("single",))] == ["topology-single"]


def test_a_matrix_with_a_label_of_the_same_name_is_refused():
    with pytest.raises(InputError) as caught:
        topologies.cases(scenario(matrix=({"topology": "x"},)), ("single",))
    assert "matrix.topology: label 'topology' is set by the soak itself" in str(caught.value)
