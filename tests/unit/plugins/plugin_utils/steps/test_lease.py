# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import lease, record
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure

NOTHING = {"removed": {"containers": 0}, "errors": []}


class Node:
    """A node whose lease is held until its holder gives it back."""

    python, owner = "python3", "me"

    def __init__(self, holder=None, reaped=NOTHING):
        self.holder, self.reaped, self.run, self.calls = holder, reaped, {"id": "mine"}, []

    def call(self, op, **args):
        self.calls.append((op, args.get("action", ""), dict(self.run)))
        if op == "lease" and args["action"] == "release":
            self.holder = None
        if op == "lease" and self.holder:
            raise NodeError("lock_held", "held", {"holder": self.holder})
        if op == "reap" and isinstance(self.reaped, NodeError):
            raise self.reaped
        return {"lease": {"epoch": 8}, "reap": self.reaped, "clean": {"removed": {"containers": 2}, "errors": []}}[op]


def held_by(pid):
    name = owner.name(owner.here(), pid)
    return {"owner": name, "run": "theirs", "epoch": 7, "expires_in_s": 99.5}


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=30)
    return process.pid


def cell_with(make_cell, build, node):
    return make_cell(build.case(services=[build.service("a")]), client=node)


def test_a_free_node_is_taken_and_its_epoch_goes_with_every_call(make_cell, build):
    node = Node()
    cell = cell_with(make_cell, build, node)
    assert lease.acquire(cell) == {"epoch": 8}
    assert node.run["epoch"] == 8 and cell.shared.read("lease.n1") == {"epoch": 8}


def test_what_a_dead_run_left_is_reaped_and_told(make_cell, build):
    node = Node(reaped={"removed": {"containers": 2, "files": 0}, "errors": []})
    assert lease.acquire(cell_with(make_cell, build, node))["reaped"] == {"containers": 2, "files": 0}


def test_what_the_case_had_begun_with_before_is_removed_once_the_node_is_ours(make_cell, build):
    node = Node()
    cell = cell_with(make_cell, build, node)
    cell.board.post("leavings.n1", {})
    lease.acquire(cell)
    assert node.calls[1] == ("clean", "", {"id": "mine", "epoch": 8})


def test_a_node_without_an_engine_is_taken_all_the_same_and_prep_judges_it(make_cell, build):
    node = Node(reaped=NodeError("docker_daemon_down", "no engine answers"))
    cell = cell_with(make_cell, build, node)
    assert lease.acquire(cell) == {"epoch": 8}
    node.reaped = {"removed": {"containers": 1}}
    lease.reap_if_due(cell)
    assert [call[0] for call in node.calls].count("reap") == 2


def test_what_else_keeps_dead_runs_from_being_reaped_is_an_error(make_cell, build):
    with pytest.raises(NodeError, match="denied"):
        lease.acquire(cell_with(make_cell, build, Node(reaped=NodeError("docker_permission", "denied"))))


def test_f11_a_living_holder_is_named_and_not_touched(make_cell, build):
    node = Node(held_by(os.getpid()))
    with pytest.raises(StepFailure, match=r"n1 is held by .* for run theirs, for at most 100 s more") as caught:
        lease.acquire(cell_with(make_cell, build, node))
    assert caught.value.kind == "lock_held"
    assert [call[0] for call in node.calls] == ["lease"]


def test_f01_a_dead_holder_of_this_machine_is_finished_under_its_own_epoch(make_cell, build):
    node = Node(held_by(dead_pid()))
    lease.acquire(cell_with(make_cell, build, node))
    assert ("clean", "", {"id": "theirs", "epoch": 7}) in node.calls
    assert node.calls[-2][:2] == ("lease", "acquire") and node.run == {"id": "mine", "epoch": 8}


def test_the_lease_is_given_back_after_the_last_case_only(make_cell, build, tmp_path):
    cases = [build.case(n, services=[build.service("a")]) for n in range(2)]
    run = build.plan(tmp_path, *cases)
    for case, released in zip(cases, (False, True), strict=True):
        node = Node()
        cell = make_cell(case, client=node, run=run)
        cell.shared.post("lease.n1", {"epoch": 8})
        lease.release(cell)
        assert (("lease", "release") in [call[:2] for call in node.calls]) is released


def test_the_pause_between_scenarios_counts_from_the_end_of_the_last(make_cell, build):
    cell = make_cell(build.case(services=[build.service("a")], wait_before_s=30.0), client=Node())
    cell.shared.post("case-ended", {"t": cell.clock() - 10})
    lease.acquire(cell)
    assert cell.clock() == 1020.0


def test_a_quarantined_node_is_refused_by_the_quarantines_own_kind(make_cell, build):
    class Quarantined(Node):
        def call(self, op, **args):
            raise NodeError(
                "disk_full", "quarantined for 3.0 h more, since run r: no room", {"quarantine": {"run": "r"}}
            )

    with pytest.raises(
        StepFailure, match=r"node n1 is quarantined for 3\.0 h more, .*`testcell cleanup --all --lift`"
    ) as caught:
        lease.acquire(cell_with(make_cell, build, Quarantined()))
    assert caught.value.kind == "disk_full"


LOST = {
    "F10 refused after it was ours": ("lock_held", True, True),
    "refused when it was asked for": ("lock_held", False, False),
    "another error": ("docker_timeout", True, False),
}


@pytest.mark.parametrize(("kind", "ours", "lost"), LOST.values(), ids=LOST)
def test_only_a_node_that_was_ours_can_be_lost(make_cell, build, kind, ours, lost):
    cell = cell_with(make_cell, build, Node())
    if ours:
        cell.shared.post("lease.n1", {"epoch": 8})
    assert lease.is_lost(cell, NodeError(kind, "no")) == lost


def test_f10_a_lost_node_is_named_with_who_has_it_and_is_not_ours_to_clean(make_cell, build):
    cell = cell_with(make_cell, build, Node())
    cell.board.post("snapshot.n1", {})
    assert record.dirty_nodes(["n1"], cell.board) == ["n1"]
    failure = lease.lose(cell, NodeError("lock_held", "node is leased to run 'x' of 'anna@host:1'"))
    assert failure.kind == "controller_died" and "run 'x' of 'anna@host:1'" in str(failure)
    assert record.dirty_nodes(["n1"], cell.board) == []
