# SPDX-License-Identifier: MIT
from __future__ import annotations

import shutil

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import case_page, html_page
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import record
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import case_board

RUNNING = {"service": "a", "state": "running", "exit_code": None, "finished_unix": None}
EXITED = {"service": "a", "state": "exited", "exit_code": 137, "finished_unix": 1012.5}


@pytest.mark.parametrize(
    ("notes", "ended_s", "state"),
    [
        pytest.param({"collected.n1": {"containers": [RUNNING]}}, None, "running", id="still-running"),
        pytest.param({"collected.n1": {"containers": [EXITED]}}, 12.5, "exited", id="by-the-evidence"),
        pytest.param(
            {"collected.n1": {"containers": [EXITED]}, "facts.n1": {"clock_offset_s": 2.0}},
            10.5,
            "exited",
            id="on-the-controller-s-clock",
        ),
        pytest.param(
            {"collected.n1": {"containers": []}, "died.a": {"service": "a", "finished_unix": 1007.0}},
            7.0,
            "not started",
            id="by-the-watch-when-the-evidence-has-nothing",
        ),
        pytest.param({}, None, "not started", id="nothing-known"),
    ],
)
def test_the_end_of_a_service_is_recorded(tmp_path, build, notes, ended_s, state):
    board = case_board(tmp_path, 0)
    for name, note in notes.items():
        board.post(name, note)
    (found,) = record.services(build.case(services=[build.service("a")]), board, 1000.0, {})
    assert (found["ended_s"], found["state"], found["serves"]) == (ended_s, state, True)


def test_a_job_that_has_to_complete_is_recorded_as_one(tmp_path, build):
    job = build.service("a", check={"kind": "completed"})
    (found,) = record.services(build.case(services=[job]), case_board(tmp_path, 0), 1000.0, {})
    assert found["serves"] is False


def test_the_record_holds_all_that_is_shown_of_a_deployment_when_the_board_is_gone(tmp_path, build):
    services = [build.service("a", estimate_s=2.0), build.service("b", needs=["a"])]
    case = build.case(services=services, limits={"services": 1, "services_per_node": 0, "health_checks": 0})
    run = build.plan(tmp_path, case)
    folder, board = case.ref.folder(run.run_dir), case_board(run.boards, case.index)
    folder.mkdir(parents=True)
    failed = {"service": "a", "try": 1, "state": "failed", "t": 1003.0, "error_kind": "container_exited", "detail": "3"}
    board.post("opened", {"t": 1000.0})
    board.post("again.a.1", {**failed, "runnable_at": 1001.0, "ordered_at": 1001.5, "running_at": 1002.0})
    board.post("order.a", {"t": 1010.0, "runnable_at": 1010.0, "try": 2})
    board.post("service.a", {"state": "ready", "try": 2, "running_at": 1010.5, "t": 1012.0})
    board.post("order.b", {"t": 1012.5, "runnable_at": 1012.0, "try": 1})
    board.post("service.b", {"state": "ready", "try": 1, "running_at": 1013.0, "t": 1014.0})
    ref = {"scenario": case.ref.scenario, "case": case.ref.case, "attempt": case.ref.attempt, "node": "n1"}
    died = {"phase": "event", "state": "recovered", "service": "b", "message": "b died; started again (1)"}
    journal.append(run.run_dir, {"t": 1020.0, "step": "test", **ref, **died})
    record.write_manifest(run.run_id, case.ref, folder, board)
    found = {**record.build(run, case, board, 1030.0), "verdict": "flaky"}
    assert (found["seconds"], record.build(run, case, board, 990.0)["seconds"]) == (30.0, 0.0)
    shutil.rmtree(board.folder)
    assert found["warnings"] == ["service a needed 2 starts: container_exited: 3"]
    assert found["deployment"]["lost_to_limits_s"] == 1.0
    whole = {"run_id": run.run_id, "verdict": "flaky", "exit_code": 4, "cases": [found], "started_at": 1000.0}
    for page in (case_page.render(found), html_page.render(whole, run.run_dir)):
        assert "Critical path: a → b, 13 s from the first start until the last was ready." in page
        assert "(at most 1 at once): 2 services waited for a slot, 1.0 s in all, 1.0 s of it on the" in page
        assert "Recovered at 20.00 s, while the test ran: b died; started again (1)" in page
        assert "started again 1 time while the test ran" in page
        assert all(moment in page for moment in ("10.00", "10.50", "12.00", "12.50", "13.00", "14.00"))
