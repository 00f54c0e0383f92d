# SPDX-License-Identifier: MIT
"""The guard undoes what is overdue, and what nobody else will undo; what the runner still has time for is left to it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import guard, plan, records
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.guard import Guard
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


@pytest.fixture
def play(scene, monkeypatch):
    """Run a guard to its end; return what it undid. runner: whether the runner lives."""

    def run(runner=True, duration_s=60.0, asked=False, boot=""):
        begin = {"t": 5e9, "b": 1000.0, "boot_id": boot or procs.boot_id(), "duration_s": duration_s}
        (scene.ctx.case_dir / "soak" / "begin.json").write_text(json.dumps(begin))
        made = Guard(scene.ctx, plan.parse({"duration_s": duration_s}))
        monkeypatch.setattr(Guard, "_runner_lives", lambda _self: runner)
        if asked:
            made.end()
        made.run()
        return [one for one in scene.fake.said if one.startswith("undo")]

    return run


def test_a_fault_past_its_expiry_is_undone_by_it(play, scene, record):
    """F63"""
    scene.fake.world[:] = ["a", "b"]
    scene.kept.save(record("a", expires=1020.0))
    scene.kept.save(record("b", expires=1010.0))
    assert play() == ["undo b", "undo a"]
    for name, expiry in (("a", 1020.0), ("b", 1010.0)):
        line = scene.line("verified", name)
        assert line["by"] == "guard"
        assert guard.LATE_S <= line["b"] - expiry <= guard.LATE_S + 1


@pytest.mark.parametrize(
    ("state", "runner", "asked", "by"),
    [
        pytest.param("armed", False, False, 1001.0, id="F63-nobody-knows-whether-it-began"),
        pytest.param("armed", True, False, 1053.0, id="the-runner-is-about-to-begin-it"),
        pytest.param("injected", False, False, 1053.0, id="it-lasts-as-planned"),
        pytest.param("injected", False, True, 1001.0, id="nobody-else-ends-it"),
        pytest.param("injected", True, True, 1053.0, id="the-runner-ends-it"),
    ],
)
def test_when_a_fault_is_undone(play, scene, record, state, runner, asked, by):
    scene.fake.world[:] = ["e"]
    scene.kept.save(record(state=state, expires=1050.0))
    play(runner=runner, asked=asked)
    assert by - 2 < scene.line("undone")["b"] <= by


def test_a_fault_whose_beginning_took_longer_than_it_was_to_last_is_left_to_its_new_end(
    play, scene, record, monkeypatch
):
    """The guard has found it overdue, and then waits until the runner has begun it."""
    scene.fake.world[:] = ["e"]
    scene.kept.save(record(state="armed", expires=1001.0))
    locked = records.Records.locked

    def begun_first(kept, name):
        if kept.load(name).state == "armed":
            kept.save(records.injected(kept.load(name), 1030.0))
        return locked(kept, name)

    monkeypatch.setattr(records.Records, "locked", begun_first)
    play()
    assert 1030 + guard.LATE_S <= scene.line("undone")["b"] <= 1033


def test_what_cannot_be_undone_at_first_is_tried_until_it_is(play, scene, record):
    answers = [CellError("docker_daemon_down", "no engine")] * 3
    scene.fake.faults["undo"] = lambda: answers.pop() if answers else None
    scene.fake.world[:] = ["e"]
    scene.kept.save(record())
    assert len(play(duration_s=0.0)) == 4
    assert scene.kept.open() == []


def test_a_record_that_cannot_be_read_keeps_no_other_from_being_undone(play, scene, record):
    scene.kept.save(record("a"))
    scene.kept.save(record("b"))
    (scene.kept.folder / "a.json").write_text("{")
    assert play(duration_s=0.0) == ["undo b"]


@pytest.mark.parametrize(
    "fields", [{"duration_s": 5.0}, {"boot": "another boot"}], ids=["the-load-is-over", "after-a-boot"]
)
def test_it_ends_when_nothing_is_open_any_more(play, scene, fields):
    assert play(**fields) == []
    assert scene.clock.now < 1007.0
