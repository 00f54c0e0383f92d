# SPDX-License-Identifier: MIT
"""An event is told phase by phase, is on disk before it begins, and is undone whatever goes wrong."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import contact, happening
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.fault import Gone
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.readiness import State

WHOLE = ["control", "record", "injected", "effect", "undone", "verified", "recovered"]


def test_a_fault_lasts_as_long_as_planned_by_the_time_since_boot(scene):
    scene.play({"id": "e"})
    assert scene.phases() == WHOLE
    assert scene.line("control")["b"] == pytest.approx(1001.0, abs=0.01)
    assert scene.line("undone")["b"] - scene.line("injected")["b"] == pytest.approx(10.0, abs=0.01)
    assert scene.line("recovered")["rto_s"] == pytest.approx(1.0, abs=0.01)
    assert scene.fake.world == []
    assert [one.state for one in scene.kept.all()] == ["undone"]


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_wall_clock_that_jumps_moves_nothing(scene, jump):
    """F60, F62"""
    scene.hands.at = {1003.0: lambda: scene.clock.turn(jump)}
    scene.play({"id": "e"})
    assert scene.line("undone")["b"] - scene.line("injected")["b"] == pytest.approx(10.0, abs=0.01)
    assert scene.line("recovered")["rto_s"] >= 0


def test_the_record_is_on_disk_before_anything_is_changed(scene):
    seen = []
    scene.fake.faults["inject"] = lambda: seen.append(scene.kept.load("e").state)
    scene.play({"id": "e"})
    assert seen == ["armed"]


def test_an_effect_that_is_not_measured_is_not_survived(scene):
    """F67"""
    scene.fake.faults["felt"] = lambda: False
    scene.play({"id": "e"})
    assert scene.phases() == [*WHOLE[:-1], "not_applied"]
    assert scene.line("not_applied")["why"] == "nothing is felt"
    assert scene.line("undone")["b"] - scene.line("injected")["b"] == pytest.approx(happening.EFFECT_S, abs=0.2)


def test_what_is_felt_before_is_not_begun(scene):
    scene.fake.faults["felt"] = lambda: True
    scene.play({"id": "e"})
    assert scene.phases() == ["control", "not_applied"]
    assert "inject e" not in scene.fake.said


@pytest.mark.parametrize(
    ("fault", "phases"),
    [
        pytest.param({"prepare": Gone("no container")}, ["target_gone"], id="F65-before"),
        pytest.param({"inject": Gone("it had ended")}, ["control", "record", "undone", "verified", "target_gone"], id="F65-at-the-injection"),
        pytest.param({"undo": Gone("it is removed")}, WHOLE, id="F65-at-the-undo"),
        pytest.param({"inject": CellError("docker_timeout", "slow")}, ["control", "record", "undone", "verified", "failed"], id="half-done"),
        pytest.param({"inject": ValueError("bug")}, ["control", "record", "failed"], id="a-bug-is-left-to-the-guard"),
        pytest.param({"effect": OSError(5, "no")}, ["failed"], id="F67-no-control"),
        pytest.param({"lacking": "tc is not there"}, ["unsupported"], id="F67-lacking"),
        pytest.param({"inject": CellError("chaos_unsupported", "no")}, ["control", "record", "undone", "verified", "unsupported"], id="F67-at-the-injection"),
    ],
)  # fmt: skip
def test_whatever_goes_wrong_is_told_and_undone(scene, fault, phases):
    scene.fake.faults = fault
    scene.play({"id": "e"})
    assert scene.phases() == phases
    bug = phases[-1] == "failed" and "record" in phases and "undone" not in phases
    assert bool(scene.kept.open()) == bug


def test_one_event_that_breaks_does_not_disturb_another(scene):
    scene.fake.faults["inject"] = ValueError("bug")
    scene.play({"id": "a"}, {"id": "b", "at_s": 5})
    assert scene.phases("a")[-1] == scene.phases("b")[-1] == "failed"


def test_an_undo_that_fails_at_first_is_done_again(scene):
    answers = [CellError("docker_daemon_down", "no engine"), CellError("docker_daemon_down", "no engine"), None]
    scene.fake.faults["undo"] = lambda: answers.pop(0) if answers else None
    scene.play({"id": "e"})
    assert scene.phases() == WHOLE


def test_what_is_left_for_good_is_told_and_stays_on_record(scene):
    scene.fake.world.append("left over")
    scene.play({"id": "e"})
    assert scene.phases() == ["control", "record", "injected", "effect", "verified", "failed"]
    assert scene.line("verified")["left"] == ["e is there"]
    (told,) = contact.listed(scene.ctx)
    assert (told["id"], told["run"], told["held"]) == ("e", "r1", False)
    with pytest.raises(CellError) as caught:
        contact.refuse_open(scene.ctx)
    assert caught.value.kind == "chaos_not_reverted"


def test_a_negative_control_injects_nothing(scene):
    scene.play({"id": "e"}, negative_control=True)
    assert scene.phases() == [phase for phase in WHOLE if phase != "injected"]
    assert "inject e" not in scene.fake.said


@pytest.mark.parametrize("negative", [False, True], ids=["a fault", "a negative control"])
def test_f63_whether_a_fault_was_half_begun_is_on_disk_while_it_begins(scene, negative):
    seen = []
    for step in ("effect", "inject", "undo"):
        scene.fake.faults[step] = lambda step=step: seen.append((step, getattr(scene.kept.load("e"), "half", None)))
    scene.play({"id": "e"}, negative_control=negative)
    injected = [] if negative else [("inject", True)]
    assert seen == [("effect", None), *injected, ("effect", False), ("undo", False)]


def test_a_negative_control_that_feels_something_fails(scene):
    answers = [False, True]
    scene.fake.faults["felt"] = lambda: answers.pop(0)
    scene.play({"id": "e"}, negative_control=True)
    assert scene.phases()[-1] == "failed"


def test_faults_of_one_target_are_undone_in_order(scene):
    """F66: the later one first"""
    scene.play({"id": "a", "duration_s": 5.0}, {"id": "b", "at_s": 3.0, "duration_s": 20.0})
    assert scene.phases("a") == scene.phases("b") == WHOLE
    assert [one for one in scene.fake.said if one.startswith("undo")] == ["undo b", "undo a"]
    assert scene.kept.load("a").expires >= scene.line("undone", "b")["b"]
    assert scene.fake.world == []


def test_f66_faults_that_are_late_begin_in_the_order_of_their_times(last_first):
    """The load's begin was seen when all of them were due: the one that was to come first lies below the others."""
    last_first.clock.go(4.0)
    last_first.play({"id": "a"}, {"id": "b", "at_s": 2.0}, {"id": "c", "at_s": 3.0, "duration_s": 20.0})
    assert [one for one in last_first.fake.said if one.startswith("inject")] == ["inject a", "inject b", "inject c"]
    assert [one for one in last_first.fake.said if one.startswith("undo")] == ["undo c", "undo b", "undo a"]
    assert last_first.phases("a") == last_first.phases("b") == last_first.phases("c") == WHOLE


def test_f66_one_that_cannot_begin_does_not_hold_up_those_after_it(last_first):
    refusals = [CellError("chaos_unsupported", "not here")]
    last_first.fake.faults["prepare"] = lambda: refusals.pop() if refusals else None
    last_first.play({"id": "a"}, {"id": "b"})
    assert last_first.phases("a") == ["unsupported"]
    assert last_first.phases("b") == WHOLE


def test_a_fault_of_the_whole_node_begins_after_what_is_being_undone(scene):
    """F66: what it would cut off in the middle would seem undone"""
    answers = [CellError("docker_daemon_down", "no engine")] * 6
    scene.fake.faults["undo"] = lambda: answers.pop() if answers else None
    scene.play({"id": "e", "duration_s": 1.0}, {"id": "d", "kind": "dockerd_restart", "at_s": 3.0, "duration_s": 2.0})
    assert scene.phases("e") == scene.phases("d") == WHOLE
    assert [one for one in scene.fake.said if one in ("prepare d", "undo e")] == ["undo e"] * 7 + ["prepare d"]


@pytest.mark.parametrize("service", ["", "web"], ids=["of the node", "of a service"])
@pytest.mark.parametrize("at_s", [0.5, 3.0], ids=["begun before", "begun later"])
def test_nothing_is_undone_while_the_whole_node_is_down(scene, at_s, service, monkeypatch):
    """F66"""
    monkeypatch.setattr(happening, "by_service", lambda _found: {"web": [scene.fake]})
    monkeypatch.setattr(happening, "containers", lambda *_: [])
    monkeypatch.setattr(happening.Happening, "_pid", lambda *_: 1)
    scene.fake.id = "c" * 64
    down = {"id": "d", "kind": "dockerd_restart", "duration_s": 9.0}
    scene.play({"id": "e", "at_s": at_s, "duration_s": 2.0, "service": service}, down)
    assert scene.phases("e") == scene.phases("d") == WHOLE
    assert [one for one in scene.fake.said if one.startswith("undo")] == ["undo d", "undo e"]
    assert scene.kept.load("e").expires >= (scene.line("undone", "d")["b"] if at_s < 1 else 0)


def test_the_end_of_all_undoes_what_is_open_and_reaches_nothing_more(scene):
    scene.hands.at = {1005.0: scene.end}
    scene.play({"id": "e", "duration_s": 60.0}, {"id": "later", "at_s": 50.0})
    assert scene.phases() == WHOLE
    assert scene.line("undone")["b"] == pytest.approx(1005.0, abs=1.0)
    assert scene.phases("later") == ["not_reached"]


def test_f63_what_was_to_come_long_before_anybody_knew_of_the_load_does_not_come_now(scene):
    scene.clock.go(60.0)
    scene.play({"id": "missed"}, {"id": "just", "at_s": 40.0}, {"id": "e", "at_s": 70.0})
    assert scene.phases("missed") == ["not_reached"]
    assert (
        scene.line("not_reached", "missed")["why"] == "its time was over for 59 s when the load was known to have begun"
    )
    assert scene.phases("just") == scene.phases() == WHOLE


def test_no_fault_outlasts_the_load(scene):
    scene.play({"id": "e", "at_s": 90.0, "duration_s": 60.0}, {"id": "late", "at_s": 100.0}, duration_s=100.0)
    assert scene.line("undone")["b"] == pytest.approx(1100.0, abs=0.1)
    assert scene.phases("late") == ["not_reached"]


@pytest.mark.parametrize(
    ("state", "phase", "after_s"),
    [
        pytest.param(State("starting", "HTTP 503"), "not_recovered", happening.RECOVERY_S, id="never-ready"),
        pytest.param(State("failed", "no container", "container_gone"), "target_gone", 0, id="F65-gone-for-good"),
    ],
)
def test_a_target_that_does_not_come_back_is_told(scene, state, phase, after_s):
    scene.ready[:] = [{"web": state}] * 1000
    scene.play({"id": "e"})
    assert scene.phases()[-2:] == ["verified", phase]
    assert scene.line(phase)["b"] - scene.line("undone")["b"] >= after_s


def test_what_the_guard_has_undone_is_not_undone_twice(scene, record):
    """F63: a runner that was late"""

    def by_guard():
        scene.fake.world.clear()
        scene.kept.save(record("e", state="undone", undone_at=1004.0))

    scene.hands.at = {1004.0: by_guard}
    scene.play({"id": "e"})
    assert scene.phases() == ["control", "record", "injected", "effect", "recovered"]
    assert scene.line("recovered")["rto_s"] > 6
