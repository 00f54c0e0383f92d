# SPDX-License-Identifier: MIT
"""What the controller's own disk refuses a step: named with its kind, and no reason to leave a node uncleaned."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.enginelab.testcell.plugins.action._step import PhaseAction, Step
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal, owner
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import plan as run_plan

FULL = "/dev/full"  # takes no byte: no space left on device


class Recorded(PhaseAction):
    """Steps as a task records them, without a task."""

    def __init__(self):
        pass


class Connected(Recorded):
    """One that has its node at hand."""

    def client(self, task_vars, of_owner, run):
        return SimpleNamespace(serving=dict)

    def keeps_open(self):
        return False


@pytest.fixture
def cell(make_cell, build):
    made = make_cell(build.case(services=[build.service("a")]), step="collect")
    return replace(made, plan=replace(made.plan, owner=owner.name(owner.here(), os.getppid())))


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_f60_a_step_has_a_clock_that_nobody_sets(cell, monkeypatch, jump):
    """F60: its limits are moments of this clock."""
    run_plan.save(cell.plan)
    wall = [time.time()]
    monkeypatch.setattr(time, "time", lambda: wall[0])
    made = Connected()._cell(cell.plan.run_dir, 0, {"inventory_hostname": "n1"})
    began = made.clock()
    wall[0] += jump
    assert 0 <= made.clock() - began < 60


def refusing(number):
    def act(_cell):
        raise OSError(number, os.strerror(number), "/results/x")

    return act


@pytest.mark.parametrize(
    ("number", "kind", "node", "words"),
    [
        pytest.param(28, "disk_full", "local", "cannot write /results/x: No space left on device", id="F08-ENOSPC"),
        pytest.param(5, "io_error", "local", "cannot write /results/x: Input/output error", id="F08-EIO"),
        pytest.param(30, "fs_readonly", "local", "cannot write /results/x: Read-only file system", id="read-only"),
        pytest.param(2, "internal_error", "n1", "the step collect broke: FileNotFoundError", id="a-fault-of-ours"),
    ],
)
def test_f08_what_the_disk_refuses_is_a_failure_of_the_controller(cell, number, kind, node, words):
    result = Recorded()._recorded(Step("collect", refusing(number)), cell)
    known = cell.board.read("failure")
    assert result["failed"] and result["failure"] == known
    assert (known["error_kind"], known["node"]) == (kind, node)
    assert words in known["message"]
    assert [entry["phase"] for entry in journal.read(cell.plan.run_dir)] == ["begin", "end"]


def test_a_worker_whose_controller_is_gone_tells_of_no_failure(cell):
    left = replace(cell, plan=replace(cell.plan, owner=f"me@here:{os.getpid()}/boot"))
    result = Recorded()._recorded(Step("collect", refusing(5)), left)
    assert result["failed"] and "controller of the run is gone" in result["msg"]
    assert cell.board.read("failure") is None
    assert [entry["phase"] for entry in journal.read(cell.plan.run_dir)] == ["begin"]


@pytest.mark.parametrize("always", [True, False])
def test_f08_nodes_are_cleaned_without_a_journal_too(cell, always):
    (cell.plan.run_dir / journal.NAME).symlink_to(FULL)
    done = []
    result = Recorded()._recorded(Step("clean", lambda _cell: done.append("clean") or {}, always=always), cell)
    assert done == (["clean"] if always else [])
    assert result["failure"]["error_kind"] == "disk_full" and journal.NAME in result["failure"]["message"]
    assert cell.board.read("failure") == result["failure"]
    assert "; and the controller cannot write" in result["msg"], "the journal refuses the end as well"
