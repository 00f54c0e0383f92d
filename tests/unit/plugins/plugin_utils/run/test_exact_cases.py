# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import exact_cases, inventory
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import matrix
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import Scenario

MATRIX = tuple({"model": model, "concurrency": count} for model in ("tiny", "big") for count in (1, 4))
SCENARIOS = (Scenario("one", Path("one"), matrix=MATRIX), Scenario("two", Path("two")))

ASKED = [
    ((), {"one/model-tiny_concurrency-1", "one/model-tiny_concurrency-4", "one/model-big_concurrency-1",
          "one/model-big_concurrency-4", "two/"}),
    (("one/model-tiny_concurrency-1",), {"one/model-tiny_concurrency-1"}),
    (("model-big_concurrency-4", "two"), {"one/model-big_concurrency-4", "two/"}),
    (("model=tiny", "concurrency=4"), {"one/model-tiny_concurrency-4"}),
    (("model=tiny", "model=big", "concurrency=1"), {"one/model-tiny_concurrency-1", "one/model-big_concurrency-1"}),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "want"), ASKED)
def test_exactly_the_cases_that_are_asked_for_are_left(asked, want):
    wanted = exact_cases.of(asked, SCENARIOS)
    cases = [case for scenario in SCENARIOS for case in matrix.expand(scenario)]
    assert {f"{case.scenario}/{case.id}" for case in cases if wanted(case)} == want


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("one/model-tiny_concurrency-2",), "did you mean one/model-tiny_concurrency-"),
        (("model=tny",), "did you mean model=tiny"),
        (("two", "model=tiny"), "no case is left by two, model=tiny"),
    ],
)
def test_words_that_no_case_goes_by_are_wrong_usage(asked, said):
    with pytest.raises(InputError) as caught:
        exact_cases.of(asked, SCENARIOS)
    assert caught.value.usage and said in str(caught.value)


def test_nodes_to_avoid_are_left_out_and_must_be_there():
    hosts = {name: {"ansible_host": f"10.0.0.{n}"} for n, name in enumerate(("node1", "node2"))}
    found = inventory.examine(hosts, avoid=("node2", "nod1"))
    assert [node.name for node in found.nodes] == ["node1"] and found.left_out == {"node2": "avoid_nodes"}
    assert ["did you mean node1?" in problem.render() for problem in found.problems] == [True]
