# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import verify
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening, plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import case_board, run_board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import failure

from testcell import closing


@pytest.fixture
def opened(project: Path) -> plan.RunPlan:
    """Return the plan of a run of two attempts whose folder has been made."""
    asked = opening.Asked(
        scenario="example", hosts={}, overrides={"inter_scenario.retry_count": "1"}, run_id="20260102_030405"
    )
    decided = opening.open_run(opening.decide(asked, project, 1000.0, "me"))
    plan.save(decided)
    return decided


def summary(decided: plan.RunPlan) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((decided.run_dir / "summary.json").read_text())
    return found


def test_a_run_without_a_plan_never_began(tmp_path: Path) -> None:
    assert not closing.began(tmp_path)


@pytest.mark.parametrize(
    ("number", "clean", "code", "verdict", "kind"),
    [
        (signal.SIGINT, True, 130, "cancelled", "cancelled"),
        (signal.SIGTERM, False, 143, "cancelled", "cancelled"),
        (signal.SIGHUP, True, 129, "cancelled", "cancelled"),
        (0, True, 5, "error", "controller_died"),
        (0, False, 7, "error", "controller_died"),
    ],
)
def test_a_run_cut_short_says_so(
    opened: plan.RunPlan, number: int, clean: bool, code: int, verdict: str, kind: str
) -> None:
    case_board(opened.boards, 0).post("opened", {"t": 1001.0})
    found = closing.close(opened.run_dir, number, clean=clean, now=1011.0)
    assert found == summary(opened)
    assert (found["verdict"], found["exit_code"], found["failure"]["error_kind"]) == (verdict, code, kind)
    (case,) = found["cases"]
    assert (case["verdict"], case["seconds"]) == (verdict, 10.0)
    assert bool(found.get("reasons")) != clean
    assert os.readlink(opened.run_dir.parent / "latest") == opened.run_id
    assert (opened.run_dir / "report.html").exists()
    assert verify.folder(opened.run_dir).findings == ()
    assert [path.name for path in opened.run_dir.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(("number", "kind", "verdict"), [(0, "disk_full", "error"), (2, "cancelled", "cancelled")])
def test_f08_what_ended_a_run_is_told_as_its_failure(
    opened: plan.RunPlan, number: int, kind: str, verdict: str
) -> None:
    case_board(opened.boards, 0).post("opened", {"t": 1001.0})
    cause = failure.of("disk_full", "the controller cannot write /x: No space left", at=1.0, step="report").as_dict()
    found = closing.close(opened.run_dir, number, clean=True, now=1011.0, cause=cause)
    assert (found["failure"]["error_kind"], found["verdict"]) == (kind, verdict)
    assert found["exit_code"] == (130 if number else 5)
    assert (cause["message"] in str(found["cases"])) is not bool(number)


def test_cases_that_had_ended_keep_their_verdict(opened: plan.RunPlan) -> None:
    record = {
        "scenario": "example",
        "case": "",
        "attempt": 1,
        "verdict": "fail",
        "nodes": ["local"],
        "control": {"ok": True},
    }
    case_board(opened.boards, 0).post("opened", {"t": 1001.0})
    run_board(opened.boards).post("case-record.0", record)
    case_board(opened.boards, 1).post("opened", {"t": 1005.0})
    found = closing.close(opened.run_dir, signal.SIGINT, clean=True, now=1011.0)
    assert [(case["attempt"], case["verdict"]) for case in found["cases"]] == [(1, "fail"), (2, "cancelled")]


@pytest.mark.parametrize(("number", "why"), [(15, "the run was stopped by SIGTERM"), (0, "Ansible ended before")])
def test_cases_that_were_not_begun_are_told_as_skipped(project: Path, number: int, why: str) -> None:
    """A suite is not shorter because it was stopped; a repeat that nobody has asked for yet is no case."""
    metadata = project / "scenarios" / "001_example" / "metadata.yml"
    metadata.write_text(metadata.read_text() + "matrix: {users: [1, 2, 3]}\n")
    asked = opening.Asked(
        scenario="example", hosts={}, overrides={"inter_scenario.retry_count": "1"}, run_id="20260102_030405"
    )
    decided = opening.open_run(opening.decide(asked, project, 1000.0, "me"))
    plan.save(decided)
    case_board(decided.boards, 0).post("opened", {"t": 1001.0})
    found = closing.close(decided.run_dir, number, clean=True, now=1011.0)
    told = [(case["case"], case["attempt"], case["verdict"]) for case in found["cases"]]
    cut = "cancelled" if number else "error"
    assert told == [("users-1", 1, cut), ("users-2", 1, "skipped"), ("users-3", 1, "skipped")]
    assert found["cases"][1]["reasons"][0].startswith(f"it was not begun: {why}")
    assert found["counts"] == {cut: 1, "skipped": 2}
    assert verify.folder(decided.run_dir).findings == ()


def test_the_state_of_the_nodes_is_told_of_all_cases(opened: plan.RunPlan) -> None:
    record = {"scenario": "example", "case": "", "attempt": 1, "verdict": "fail", "nodes": ["local"]}
    run_board(opened.boards).post("case-record.0", {**record, "verify": {"local": {"clean": True}}})
    board = case_board(opened.boards, 1)
    board.post("opened", {"t": 1005.0})
    board.post("snapshot.local", {})
    board.post("cleaned.local", {"removed": {"containers": 2}, "seconds": 0.5})
    found = closing.close(opened.run_dir, signal.SIGINT, clean=True, now=1011.0)
    state = found["verify"]["local"]
    assert state["clean"] is None and [case["attempt"] for case in state["cases"]] == [2]
    assert found["cleaning"]["total"]["containers"] == 2
    assert "| local | 2 containers | 0.5 s | 0 | not verified |" in (opened.run_dir / "summary.md").read_text()


def test_what_failed_before_the_signal_is_told_with_it(opened: plan.RunPlan) -> None:
    board = case_board(opened.boards, 0)
    board.post("opened", {"t": 1001.0})
    board.claim("failure", {"error_kind": "gpu_oom", "message": "engine ran out of memory", "node": "node1"})
    found = closing.close(opened.run_dir, signal.SIGINT, clean=True, now=1011.0)
    assert found["cases"][0]["verdict"] == "cancelled"
    result = json.loads((opened.run_dir / "example" / "result_summary.json").read_text())
    assert result["reasons"] == ["the run was stopped by SIGINT", "before that: engine ran out of memory"]


def test_f21_a_file_of_a_run_cut_short_that_is_not_as_it_came_is_told(opened: plan.RunPlan) -> None:
    board = case_board(opened.boards, 0)
    board.post("opened", {"t": 1001.0})
    entry = {"path": "test_artifacts/a", "size": 1, "mode": 420, "mtime_ns": 1, "sha256": "ab" * 32}
    board.post("collected.local", {"containers": [], "files": [entry], "missing": [], "refused": []})
    found = closing.close(opened.run_dir, 0, clean=True, now=1011.0)
    assert any("test_artifacts/a is not on the disk as it came" in reason for reason in found["cases"][0]["reasons"])
    assert [finding.path for finding in verify.folder(opened.run_dir).findings] == ["example/test_artifacts/a"]
