# SPDX-License-Identifier: MIT
"""The next contact undoes what nobody else did, in an order in which it can be done, and tells what was undone and not told."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import contact, records
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.journal import Journal
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

TOLD = {"undone": {}, "verified": {"left": []}, "verified in vain": {"left": ["it is there"]}}


@pytest.fixture
def undo(scene):
    """Undo what is open of some runs; return what the report says: ids undone, ids left."""

    def call(*runs):
        report = contact.undo(scene.ctx, None, runs or ["r1"])
        return [one["id"] for one in report.undone], [one["id"] for one in report.left]

    return call


def needs(scene, what, other):
    """Let a fault be undone only where another one is gone."""

    def undone():
        asked = scene.fake.said[-1].split()[-1]
        return CellError("docker_daemon_down", "no engine") if asked == what and other in scene.fake.world else None

    scene.fake.faults["undo"] = undone


def test_the_newest_is_undone_first(scene, record, undo):
    scene.fake.world[:] = ["a", "b", "c"]
    for name in "abc":
        scene.kept.save(record(name))
    assert undo() == (["c", "b", "a"], [])
    assert not scene.kept.folder.exists()


@pytest.mark.parametrize(("what", "other"), [("b", "a"), ("a", "b")], ids=["an older one", "a newer one"])
def test_what_waits_for_another_fault_is_undone_after_it(scene, record, undo, what, other):
    """G1: a container can be started again once its engine is back"""
    needs(scene, what, other)
    scene.fake.world[:] = ["a", "b"]
    for name in "ab":
        scene.kept.save(record(name))
    assert undo() == ([other, what], [])
    assert scene.phases(what) == ["undone", "verified"]
    assert scene.fake.world == []


def test_what_waits_for_a_fault_of_another_run_is_undone_after_it(scene, record, undo):
    needs(scene, "a", "b")
    scene.fake.world[:] = ["a", "b"]
    scene.kept.save(record("a"))
    other = records.Records(scene.ctx.root, "r0")
    other.save(record("b", run="r0"))
    assert undo("r1", "r0") == (["b", "a"], [])
    assert not other.folder.exists()


def test_what_does_not_go_is_tried_no_more_once_nothing_else_goes(scene, record, undo):
    needs(scene, "a", "a")
    scene.fake.world[:] = ["a", "b"]
    for name in "ab":
        scene.kept.save(record(name))
    assert undo() == (["b"], ["a"])
    assert scene.fake.said.count("undo a") == 2
    assert [one.id for one in scene.kept.open()] == ["a"]


@pytest.mark.parametrize(
    ("said", "phases"),
    [
        pytest.param([], ["undone", "verified"], id="neither"),
        pytest.param(["undone"], ["undone", "verified"], id="half"),
        pytest.param(["undone", "verified"], ["undone", "verified"], id="all"),
        pytest.param(["verified in vain"], ["verified", "undone", "verified"], id="an attempt in vain"),
    ],
)
def test_f63_what_was_undone_by_somebody_who_was_killed_is_told_once(scene, record, undo, said, phases):
    journal = Journal(scene.ctx.root, record().log, "guard", scene.clock)
    for phase in said:
        journal.say({"id": "e", "kind": "kill", "target": {}}, phase.split()[0], **TOLD[phase])
    scene.kept.save(record("e", state="undone", undone_at=1.0))
    scene.fake.world[:] = ["other"]
    scene.kept.save(record("other"))
    assert undo() == (["other"], [])
    assert scene.phases() == phases
    assert "undo e" not in scene.fake.said
    assert scene.phases("other") == ["undone", "verified"]


def test_what_cannot_be_told_keeps_nobody_from_undoing_others(scene, record, undo):
    """F25: a closed fault whose log cannot be written, and open faults of this run and of another."""
    closed = record("e", state="undone", undone_at=1.0)
    (scene.ctx.root / closed.log).mkdir(parents=True)
    scene.kept.save(closed)
    scene.fake.world[:] = ["b"]
    other = records.Records(scene.ctx.root, "r2")
    other.save(record("b", run="r2", log="other.log"))
    assert undo("r1", "r2") == (["b"], [])
    assert not scene.kept.folder.exists()
    assert not other.folder.exists()
