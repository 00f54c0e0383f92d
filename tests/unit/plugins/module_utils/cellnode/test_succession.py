# SPDX-License-Identifier: MIT
"""A run's next controller takes the node on: what runs there goes on, and the dead controller is fenced off."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lease
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.deadman import DeadMan
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from later import Later


@pytest.fixture
def node(tmp_path):
    """A node that anna's controller holds for run-a under epoch 1 for 60 s, with work under it."""

    class Node:
        clock = Later()
        first = Context(tmp_path / "node", RunRef("run-a"), "anna", clock=clock)
        next = replace(first, owner="bert")
        file = first.root / "lease.json"

        def do(self, ctx, action, **args):
            return lease.OPS["lease"](ctx, {"action": action, "ttl_s": 60, **args})

        def work(self, epoch):
            switch = DeadMan(self.first.root, "run-a", epoch, lambda: lease.present(self.first))
            return switch.cause() is None

    made = Node()
    made.do(made.first, "acquire")
    return made


def fenced(ctx, epoch):
    lease.check_fence(replace(ctx, run=replace(ctx.run, epoch=epoch)))


def test_the_next_controller_has_a_higher_epoch_and_the_work_goes_on(node):
    taken = node.do(node.next, "succeed", epoch=1)
    assert (taken["epoch"], taken["run"], taken["owner"], taken["held"]) == (2, "run-a", "bert", True)
    assert node.work(1) and node.work(2) and not node.work(3)
    fenced(node.next, 2)


def test_f10_the_dead_controller_is_refused_from_then_on(node):
    node.do(node.next, "succeed", epoch=1)
    with pytest.raises(CellError, match=r"'run-a' of 'bert' \(epoch 2\)"):
        fenced(node.first, 1)


def test_the_same_question_twice_is_answered_twice(node):
    assert [node.do(node.next, "succeed", epoch=1)["epoch"] for _ in range(2)] == [2, 2]


def test_a_third_controller_carries_the_work_of_the_first(node):
    node.do(node.next, "succeed", epoch=1)
    node.do(replace(node.first, owner="carl"), "succeed", epoch=2)
    assert node.work(1) and node.work(2) and node.work(3)


def test_a_lease_that_ran_out_and_that_nobody_took_can_be_taken_on(node):
    node.clock.go(90.0)
    assert node.do(node.next, "succeed", epoch=1)["epoch"] == 2


def _released(node):
    node.do(node.first, "release")


def _taken_by_another_run(node):
    _released(node)
    node.do(replace(node.next, run=RunRef("run-b")), "acquire")


def _taken_anew(node):
    _released(node)
    node.do(node.first, "acquire")


def _restarted(node):
    record = json.loads(node.file.read_text())
    node.file.write_text(json.dumps({**record, "boot_id": "another"}))


def _gone(node):
    node.file.unlink()


@pytest.mark.parametrize("change", [_released, _taken_by_another_run, _taken_anew, _restarted, _gone])
def test_a_node_that_is_not_as_the_dead_controller_left_it_is_not_taken_on(node, change):
    change(node)
    before = node.file.read_bytes() if node.file.exists() else None
    with pytest.raises(CellError) as caught:
        node.do(node.next, "succeed", epoch=1)
    assert caught.value.kind == "lock_held"
    assert (node.file.read_bytes() if node.file.exists() else None) == before


def test_work_of_an_earlier_lease_does_not_go_on_under_a_new_one(node):
    _taken_anew(node)
    assert node.work(2) and not node.work(1)


def test_a_lease_file_of_an_earlier_version_carries_its_own_epoch_only(node):
    record = json.loads(node.file.read_text())
    del record["carries"]
    node.file.write_text(json.dumps(record))
    assert node.work(1) and not node.work(0)


def test_check_mode_takes_nothing_on(node):
    assert node.do(replace(node.next, check=True), "succeed", epoch=1)["epoch"] == 1
    fenced(node.first, 1)
