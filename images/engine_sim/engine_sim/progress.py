# SPDX-License-Identifier: MIT
"""How far a service has come, told as a node of a chain tells it: heights, challenges, an invariant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine_sim.faults import Drawn

DEFAULT_REASON = "proof_mismatch"
BACK_EVERY = 5
BACK_BY = 10


class Progress:
    """Counts of one service. Its height is the number of requests that it has answered whole, since its first start.

    `uptime_s` tells the seconds since this start. A request that fails is nobody's height; each that is answered is also
    one challenge, of which `challenge_failures` lets an exact share fail.
    """

    def __init__(self, faults: Drawn, uptime_s: Callable[[], float]) -> None:
        self._faults = faults
        self._uptime_s = uptime_s
        self._height = 0
        self._under_way = 0
        self._stalled_at: int | None = None
        self._reported = 0
        self._checks = 0
        self._failed: dict[str, int] = {}
        self._owed = 0.0

    def begin(self) -> None:
        """Count a request that was handed out."""
        self._under_way += 1

    def end(self, whole: bool) -> None:
        """Count the end of a request."""
        self._under_way -= 1
        if whole:
            if self._stalled_at is None and self._later_than("stall_after_s"):
                self._stalled_at = self._height
            self._height += 1
            self._check()

    def _check(self) -> None:
        """Count one challenge; fractions of a failure are owed to the next."""
        self._checks += 1
        fault = self._faults.get("challenge_failures")
        if fault is None:
            return
        self._owed += fault.amount
        if self._owed >= 1 - 1e-9:
            self._owed -= 1
            reason = fault.second_word or DEFAULT_REASON
            self._failed[reason] = self._failed.get(reason, 0) + 1

    def go_on_from(self, report: Mapping[str, Any]) -> None:
        """Take over what an earlier start had reported last; KeyError, TypeError or ValueError when it is no report."""
        consensus, challenges = report["node_snapshot"]["consensus"], report["distfs_challenge_report"]
        height, reported = int(consensus["last_execution_height"]), int(consensus["committed_height"])
        checks = int(challenges["total_checks"])
        failed = {str(reason): int(count) for reason, count in dict(challenges["failure_reasons"]).items()}
        self._height, self._reported, self._checks, self._failed = height, reported, checks, failed

    def report(self, epoch: int, heads: Mapping[str, int]) -> dict[str, object]:
        """Return the report of an epoch (1, 2, ...). heads: the requests handed to each worker, where there are any."""
        before, self._reported = self._reported, self._committed(epoch)
        network = self._height + self._under_way + (self._faults.count("lag") or 0)
        advanced = "committed" if self._reported > before else "pending" if network > self._reported else "idle"
        failed = sum(self._failed.values())
        return {
            "node_snapshot": {
                "consensus": {
                    "committed_height": self._reported,
                    "network_committed_height": network,
                    "peer_heads": dict(heads),
                    "last_status": advanced,
                    "last_execution_height": self._height,
                }
            },
            "distfs_challenge_report": {
                "total_checks": self._checks,
                "passed_checks": self._checks - failed,
                "failed_checks": failed,
                "failure_reasons": dict(self._failed),
            },
            "reward_asset_invariant_status": {"ok": not self._later_than("invariant_breaks_after_s")},
        }

    def _committed(self, epoch: int) -> int:
        """Return the height to report: none above a stall, and in every fifth epoch one below the last, if told so."""
        if self._faults.on("height_goes_back") and epoch % BACK_EVERY == 0:
            return max(0, self._reported - max(1, self._reported // BACK_BY))
        if self._later_than("stall_after_s"):
            self._stalled_at = self._height if self._stalled_at is None else self._stalled_at
            return self._stalled_at
        return self._height

    def _later_than(self, name: str) -> bool:
        fault = self._faults.get(name)
        return fault is not None and self._uptime_s() >= fault.amount
