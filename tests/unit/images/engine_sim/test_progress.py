# SPDX-License-Identifier: MIT
"""What the epoch reports say: heights that grow by whole answers, and each fault that makes them wrong."""

from __future__ import annotations

from typing import Any

import pytest
from engine_sim.faults import Drawn, parse
from engine_sim.progress import Progress


class Chain:
    """A service's progress with a clock of its own."""

    def __init__(self, faults: str = "") -> None:
        self.now = 0.0
        self.epoch = 0
        self.progress = Progress(Drawn({fault.name: fault for fault in parse(faults)}), lambda: self.now)

    def do(self, count: int, whole: bool = True) -> None:
        """Have requests answered, or fail."""
        for _ in range(count):
            self.progress.begin()
            self.progress.end(whole)

    def report(self, **heads: int) -> dict[str, Any]:
        """Return the next epoch's report."""
        self.epoch += 1
        return self.progress.report(self.epoch, heads)

    def consensus(self) -> dict[str, Any]:
        """Return the next report's heights."""
        found: dict[str, Any] = self.report()["node_snapshot"]["consensus"]
        return found

    def heights(self) -> tuple[int, int, int]:
        """Return the next report's committed, network and execution height."""
        found = self.consensus()
        return found["committed_height"], found["network_committed_height"], found["last_execution_height"]


def test_heights_grow_by_whole_answers_and_failures_are_nobodys() -> None:
    chain = Chain()
    assert chain.heights() == (0, 0, 0)
    chain.do(3)
    chain.do(2, whole=False)
    chain.progress.begin()
    assert chain.heights() == (3, 4, 3)
    chain.progress.end(True)
    assert chain.heights() == (4, 4, 4)


def test_the_status_says_whether_a_report_advances() -> None:
    chain = Chain()
    assert chain.consensus()["last_status"] == "idle"
    chain.progress.begin()
    assert chain.consensus()["last_status"] == "pending"
    chain.progress.end(True)
    assert chain.consensus()["last_status"] == "committed"
    assert chain.consensus()["last_status"] == "idle"


def test_each_answer_is_a_challenge_and_without_one_there_is_none() -> None:
    chain = Chain()
    none = {"total_checks": 0, "passed_checks": 0, "failed_checks": 0, "failure_reasons": {}}
    assert chain.report()["distfs_challenge_report"] == none
    chain.do(7)
    chain.do(1, whole=False)
    assert chain.report()["distfs_challenge_report"] == {**none, "total_checks": 7, "passed_checks": 7}


@pytest.mark.parametrize(
    ("faults", "failed", "reason"),
    [
        ("challenge_failures=0.1", 100, "proof_mismatch"),
        ("challenge_failures=0.05:timeout", 50, "timeout"),
        ("challenge_failures=0.333:late-answer", 333, "late-answer"),
        ("challenge_failures=1", 1000, "proof_mismatch"),
        ("challenge_failures=0", 0, ""),
    ],
)
def test_an_exact_share_of_the_challenges_fails(faults: str, failed: int, reason: str) -> None:
    chain = Chain(faults)
    chain.do(1000)
    assert chain.report()["distfs_challenge_report"] == {
        "total_checks": 1000,
        "passed_checks": 1000 - failed,
        "failed_checks": failed,
        "failure_reasons": {reason: failed} if failed else {},
    }


def test_a_stall_stops_the_committed_height_and_nothing_else() -> None:
    chain = Chain("stall_after_s=60")
    chain.do(5)
    assert chain.heights() == (5, 5, 5)
    chain.now = 61.0
    chain.do(4)
    assert chain.heights() == (5, 9, 9)
    chain.do(1)
    assert (chain.heights(), chain.consensus()["last_status"]) == ((5, 10, 10), "pending")


def test_a_lag_keeps_the_network_ahead() -> None:
    chain = Chain("lag=50")
    chain.do(3)
    assert chain.heights() == (3, 53, 3)


def test_a_height_goes_back_in_each_fifth_epoch_and_comes_again() -> None:
    chain = Chain("height_goes_back")
    seen = []
    for _ in range(11):
        chain.do(10)
        seen.append(chain.heights()[0])
    assert seen == [10, 20, 30, 40, 36, 60, 70, 80, 90, 81, 110]


def test_an_invariant_breaks_in_time() -> None:
    chain = Chain("invariant_breaks_after_s=30")
    assert chain.report()["reward_asset_invariant_status"] == {"ok": True}
    chain.now = 30.0
    assert chain.report()["reward_asset_invariant_status"] == {"ok": False}


def test_heads_of_the_workers_are_told() -> None:
    report = Chain().report(decode_1=4, decode_2=3)
    assert report["node_snapshot"]["consensus"]["peer_heads"] == {"decode_1": 4, "decode_2": 3}


def test_another_start_goes_on_where_the_last_report_was() -> None:
    first, second = Chain("challenge_failures=0.5"), Chain("stall_after_s=0")
    first.do(10)
    second.progress.go_on_from(first.report())
    second.do(2)
    report = second.report()
    assert report["node_snapshot"]["consensus"]["committed_height"] == 10
    assert report["node_snapshot"]["consensus"]["last_execution_height"] == 12
    assert report["distfs_challenge_report"] == {
        "total_checks": 12, "passed_checks": 7, "failed_checks": 5, "failure_reasons": {"proof_mismatch": 5},
    }  # fmt: skip


@pytest.mark.parametrize(
    "report",
    [None, [], {}, {"node_snapshot": 3}, {"node_snapshot": {"consensus": {}}, "distfs_challenge_report": {}}],
)
def test_what_is_no_report_changes_nothing(report: Any) -> None:
    chain = Chain()
    chain.do(2)
    with pytest.raises((KeyError, TypeError, ValueError)):
        chain.progress.go_on_from(report)
    assert chain.heights() == (2, 2, 2)
