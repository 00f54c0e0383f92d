# SPDX-License-Identifier: MIT
"""Epoch reports of running services: when they come, that they are whole, and that a restart goes on."""

from __future__ import annotations

import http.client
import json
import logging
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

LIMIT_S = 20.0


def reports_in(folder: Path) -> list[dict[str, Any]]:
    """Return the reports in the order of their epochs."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def heights(report: dict[str, Any]) -> tuple[int, int]:
    """Return committed and network height of a report."""
    consensus = report["node_snapshot"]["consensus"]
    return consensus["committed_height"], consensus["network_committed_height"]


def reported(folder: Path, count: int) -> list[dict[str, Any]]:
    """Return the reports once there are so many."""
    limit = time.monotonic() + LIMIT_S
    while len(found := reports_in(folder)) < count:
        assert time.monotonic() < limit, f"{len(found)} of {count} reports came"
        time.sleep(0.01)
    return found


def test_reports_have_the_form_of_the_seed(sims: Any, tmp_path: Path) -> None:
    sim = sims.start(report_dir=str(tmp_path / "reports"), report_interval_s=600.0, name="decode-1")
    for _ in range(3):
        assert sim.complete().status == 200
    before = time.time()
    sims.stop(sim)
    first, last = reports_in(tmp_path / "reports")
    assert [path.name for path in sorted((tmp_path / "reports").iterdir())] == [
        "epoch-000001.json",
        "epoch-000002.json",
    ]
    assert list(last) == [
        "epoch", "written_at", "node_id", "node_snapshot", "distfs_challenge_report", "reward_asset_invariant_status",
    ]  # fmt: skip
    assert (first["epoch"], last["epoch"], last["node_id"]) == (1, 2, "decode-1")
    assert before - 0.001 <= last["written_at"] <= time.time()
    assert last["node_snapshot"] == {
        "consensus": {
            "committed_height": 3,
            "network_committed_height": 3,
            "peer_heads": {},
            "last_status": "committed",
            "last_execution_height": 3,
        }
    }
    assert last["distfs_challenge_report"]["total_checks"] == 3
    assert last["reward_asset_invariant_status"] == {"ok": True}


def test_reports_come_at_their_interval_without_any_request(sims: Any, tmp_path: Path) -> None:
    sims.start(report_dir=str(tmp_path), report_interval_s=0.05)
    found = reported(tmp_path, 5)
    assert [report["epoch"] for report in found] == list(range(1, len(found) + 1))
    assert all(one["written_at"] < two["written_at"] for one, two in zip(found, found[1:], strict=False))


def test_no_reports_are_written_unless_asked_for(sims: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sim = sims.start()
    sim.complete()
    sims.stop(sim)
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_its_client_gave_up_is_no_height(sims: Any, tmp_path: Path) -> None:
    sim = sims.start("stall_after=3", report_dir=str(tmp_path), report_interval_s=600.0)
    with pytest.raises(TimeoutError):
        sim.stream(wait_s=0.3)
    sims.stop(sim)
    assert heights(reports_in(tmp_path)[-1]) == (0, 0)


def test_a_request_under_way_is_in_the_network_height(spawn: Any, tmp_path: Path) -> None:
    process = spawn("--report-dir", str(tmp_path), "--report-interval-s", "0.02", "--faults", "stall_after=3")
    api = process.api()

    def wait() -> None:
        with pytest.raises((OSError, http.client.HTTPException)):
            api.stream(wait_s=LIMIT_S)

    waiting = threading.Thread(target=wait)
    waiting.start()
    limit = time.monotonic() + LIMIT_S
    while heights(reported(tmp_path, 1)[-1]) != (0, 1):
        assert time.monotonic() < limit
    process.end(signal.SIGKILL)
    waiting.join()


@pytest.mark.parametrize(
    "faults",
    ["error_after=2", "reset_after=2", "overload=429", "engine_dead=500"],
    ids=lambda text: text.partition("=")[0],
)
def test_an_answer_that_failed_is_no_height(sims: Any, tmp_path: Path, faults: str) -> None:
    sim = sims.start(faults, report_dir=str(tmp_path), report_interval_s=600.0)
    for ask in (sim.stream, sim.complete):
        try:
            ask()
        except OSError:
            continue
    sims.stop(sim)
    assert heights(reports_in(tmp_path)[-1]) == (0, 0)


def test_a_router_tells_what_it_handed_to_each_worker(sims: Any, tmp_path: Path) -> None:
    router = sims.disaggregated(prefill=1, decode=2, report_dir=str(tmp_path), report_interval_s=600.0)
    for _ in range(4):
        assert router.complete().status == 200
    sims.stop(router)
    last = reports_in(tmp_path)[-1]
    assert heights(last) == (4, 4)
    heads = last["node_snapshot"]["consensus"]["peer_heads"]
    assert heads == {"prefill-1": 4, "decode-1": 2, "decode-2": 2}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_service_goes_on_and_no_height_goes_back(spawn: Any, tmp_path: Path, signum: int) -> None:
    """F30: also one that was killed goes on from its last report."""
    asked = ("--report-dir", str(tmp_path), "--report-interval-s", "0.05")
    first = spawn(*asked)
    api = first.api()
    assert [api.complete().status for _ in range(3)] == [200] * 3
    limit = time.monotonic() + LIMIT_S
    while heights(reported(tmp_path, 1)[-1])[0] < 3:
        assert time.monotonic() < limit
    first.end(signum)
    second = spawn(*asked, SIM_LOG_LEVEL="INFO")
    second.line_with("Going on from")
    second.api().complete()
    second.end()
    found = reports_in(tmp_path)
    committed = [heights(report)[0] for report in found]
    assert committed == sorted(committed)
    assert committed[-1] == 4
    assert [report["epoch"] for report in found] == list(range(1, len(found) + 1))


def test_a_report_that_cannot_be_read_is_passed_over(sims: Any, tmp_path: Path) -> None:
    sim = sims.start(report_dir=str(tmp_path), report_interval_s=600.0)
    sim.complete()
    sims.stop(sim)
    (tmp_path / "epoch-000003.json").write_text('{"epoch": 3')
    (tmp_path / "epoch-000004.json").write_text("[]")
    again = sims.start(report_dir=str(tmp_path), report_interval_s=600.0)
    sims.stop(again)
    assert heights(json.loads((tmp_path / "epoch-000003.json").read_text())) == (1, 1)


def test_a_folder_that_takes_no_report_is_said_and_the_service_goes_on(
    sims: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.ERROR, "engine_sim.reports"):
        sim = sims.start(report_dir=str(tmp_path / "file" / "reports"), report_interval_s=600.0)
        assert sim.complete().status == 200
        sims.stop(sim)
    assert "Not a directory" in caplog.text


@pytest.mark.parametrize(
    ("faults", "wrong"),
    [
        ("stall_after_s=0", lambda report: heights(report) == (0, 2)),
        ("lag=7", lambda report: heights(report) == (2, 9)),
        ("invariant_breaks_after_s=0", lambda report: not report["reward_asset_invariant_status"]["ok"]),
        (
            "challenge_failures=0.5:timeout",
            lambda report: report["distfs_challenge_report"]["failure_reasons"] == {"timeout": 1},
        ),
    ],
    ids=["stall_after_s", "lag", "invariant_breaks_after_s", "challenge_failures"],
)
def test_a_fault_shows_in_the_reports_of_a_service(sims: Any, tmp_path: Path, faults: str, wrong: Any) -> None:
    sim = sims.start(faults, report_dir=str(tmp_path), report_interval_s=600.0)
    assert [sim.complete().status for _ in range(2)] == [200, 200]
    sims.stop(sim)
    assert wrong(reports_in(tmp_path)[-1])


def test_a_height_goes_back_when_told_so(sims: Any, tmp_path: Path) -> None:
    sim = sims.start("height_goes_back", report_dir=str(tmp_path), report_interval_s=0.05)
    assert [sim.complete().status for _ in range(20)] == [200] * 20
    committed = [heights(report)[0] for report in reported(tmp_path, 11)]
    assert any(two < one for one, two in zip(committed, committed[1:], strict=False))


def test_reports_stop_when_told_so(sims: Any, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    sim = sims.start("no_reports_after_s=0", report_dir=str(tmp_path / "none"), report_interval_s=0.01)
    other = sims.start(report_dir=str(tmp_path / "some"), report_interval_s=0.01)
    reported(tmp_path / "some", 3)
    assert sim.complete().status == other.complete().status == 200
    sims.stop(sim)
    assert list((tmp_path / "none").iterdir()) == []
