# SPDX-License-Identifier: MIT
"""The lease of a soak: renewed while its load goes on, for whoever has the run then, and for nobody else."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lease, procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import holding
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.unit import Status
from later import Later

TTL_S = 60.0


@pytest.fixture
def node(tmp_path):
    """A node that anna's controller holds for a run under epoch 1."""

    class Node:
        clock = Later()
        root = tmp_path / "node"
        ctx = Context(root, RunRef("run-a", "s", "", 1, 1), "anna", clock=clock)

        def do(self, action, owner="anna", run="run-a", **args):
            ctx = replace(self.ctx, owner=owner, run=replace(self.ctx.run, id=run, epoch=None))
            return lease.OPS["lease"](ctx, {"action": action, **args})

        def left(self):
            return self.do("show")["expires_in_s"]

        def later(self, seconds):
            self.clock.go(seconds)

        def load(self, live=True):
            """Have the test's unit run, or have ended."""
            folder = self.ctx.case_dir / "unit" / "test"
            folder.mkdir(parents=True, exist_ok=True)
            us = procs.identify(procs.os.getpid())
            state = "running" if live else "exited"
            status = Status("test", "k:run-a:test:0", state, "", procs.boot_id(), 0.0, 0.0, 60.0, 1.0)
            status = replace(status, supervisor_pid=us.pid, supervisor_start=us.start)
            (folder / "status.json").write_text(json.dumps(asdict(status)))

        def begin(self, ago_s, duration_s=100.0, boot_id=None):
            folder = self.ctx.case_dir / "soak"
            folder.mkdir(parents=True, exist_ok=True)
            begun = {"t": 0.0, "b": self.clock.boottime() - ago_s, "duration_s": duration_s}
            (folder / "begin.json").write_text(json.dumps({**begun, "boot_id": boot_id or procs.boot_id()}))

    made = Node()
    made.do("acquire", ttl_s=TTL_S)
    return made


def test_g07_the_lease_goes_on_while_the_test_does_and_its_controller_is_gone(node):
    """G07"""
    node.load()
    for _ in range(10):
        node.later(TTL_S / 2 + 1)
        holding.hold(node.ctx, "test")
        assert node.left() == pytest.approx(TTL_S, abs=1)
    node.load(live=False)
    node.later(TTL_S / 2 + 1)
    holding.hold(node.ctx, "test")
    assert node.left() < TTL_S / 2


def test_a_lease_with_time_left_is_not_written(node):
    node.load()
    node.later(TTL_S / 2 - 2)
    before = (node.root / "lease.json").read_bytes()
    holding.hold(node.ctx, "test")
    assert (node.root / "lease.json").read_bytes() == before


def test_the_next_controller_keeps_its_own_epoch_and_its_lease_goes_on(node):
    node.load()
    node.do("succeed", owner="bert", epoch=1, ttl_s=TTL_S)
    node.later(TTL_S / 2 + 1)
    holding.hold(node.ctx, "test")
    shown = node.do("show")
    assert (shown["epoch"], shown["owner"]) == (2, "bert") and node.left() == pytest.approx(TTL_S, abs=1)


@pytest.mark.parametrize("how", ["released", "another run", "unreadable", "gone"])
def test_what_is_not_the_runs_any_more_is_left_alone(node, how):
    node.load()
    if how == "released":
        node.do("release")
    elif how == "another run":
        node.later(TTL_S + 1)
        node.do("acquire", owner="carl", run="run-c", ttl_s=TTL_S)
        node.later(TTL_S / 2 + 1)
    elif how == "unreadable":
        (node.root / "lease.json").write_text("{")
    else:
        (node.root / "lease.json").unlink()
    before = (node.root / "lease.json").read_bytes() if how != "gone" else None
    holding.hold(node.ctx, "test")
    assert ((node.root / "lease.json").read_bytes() if how != "gone" else None) == before
    assert (node.root / "lease.json").exists() == (how != "gone")


def test_another_holder_of_a_shared_node_is_left_alone(node):
    node.do("acquire", shared=True, ttl_s=TTL_S)
    node.do("acquire", owner="carl", run="run-c", shared=True, ttl_s=10 * TTL_S)
    node.load()
    node.later(TTL_S / 2 + 1)
    holding.hold(node.ctx, "test")
    left = {one["run"]: one["expires_in_s"] for one in node.do("show")["holders"]}
    assert left == {
        "run-a": pytest.approx(TTL_S, abs=1),
        "run-c": pytest.approx(10 * TTL_S - TTL_S / 2 - 1, abs=1),
    }


@pytest.mark.parametrize(
    ("begun", "goes_on"),
    [
        ({"ago_s": 50.0}, True),
        ({"ago_s": 159.0}, True),
        ({"ago_s": 161.0}, False),
        ({"ago_s": 50.0, "boot_id": "another"}, False),
        (None, False),
    ],
    ids=["in the midst", "a moment after", "over", "before a restart", "never begun"],
)
def test_a_node_without_the_test_goes_by_the_time_of_the_load(node, begun, goes_on):
    if begun:
        node.begin(**begun)
    assert holding.loading(node.ctx, "") is goes_on


@pytest.mark.parametrize("damage", ["", "[]", "{"])
def test_a_begin_that_cannot_be_read_is_none(node, damage):
    node.begin(1.0)
    (node.ctx.case_dir / "soak" / "begin.json").write_text(damage)
    assert holding.begun(node.ctx) is None


def test_a_test_whose_supervisor_is_gone_does_not_go_on(node):
    node.load()
    path = node.ctx.case_dir / "unit" / "test" / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "supervisor_start": 1}))
    assert holding.loading(node.ctx, "test") is False
    assert holding.loading(node.ctx, "other") is False


def test_since_when_the_node_is_the_runs(node):
    taken = lease.taken(node.ctx)
    assert 0 <= node.clock.boottime() - taken < 60
    node.do("succeed", owner="bert", epoch=1, ttl_s=TTL_S)
    assert lease.taken(node.ctx) == taken
    assert lease.taken(replace(node.ctx, run=RunRef("run-z"))) is None
    assert lease.taken(replace(node.ctx, root=node.root / "none")) is None
