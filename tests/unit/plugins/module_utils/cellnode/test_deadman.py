# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lease
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.deadman import DeadMan
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.lease import Now


@pytest.fixture
def world(tmp_path):
    """A node whose lease run-a holds for 60 s, and a switch looking at it at a time of the test's choice."""

    class World:
        root, boot, shift = tmp_path / "node", lease.procs.boot_id(), 0.0
        context = Context(root, RunRef("run-a"), "anna")

        def now(self):
            return Now(self.context.clock.boottime() + self.shift, self.boot, 0.0)

    world = World()
    lease.OPS["lease"](world.context, {"action": "acquire", "ttl_s": 60})
    world.switch = DeadMan(world.root, "run-a", 1, world.now)
    return world


def _looks(world, *shifts):
    answers = []
    for shift in shifts:
        world.shift = shift
        answers.append(world.switch.cause())
    return answers


def test_held_lease_lets_work_go_on(world):
    assert _looks(world, 0, 30, 59) == [None, None, None]


def test_lapsed_lease_ends_work_after_one_more_ttl(world):
    assert _looks(world, 0, 61, 100, 120, 122) == [None, None, None, None, "lease"]


def test_renewal_in_the_last_moment_saves_the_work(world):
    assert _looks(world, 0, 61, 120) == [None, None, None]
    lease.OPS["lease"](world.context, {"action": "renew", "ttl_s": 600})
    assert _looks(world, 125, 590) == [None, None]


@pytest.mark.parametrize(
    "spoil", [lambda file: file.unlink(), lambda file: file.write_text("{")], ids=["gone", "corrupt"]
)
def test_lease_that_cannot_be_read_counts_as_lapsed(world, spoil):
    assert _looks(world, 0) == [None]
    spoil(world.root / "lease.json")
    assert _looks(world, 1, 60, 62) == [None, None, "lease"]


def test_other_epoch_ends_work_at_once(world):
    world.switch = DeadMan(world.root, "run-a", 2, world.now)
    assert _looks(world, 0) == ["taken"]


def test_released_lease_counts_as_lapsed(world):
    lease.OPS["lease"](world.context, {"action": "release"})
    assert _looks(world, 0, 59, 61) == [None, None, "lease"]


def test_who_shares_the_node_does_not_end_the_work_and_who_takes_it_over_does(world):
    lease.OPS["lease"](world.context, {"action": "acquire", "ttl_s": 60, "shared": True})
    other = Context(world.root, RunRef("run-b"), "bert")
    lease.OPS["lease"](other, {"action": "acquire", "ttl_s": 600, "shared": True})
    assert _looks(world, 0, 59, 61) == [None, None, None]
    lease.OPS["lease"](world.context, {"action": "renew", "ttl_s": 0.1})
    while len(lease.OPS["lease"](other, {"action": "show"})["holders"]) == 2:
        pass
    lease.OPS["lease"](replace(other, run=RunRef("run-c")), {"action": "acquire", "ttl_s": 60, "shared": True})
    assert _looks(world, 0) == ["taken"]
