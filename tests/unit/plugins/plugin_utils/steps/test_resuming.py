# SPDX-License-Identifier: MIT
"""A run that goes on: what is finished stays, the open case begins again, and nobody's living run is touched."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal, owner
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import plan as run_plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import resuming
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import case_board, run_board


def of_a_dead_process():
    """Return the owner name of a process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return owner.name(owner.here(), process.pid)


@pytest.fixture
def cut_short(tmp_path, build):
    """A run of three cases: the first is finished, the second is open, the third was not begun."""
    cases = [build.case(ref=CaseRef("s", name, 1), index=index) for index, name in enumerate("abc")]
    made = build.plan(tmp_path, *cases, owner=of_a_dead_process(), environment={"TOKEN": "secret"})
    made.run_dir.mkdir()
    run_plan.save(made)
    shared = run_board(made.boards)
    shared.post("case-record.0", {"verdict": "pass"})
    shared.post("lease.n1", {"epoch": 4})
    shared.post("link.n1", {"socket": "/gone"})
    case_board(made.boards, 1).post("opened", {"t": 1.0})
    folder = cases[1].ref.folder(made.run_dir)
    folder.mkdir(parents=True)
    (folder / "test.log").write_text("half")
    return made


def test_what_is_finished_stays_and_the_open_case_begins_again(cut_short):
    going = resuming.reopen(cut_short.run_dir, "me", 9.0, ["n1"])
    assert (going.owner, run_plan.load(going.run_dir).owner) == ("me", "me")
    assert [case.ref.case for case in resuming.unfinished(going)] == ["b", "c"]
    assert (going.run_dir / "s" / "b.interrupted_1" / "test.log").read_text() == "half"
    assert not (going.run_dir / "s" / "b").exists()
    assert case_board(going.boards, 1).notes() == {}
    assert set(run_board(going.boards).notes()) == {"case-record.0"}
    assert run_plan.load(going.run_dir).environment == {"TOKEN": "secret"}
    (entry,) = journal.read(going.run_dir)
    assert entry == {"t": 9.0, "step": "resume", "phase": "begin", "owner": "me", "cases": [1, 2]}


def test_a_case_that_is_cut_short_twice_lies_there_twice(cut_short):
    first = resuming.reopen(cut_short.run_dir, of_a_dead_process(), 9.0, ["n1"])
    case_board(first.boards, 1).post("opened", {"t": 2.0})
    (first.run_dir / "s" / "b").mkdir()
    resuming.reopen(cut_short.run_dir, "me", 10.0, ["n1"])
    assert sorted(path.name for path in (cut_short.run_dir / "s").iterdir()) == ["b.interrupted_1", "b.interrupted_2"]


def test_a_case_whose_test_had_begun_stays_as_it_is_for_its_nodes_to_say(cut_short):
    board = case_board(cut_short.boards, 1)
    board.post("begun", {"t": 2.0})
    board.post("service.a", {"state": "ready"})
    journal.append(cut_short.run_dir, {"t": 6.5, "step": "test", "phase": "begin"})
    going = resuming.reopen(cut_short.run_dir, "me", 9.0, ["n1"])
    assert (going.run_dir / "s" / "b" / "test.log").read_text() == "half"
    assert set(case_board(going.boards, 1).notes()) == {"opened", "begun", "service.a", "resumable"}
    assert case_board(going.boards, 1).read("resumable") == {
        "at": "test",
        "ended": False,
        "epochs": {"n1": 4},
        "last": 6.5,
    }
    assert [resuming.is_resumable(going, case) for case in resuming.unfinished(going)] == [True, False]


def test_between_two_cases_nothing_is_put_aside(cut_short):
    run_board(cut_short.boards).post("case-record.1", {"verdict": "fail"})
    going = resuming.reopen(cut_short.run_dir, "me", 9.0, ["n1"])
    assert [case.ref.case for case in resuming.unfinished(going)] == ["c"]
    assert (going.run_dir / "s" / "b" / "test.log").exists()


def living(run_dir):
    made = run_plan.load(run_dir)
    run_plan.save(run_plan.RunPlan(**{**vars(made), "owner": owner.name(owner.here(), os.getpid())}))
    return run_dir


def elsewhere(run_dir):
    made = run_plan.load(run_dir)
    run_plan.save(run_plan.RunPlan(**{**vars(made), "owner": "me@another-host:1/boot-1"}))
    return run_dir


def ended(run_dir):
    (run_dir / "summary.json").write_text("{}")
    return run_dir


def damaged(run_dir):
    (run_dir / "plan.json").write_text('{"x":')
    return run_dir


def without_values(run_dir):
    run_plan.forget_values(run_dir)
    return run_dir


REFUSED = {
    "the caller's values are gone": (without_values, "TOKEN of the caller's environment is not kept any more"),
    "damaged": (damaged, r"plan\.json cannot be read .*`testcell cleanup 20260101_000000` ends the run"),
    "F12 alive": (living, "not proved dead"),
    "F12 on another machine": (elsewhere, "not proved dead: me@another-host"),
    "ended": (ended, "has its summary"),
    "no run": (lambda run_dir: run_dir.parent / "20990101_000000", "there is no plan"),
    "no run id": (lambda run_dir: run_dir.parent / "..", "is no run id"),
}


@pytest.mark.parametrize(("change", "why"), REFUSED.values(), ids=REFUSED)
def test_a_run_that_cannot_go_on_says_why_and_is_left_alone(cut_short, change, why):
    place = change(cut_short.run_dir)
    before = sorted(path.relative_to(cut_short.run_dir) for path in cut_short.run_dir.rglob("*"))
    with pytest.raises(InputError, match=why):
        resuming.reopen(place, "me", 9.0, ["n1"])
    assert sorted(path.relative_to(cut_short.run_dir) for path in cut_short.run_dir.rglob("*")) == before


@pytest.mark.parametrize("wait_s", [0, 60])
def test_how_long_it_waits_for_nodes_is_said_anew(cut_short, wait_s):
    run_plan.save(run_plan.RunPlan(**{**vars(run_plan.load(cut_short.run_dir)), "wait_s": 5}))
    assert resuming.reopen(cut_short.run_dir, "me", 9.0, ["n1"], wait_s).wait_s == wait_s


def test_it_waits_no_longer_than_a_run_may(cut_short):
    with pytest.raises(InputError, match=r"testcell_wait_s: is out of range; got .*-1; allowed: 0\.\.604800 seconds"):
        resuming.reopen(cut_short.run_dir, "me", 9.0, ["n1"], -1)


def test_f07_a_run_that_only_lacks_its_summary_goes_on_without_the_callers_values(cut_short):
    for index in (1, 2):
        run_board(cut_short.boards).post(f"case-record.{index}", {"verdict": "pass"})
    run_plan.forget_values(cut_short.run_dir)
    going = resuming.reopen(cut_short.run_dir, "me", 9.0, ["n1"])
    assert list(resuming.unfinished(going)) == [] and going.environment == {}


def test_an_inventory_without_a_node_of_the_run_is_refused(cut_short):
    with pytest.raises(InputError, match="the inventory does not have n1; give the one that the run had"):
        resuming.reopen(cut_short.run_dir, "me", 9.0, ["other"])
    assert (cut_short.run_dir / "s" / "b" / "test.log").exists()
