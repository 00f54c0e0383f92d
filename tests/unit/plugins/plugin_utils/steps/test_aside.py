# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import opening
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import run_board

LOST = {
    "verdict": "error",
    "failure": {"error_kind": "ssh_timeout", "owner": "network", "node": "n2", "retriable": True},
}
FULL = {"verdict": "error", "failure": {"error_kind": "disk_full", "owner": "node", "node": "n1", "retriable": False}}
BAD = {"verdict": "fail", "failure": {"error_kind": "test_failed", "owner": "test", "node": "n1", "retriable": False}}
AUTO = {"a": "auto", "b": "auto"}

# what services and test want, nodes of the inventory, results of earlier attempts -> service -> node, or why not
MOVES = [
    ("moved to the next", AUTO, "a", ["n1", "n2", "n3"], [LOST], {"a": "n1", "b": "n3"}),
    ("both on the last one", AUTO, "auto", ["n1", "n2", "n3"], [LOST, FULL], {"a": "n3", "b": "n3"}),
    ("bound", {"a": "n1", "b": "n2"}, "auto", ["n1", "n2", "n3"], [LOST], "b must run on n2"),
    ("test bound", AUTO, "n2", ["n1", "n2"], [LOST], "the test must run on n2"),
    ("none left", AUTO, "auto", ["n2"], [LOST], "no node is left without n2"),
    ("not the node's fault", AUTO, "auto", ["n1", "n2"], [BAD], "the attempt before was not lost to a node"),
]


@pytest.fixture
def case_of(tmp_path, build):
    def make(wanted, test, nodes, results, attempts=1):
        spares = {"services": wanted, "test": "auto" if test == "a" else test, "nodes": nodes, "attempts": attempts}
        services = [build.service("a", node="n1"), build.service("b", node="n2")]
        cases = [
            build.case(n, services=services, ref=CaseRef("s", "", n + 1), spares=spares)
            for n in range(len(results) + 1)
        ]
        run = build.plan(tmp_path, *cases)
        for number, note in enumerate(results):
            run_board(run.boards).post(f"case-result.{number}", {**note, "dirty_nodes": []})
        return run, cases[-1]

    return make


@pytest.mark.parametrize(
    ("wanted", "test", "nodes", "results", "expected"), [row[1:] for row in MOVES], ids=[row[0] for row in MOVES]
)
def test_a_repeat_goes_without_the_nodes_that_failed(case_of, wanted, test, nodes, results, expected):
    run, case = case_of(wanted, test, nodes, results)
    moved, reason, told = opening.opened(run, case, run_board(run.boards))
    if isinstance(expected, str):
        assert reason == expected and told == ""
        return
    assert (reason, moved.placement) == ("", expected)
    assert set(moved.nodes) >= set(expected.values()) and "set aside" in told
    assert not {note["failure"]["node"] for note in results} & set(moved.nodes)


def test_without_the_option_a_repeat_stays_where_it_was(tmp_path, build):
    cases = [build.case(n, services=[build.service("a", node="n2")], ref=CaseRef("s", "", n + 1)) for n in range(2)]
    run = build.plan(tmp_path, *cases)
    run_board(run.boards).post("case-result.0", {**LOST, "dirty_nodes": []})
    assert opening.opened(run, cases[1], run_board(run.boards)) == (cases[1], "", "")
