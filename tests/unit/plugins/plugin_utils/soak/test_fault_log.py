# SPDX-License-Identifier: MIT
"""What became of faults, by what their nodes said."""

from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import fault_log
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.begin import Begin
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.schedule import Injection

BEGIN = Begin(1_000_000.0, 500.0, "boot", 60.0, None)
KILL = Injection("kill.0", "kill", 5.0, 3.0, "n1", "a", {}, 30.0, True)
RECORD, INJECTED = ("record", 505.1, {}), ("injected", 505.3, {})
FELT = ("effect", 505.4, {"applied": True, "measured": {"state": "exited", "pid": 0, "odd": [1]}, "why": ""})
UNDONE, CLEAN = ("undone", 508.2, {}), ("verified", 508.3, {"left": []})
CONTROL = ("control", 505.0, {"applied": False, "measured": {}})
WHOLE = (CONTROL, RECORD, INJECTED, FELT, UNDONE, CLEAN, ("recovered", 511.0, {"rto_s": 2.8}))


def write(folder, *said, end="\n", name="kill.0"):
    """Write a node's chaos.jsonl: (phase, seconds since boot, more) each."""
    folder.mkdir(exist_ok=True)
    lines = [
        {"t": 1_000_000.0 + b - 500.0, "b": b, "id": name, "phase": phase, "kind": "kill", "target": {}, **more}
        for phase, b, more in (("planned", 499.0, {"at_s": 5.0}), *said)
    ]
    (folder / fault_log.FILE).write_text("\n".join(map(json.dumps, lines)) + end)


def fault(folder, *said):
    write(folder, *said)
    lines, problems = fault_log.read("n1", folder, BEGIN)
    assert problems == ()
    (found,) = fault_log.faults([KILL], lines)
    return found


def test_a_fault_is_told_with_its_times_since_the_load_began(tmp_path):
    found = fault(tmp_path, *WHOLE)
    assert (found.outcome, found.target, found.kind, found.allowance_s) == ("injected", "n1/a", "kill", 30.0)
    assert (found.began_s, found.undone_s, found.recovered_s) == (5.1, 8.2, 11.0)
    assert (found.control, found.applied, found.reverted, found.why) == (False, True, True, "")
    assert found.measured == {"state": "exited", "pid": 0}


@pytest.mark.parametrize(
    ("kind", "service", "target"),
    [("kill", "a", "n1/a"), ("dockerd_restart", "", "n1"), ("network_cut", "", "n1"), ("pressure", "", "load")],
)
def test_a_fault_is_aimed_at_a_service_a_node_or_the_load(kind, service, target):
    planned = Injection("x.0", kind, 5.0, 3.0, "n1", service, {}, 30.0, True)
    (found,) = fault_log.faults([planned], ())
    assert found.target == target


CASES = {
    "F65-target-gone": ([("target_gone", 505.0, {"why": "no container"})], "target_gone", None, "no container"),
    "F67-unsupported": ([("unsupported", 505.0, {"why": "no iptables"})], "unsupported", None, "no iptables"),
    "G07-never-reached": ([("not_reached", 505.0, {"why": "the soak ended"})], "not_reached", None, "the soak ended"),
    "not-felt": (
        [CONTROL, RECORD, INJECTED, UNDONE, CLEAN, ("not_applied", 510.0, {"why": "no effect"})],
        "not_applied",
        5.1,
        "no effect",
    ),
    "felt-before": (
        [("control", 505.0, {"applied": True}), ("not_applied", 505.0, {"why": "x"})],
        "not_applied",
        None,
        "x",
    ),
    "record-and-no-injection": (
        [CONTROL, RECORD, ("not_reached", 505.2, {"why": "late"})],
        "not_reached",
        None,
        "late",
    ),
    "F63-undone-by-the-guard": (
        [CONTROL, RECORD, INJECTED, ("undone", 540.0, {"by": "guard"}), CLEAN],
        "injected",
        5.1,
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_not_as_planned_is_told(tmp_path, name):
    said, outcome, began, why = CASES[name]
    found = fault(tmp_path, *said)
    assert (found.outcome, found.began_s, found.why) == (outcome, began, why)


def test_what_is_left_of_a_fault_is_named(tmp_path):
    found = fault(
        tmp_path, CONTROL, RECORD, INJECTED, FELT, UNDONE, ("verified", 508.3, {"left": ["rule 1", "rule 2"]})
    )
    assert (found.reverted, found.why) == (False, "rule 1; rule 2")


QUIET = ("effect", 505.4, {"applied": False, "measured": {"running": 1}, "why": "container x runs"})
LOUD = ("control", 505.0, {"applied": True, "measured": {"running": 0}})
CONTROLS = {
    "nothing-felt": ([CONTROL, RECORD, QUIET, UNDONE, CLEAN], ("control", False, False, True)),
    "felt": ([CONTROL, RECORD, FELT, UNDONE, CLEAN, ("failed", 509.0, {"why": "x"})], ("control", False, True, True)),
    "felt-before": ([LOUD, ("not_applied", 505.1, {"why": "x"})], ("control", True, None, None)),
    "injected": ([CONTROL, RECORD, INJECTED, QUIET, UNDONE, CLEAN], ("injected", False, False, True)),
    "F65-target-gone": ([("target_gone", 505.0, {"why": "x"})], ("target_gone", None, None, None)),
    "never-measured": ([CONTROL, RECORD], ("not_reached", False, None, None)),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_faults_of_a_negative_control_have_an_outcome_of_their_own(tmp_path, name):
    said, expected = CONTROLS[name]
    write(tmp_path, *said)
    (found,) = fault_log.faults([KILL], fault_log.read("n1", tmp_path, BEGIN)[0], negative_control=True)
    assert (found.outcome, found.control, found.applied, found.reverted) == expected


def test_a_fault_that_nobody_speaks_of_was_not_reached():
    (found,) = fault_log.faults([KILL], [])
    assert (found.outcome, found.began_s, found.why) == ("not_reached", None, fault_log.UNTOLD)


def test_an_undo_that_is_told_twice_counts_when_it_was_done_first(tmp_path):
    assert fault(tmp_path, *WHOLE, ("undone", 600.0, {"by": "contact"})).undone_s == 8.2


@pytest.mark.parametrize("bad", ["{", "[]", '{"id": 1}', '{"id": "x", "phase": "record", "b": "NaN", "t": 1}'])
def test_a_line_that_says_nothing_is_named_and_the_others_count(tmp_path, bad):
    write(tmp_path, *WHOLE)
    path = tmp_path / fault_log.FILE
    path.write_text(bad + "\n" + path.read_text())
    lines, problems = fault_log.read("n1", tmp_path, BEGIN)
    assert [(problem.file, problem.line) for problem in problems] == [(fault_log.FILE, 1)]
    assert fault_log.faults([KILL], lines)[0].recovered_s == 11.0


def test_a_line_that_was_being_written_is_left_out(tmp_path):
    write(tmp_path, *WHOLE, end="")
    lines, problems = fault_log.read("n1", tmp_path, BEGIN)
    assert (lines[-1].phase, problems) == ("verified", ())


def test_a_node_without_faults_says_nothing(tmp_path):
    assert fault_log.read("n1", tmp_path, BEGIN) == ((), ())
