# SPDX-License-Identifier: MIT
"""What a node remembers: a quarantine with an end, and three failed runs of one day that bring one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lease, quarantine
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

HOUR = 3600.0


@pytest.fixture
def node(tmp_path):
    """A node whose clock the test sets: node.at(hours) and then node.ask, node.take."""
    return Node(tmp_path / "root")


class Node:
    def __init__(self, root):
        self.root, self.hours = root, 0.0

    def at(self, hours):
        self.hours = hours
        return self

    def context(self, run="r1"):
        clock = Clock(unix=lambda: 1e9 + self.hours * HOUR)
        return Context(self.root, RunRef(run), owner=run, clock=clock)

    def ask(self, action, run="r1", *, check=False, **args):
        return quarantine.op_quarantine(replace(self.context(run), check=check), {"action": action, **args})

    def take(self, run="r1", **args):
        return lease.acquire(self.context(run), {"ttl_s": 60, **args})

    def free(self, run="r1"):
        lease.release(self.context(run), {})


def test_a_node_without_a_memory_has_nothing_to_tell(node):
    assert node.ask("show") == {"quarantine": None, "blames": ()}
    assert not node.root.exists()


def test_a_quarantined_node_is_refused_with_the_reason_until_it_ends(node):
    node.ask("set", "r1", kind="cleanup_failed", reason="container x is left", hours=24)
    with pytest.raises(CellError, match=r"quarantined for 22\.0 h more, since run r1: container x is left") as caught:
        node.at(2).take("r2")
    assert (caught.value.kind, caught.value.detail["quarantine"]["run"]) == ("cleanup_failed", "r1")
    assert node.at(24.1).take("r2")["held"]


def test_the_run_that_has_the_node_keeps_it_and_a_repair_gets_it(node):
    node.take("r1")
    node.ask("set", "r1", kind="cleanup_failed", reason="x")
    assert node.take("r1")["epoch"] == 1
    node.free("r1")
    assert node.take("r2", repair=True)["epoch"] == 2


def test_a_lift_lets_runs_on_the_node_again(node):
    node.ask("set", kind="cleanup_failed", reason="x")
    assert node.ask("lift") == {"quarantine": None, "blames": ()}
    assert node.take("r2")["held"]


BLAMES = {
    "three runs": ([(0, "r1"), (1, "r2"), (2, "r3")], True),
    "two runs": ([(0, "r1"), (1, "r2")], False),
    "one run three times": ([(0, "r1"), (1, "r1"), (2, "r1")], False),
    "three runs in more than a day": ([(0, "r1"), (20, "r2"), (25, "r3")], False),
    "the last three of four": ([(0, "r1"), (20, "r2"), (25, "r3"), (26, "r4")], True),
}


@pytest.mark.parametrize(("blames", "held"), BLAMES.values(), ids=BLAMES)
def test_f25_the_third_run_of_a_day_that_failed_by_the_node_quarantines_it(node, blames, held):
    for hours, run in blames:
        told = node.at(hours).ask("blame", run, kind="disk_full")
    assert bool(told["quarantine"]) == held
    if held:
        assert told["quarantine"]["reason"].startswith("3 runs failed within a day by a fault of this node: ")
        with pytest.raises(CellError) as caught:
            node.take("r9")
        assert caught.value.kind == "disk_full"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"quarantine": {"kind": "x"}}', '{"blames": [{"run": 1}]}', "null"]
)
def test_a_memory_that_cannot_be_read_holds_nobody_back(node, content):
    node.root.mkdir(mode=0o700)
    (node.root / "quarantine.json").write_text(content)
    assert node.ask("show") == {"quarantine": None, "blames": ()}
    assert node.take()["held"]


def test_a_check_changes_nothing(node):
    node.ask("set", check=True, kind="cleanup_failed", reason="x")
    assert not node.root.exists()
