# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import clear, record
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure

NOTHING = {
    "stopped": [],
    "removed": {"containers": 0},
    "errors": [],
    "cause": [],
    "emergency": False,
    "seconds": 0.1,
}


@pytest.mark.parametrize("step", [clear.stop, clear.clean])
@pytest.mark.parametrize("snapshot", [True, False])
def test_an_engine_is_needed_where_something_was_given_to_it(make_cell, build, step, snapshot):
    node = build.node(stop=NOTHING, clean=NOTHING)
    node.engine = True
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    if snapshot:
        cell.board.post("snapshot.n1", {})
    step(cell)
    assert node.engine is snapshot


HELD = {"kind": "x", "reason": "3 runs failed", "run": "r", "since": 0.0, "until": 86400.0}
DIRTY = {"clean": False, "leftovers": [{"type": "volume", "name": "v"}], "foreign": [], "gone": [], "errors": []}


def failed(node, kind):
    return {"error_kind": kind, "node": node, "message": "x", "service": "", "evidence": []}


def test_a_node_that_is_not_as_it_was_is_quarantined_with_what_is_left(make_cell, build):
    node = build.node(verify=DIRTY, quarantine={"quarantine": HELD, "blames": []}, lease={})
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    cell.board.post("snapshot.n1", {})
    cell.shared.post("lease.n1", {"epoch": 1})
    with pytest.raises(
        StepFailure, match=r"volume v .*; no run gets it for 24 h, until `testcell cleanup --all --lift`"
    ):
        clear.close(cell)
    asked = [args for op, args in node.calls if op == "quarantine"]
    assert [(args["action"], args["kind"]) for args in asked] == [("set", "cleanup_failed")]
    assert node.calls[-1] == ("lease", {"action": "release"}), "it is given back all the same"


BLAMED = [
    ([("n1", "disk_full")], ["disk_full"]),
    ([("n2", "disk_full")], []),
    ([("n1", "container_exited")], []),
    ([("n1", "cleanup_failed")], []),
    ([("n1", "port_conflict"), ("n1", "ssh_auth")], []),
    ([("n1", "ssh_dropped"), ("n1", "gpu_fault")], ["gpu_fault"]),
    ([], []),
]


@pytest.mark.parametrize(("failures", "blamed"), BLAMED)
@pytest.mark.parametrize("held", [None, HELD], ids=["not yet", "the third"])
def test_f25_a_node_is_told_of_failures_that_are_its_own(make_cell, build, failures, blamed, held):
    node = build.node(quarantine={"quarantine": held, "blames": []}, lease={})
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    for number, (name, kind) in enumerate(failures):
        cell.board.post("failure" if not number else f"later-failure.s.{number}", failed(name, kind))
    clear.close(cell)
    assert [args["kind"] for op, args in node.calls if op == "quarantine"] == blamed
    told = [line for line in cell.say.__self__ if "3 runs failed" in line]
    assert bool(told) == bool(held and blamed)


def test_a_node_on_which_nothing_was_made_is_clean(make_cell, build):
    cell = make_cell(build.case(services=[build.service("a")]), client=build.node())
    assert clear.verify(cell)["clean"] and record.verification(cell.case, cell.board) == {
        "n1": {"clean": True, "untouched": True}
    }


LEAK = {"error_kind": "process_leak", "what": "process 7", "error": "sleep 9: ignores KILL in state D"}
FAULT = {"error_kind": "chaos_not_reverted", "what": "fault e of run r", "error": "container web is paused"}
STAYS = {"error_kind": "docker_leftover", "what": "network n", "error": "has active endpoints"}


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([LEAK], "process_leak"),
        ([STAYS], "cleanup_failed"),
        ([STAYS, LEAK], "process_leak"),
        ([LEAK, FAULT], "chaos_not_reverted"),
    ],
)
@pytest.mark.parametrize("step", [clear.stop, clear.clean])
def test_f34_what_stays_is_a_failure_that_names_it(make_cell, build, step, errors, kind):
    answer = {**NOTHING, "errors": errors, "cause": errors, "emergency": True}
    cell = make_cell(build.case(services=[build.service("a")]), client=build.node(stop=answer, clean=answer))
    with pytest.raises(StepFailure) as caught:
        step(cell)
    assert caught.value.kind == kind
    assert all(error["error"] in str(caught.value) for error in errors)


def test_emergency_cleaning_is_told_and_counted_also_when_it_helped(make_cell, build):
    answer = {**NOTHING, "cause": [STAYS], "emergency": True}
    cell = make_cell(build.case(services=[build.service("a")]), client=build.node(clean=answer))
    assert clear.clean(cell) == {"containers": 0, "seconds": 0.1, "emergency": True}
    assert cell.say.__self__ == ["n1 needed emergency cleaning: has active endpoints"]
    assert cell.board.read("cleaned.n1") == answer


def test_f34_a_process_that_stays_quarantines_the_node_as_a_leak(make_cell, build):
    left = {"type": "process", "name": "7", "detail": "sleep 9", "owner": "r", "age_s": 3.0}
    node = build.node(verify={**DIRTY, "leftovers": [left]}, quarantine={"quarantine": HELD, "blames": []}, lease={})
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    cell.board.post("snapshot.n1", {})
    with pytest.raises(StepFailure, match=r"process 7 \(sleep 9, owner r, 3.0 s old\)") as caught:
        clear.verify(cell)
    assert caught.value.kind == "process_leak"
    assert [args["kind"] for op, args in node.calls if op == "quarantine"] == ["process_leak"]


def test_a_list_that_could_not_be_made_is_told_as_one(make_cell, build):
    error = {"what": "containers", "error_kind": "docker_timeout", "error": "no answer", "when": "after"}
    gone = {"ok": False, "error_kind": "docker_timeout", "error": "no answer", "life": ""}
    node = build.node(
        verify={**DIRTY, "leftovers": [], "errors": [error]},
        quarantine={"quarantine": HELD, "blames": []},
        lease={},
        facts={"engine": gone},
    )
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    cell.board.post("snapshot.n1", {})
    with pytest.raises(StepFailure, match="containers could not be listed after: no answer"):
        clear.verify(cell)


AWAY = {"what": "c", "error_kind": "docker_timeout", "error": "no answer in time", "when": "after"}
STEPS = {
    "stop": (clear.stop, {**NOTHING, "errors": [AWAY]}, NOTHING),
    "clean": (clear.clean, {**NOTHING, "errors": [AWAY], "emergency": True}, NOTHING),
    "verify": (clear.verify, {**DIRTY, "errors": [AWAY]}, {**DIRTY, "clean": True, "leftovers": []}),
}


@pytest.mark.parametrize("comes_back", [True, False])
@pytest.mark.parametrize("step", STEPS)
def test_f29_a_node_whose_engine_is_frozen_is_cleaned_once_that_goes_on(make_cell, build, step, comes_back):
    act, refused, done = STEPS[step]
    answers = iter([refused, done if comes_back else refused])
    engine = {"ok": comes_back, "error_kind": "" if comes_back else "docker_timeout", "error": "", "life": ""}
    held = {"quarantine": HELD, "blames": []}
    node = build.node(**{step: lambda **_: next(answers)}, facts={"engine": engine}, quarantine=held)
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    cell.board.post("snapshot.n1", {})
    if comes_back:
        act(cell)
        assert [op for op, _ in node.calls] == [step, "facts", step]
        return
    with pytest.raises(StepFailure) as caught:
        act(cell)
    assert caught.value.kind == ("cleanup_failed" if step == "verify" else "docker_timeout")


def test_two_tries_of_a_cleaning_are_counted_together(make_cell, build):
    first = {
        "removed": {"containers": 2, "files": 0},
        "errors": [AWAY],
        "cause": [STAYS],
        "emergency": True,
        "seconds": 1.0,
    }
    last = {"removed": {"containers": 1, "files": 9}, "errors": [], "cause": [], "emergency": False, "seconds": 0.5}
    answers = iter([first, last])
    node = build.node(clean=lambda **_: next(answers), facts={"engine": {"ok": True, "error_kind": "", "error": ""}})
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    cell.board.post("snapshot.n1", {})
    assert clear.clean(cell) == {"containers": 3, "files": 9, "seconds": 1.5, "emergency": True}
    assert cell.board.read("cleaned.n1")["cause"] == [STAYS]


def test_what_strangers_did_is_shown_and_the_node_is_clean(make_cell, build):
    stranger = {"type": "container", "name": "c", "owner": "", "age_s": None}
    node = build.node(verify={**DIRTY, "clean": True, "leftovers": [], "foreign": [stranger]})
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    cell.board.post("snapshot.n1", {})
    assert clear.verify(cell) == {"clean": True, "foreign": 1}
    assert cell.say.__self__ == ["n1: new since the start and not ours: container c (owner unknown, age unknown)"]
