# SPDX-License-Identifier: MIT
"""The verdict of a soak and of its run."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import judging, soak_judging
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import case_board, run_board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import failure
from soakfiles import settings_of, write_faults, write_load, write_node

EXITED = {"state": "exited", "exit_code": 0}
BUSY = {"errors": {"http_5xx": 2}, "completed": 3, "failed": 2}


@pytest.fixture
def soaked(tmp_path, build):
    """Return a function that judges a soak of the node n1 and its run; load: what each window of its load says besides."""

    def judge(*, load=None, test=EXITED, begun=True, fail="", profile="soak_endurance", sampled=True, faults=()):
        soak = {"settings": asdict(settings_of(missing="warn" if profile == "soak_smoke" else "fail", profile=profile))}
        case = build.case(
            services=[build.service("a")], soak={**soak, "schedule": list(faults), "topology": "single", "seed": None}
        )
        case = build.replace(
            case, test=build.replace(case.test, node="n1", client="script", result_paths=("results/",))
        )
        run = build.plan(tmp_path, case)
        folder = case.ref.folder(run.run_dir)
        folder.mkdir(parents=True)
        board, shared = case_board(run.boards, 0), run_board(run.boards)
        for name, note in {"opened": {"t": 1.0}, "snapshot.n1": {}, "verified.n1": {"clean": True}}.items():
            board.post(name, {"leftovers": [], "foreign": [], "errors": [], **note})
        if begun:
            board.post("begun", {"t": 2.0})
            board.post("test", test)
            write_load(folder / "test_artifacts/results/soak_windows.jsonl", **(load or {}))
        if sampled:
            write_node(folder / "soak")
        for fault in faults:
            write_faults(folder / "soak", fault["id"], fault["at_s"])
        if fail:
            board.claim("failure", failure.of(fail, f"it was {fail}", at=3.0, step="test").as_dict())
        document = judging.report_case(run, case, board, shared, 100.0)
        return document, judging.report_run(run, shared, 101.0)

    return judge


CASES = [
    ("all went well", {}, "pass", 0),
    ("a gate failed", {"load": BUSY}, "fail", 4),
    ("G01 nothing was sampled", {"sampled": False}, "no_data", 4),
    ("G01 nothing was sampled in a smoke", {"sampled": False, "profile": "soak_smoke"}, "no_data", 4),
    ("G07 the test was killed", {"test": {"state": "killed"}}, "no_data", 4),
    ("a service died", {"fail": "service_died"}, "fail", 1),
    ("a service died and a gate failed", {"fail": "service_died", "load": BUSY}, "fail", 1),
    ("the script failed", {"test": {**EXITED, "exit_code": 3}}, "fail", 1),
    ("the load never began", {"begun": False, "fail": "ssh_timeout"}, "error", 5),
]


@pytest.mark.parametrize(("how", "verdict", "code"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_a_soak_passes_by_its_gates_alone_and_a_gate_has_an_exit_code_of_its_own(soaked, how, verdict, code):
    document, summary = soaked(**how)
    assert (document["verdict"], summary["exit_code"]) == (verdict, code), document["reasons"]


def test_what_the_gates_say_is_in_the_record(soaked):
    document, _ = soaked(load=BUSY)
    failed = [check for check in document["checks"] if not check["ok"]]
    assert [check["name"] for check in failed] == ["failure_ratio load", "success load"]
    assert document["result"] == {"ok": False, "gate": False}
    assert document["failure"]["message"] == document["reasons"][0] == failed[0]["message"]


@pytest.mark.parametrize(
    ("note", "word"),
    [
        ({"state": "exited"}, "complete"),
        ({"state": "timed_out"}, "the test was timed out"),
        ({}, "the test was never heard of again"),
    ],
)
def test_how_a_soak_ended_is_told(note, word):
    assert soak_judging.how_ended(note) == word


def test_g05_a_failure_while_a_fault_was_felt_names_it(soaked):
    """The load began at 2 s; the service died a second later."""
    dead = {"id": "kill.0", "kind": "kill", "at_s": 0.5, "duration_s": 2.0, "node": "n1", "service": "a", "params": {}}
    document, _ = soaked(fail="service_died", faults=[{**dead, "recovery_s": 5.0, "expected": True}])
    assert document["failure"]["during_fault"] == "kill.0"


def test_a_failure_that_no_fault_explains_names_none(soaked):
    assert soaked(fail="service_died")[0]["failure"]["during_fault"] == ""
