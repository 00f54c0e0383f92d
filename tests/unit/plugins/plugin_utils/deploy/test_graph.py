# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import graph
from hypothesis import given
from hypothesis import strategies as st

SHOP = {"redis": [], "mysql": [], "user": ["redis", "mysql"], "order": ["redis", "mysql"], "gateway": ["user", "order"]}


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({}, []),
        ({"a": []}, [["a"]]),
        ({"b": ["a"], "a": []}, [["a"], ["b"]]),
        (SHOP, [["redis", "mysql"], ["user", "order"], ["gateway"]]),
        ({"c": [], "b": [], "a": []}, [["c", "b", "a"]]),
    ],
    ids=["nothing", "one", "file order does not matter", "seed example", "file order inside a batch"],
)
def test_batches_put_every_service_after_its_needs(needs, expected):
    assert graph.batches(needs) == expected


@pytest.mark.parametrize(
    ("needs", "members"),
    [({"a": ["a"]}, {"a"}), ({"a": ["b"], "b": ["c"], "c": ["a"], "d": []}, {"a", "b", "c"})],
    ids=["B29 self", "B29 three"],
)
def test_a_cycle_is_named_in_order(needs, members):
    with pytest.raises(graph.CycleError) as caught:
        graph.batches(needs)
    cycle = caught.value.cycle
    assert cycle[0] == cycle[-1] and set(cycle) == members
    assert all(after in needs[before] for before, after in zip(cycle, cycle[1:], strict=False))


@given(st.dictionaries(st.integers(0, 30), st.sets(st.integers(0, 30)), max_size=30))
def test_batches_of_any_acyclic_graph_hold_each_service_once_and_in_order(edges):
    needs = {str(n): [str(m) for m in wants if m < n and m in edges] for n, wants in edges.items()}
    place = {name: level for level, batch in enumerate(graph.batches(needs)) for name in batch}
    assert set(place) == set(needs)
    assert all(place[want] < place[name] for name, wants in needs.items() for want in wants)


@pytest.mark.parametrize(
    ("started", "ready", "expected"),
    [
        ((), (), ["redis", "mysql"]),
        (("redis", "mysql"), ("redis",), []),
        (("redis", "mysql"), ("redis", "mysql"), ["user", "order"]),
        (("redis", "mysql", "user"), ("redis", "mysql", "user"), ["order"]),
    ],
)
def test_a_service_may_start_when_all_it_needs_is_ready(started, ready, expected):
    assert graph.startable(SHOP, frozenset(started), frozenset(ready)) == expected


def test_dependants_of_a_failed_service_say_whose_fault_it_is():
    assert graph.blocked_by(SHOP, frozenset({"redis"})) == {"user": "redis", "order": "redis", "gateway": "redis"}
    assert graph.blocked_by(SHOP, frozenset()) == {}
