# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the gates of a soak are held to, what they look at, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .model import Fault, LoadWindow, Series

PASS, FAIL, NO_DATA, NOT_ASKED = "pass", "fail", "no_data", "not_asked"
INVALID, INSUFFICIENT = "invalid", "insufficient_data"
COMPLETE = "complete"
WARN = "warn"

# Without these nothing else may be believed, so that what they lack is no mere warning in any profile.
ESSENTIAL = frozenset(
    {"duration", "load", "sampling", "fault_planned", "fault_applied", "fault_reverted", "negative_control"}
)
# Where these fail, the soak measured something else than it says.
BELIEF = frozenset({"negative_control", "load_counts"})


@dataclass(frozen=True)
class Limits:
    """What a soak is held to; None: not asked. Slopes in their unit an hour, ratios from 0 to 1, latencies in ms.

    latency, latency_in_fault: such as {"ttft_ms": {"p95": 500.0}}; missing: what lacking data means, warn or fail;
    warmup_secs: from the start, not looked at by slopes and latencies; chaos: whether faults were planned;
    negative_control: whether they were to be measured only, and none injected.
    """

    max_stall_secs: float | None = None
    max_lag_p95: float | None = None
    max_failure_ratio: float | None = None
    burst_windows: int | None = None
    max_report_gap_secs: float | None = None
    max_rto_secs: float | None = None
    min_success_ratio: float | None = None
    min_success_ratio_in_fault: float | None = None
    latency: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    latency_in_fault: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    max_rss_slope: float | None = None
    max_anon_slope: float | None = None
    max_fd_slope: float | None = None
    max_threads_slope: float | None = None
    max_gpu_memory_slope: float | None = None
    max_disk_slope: float | None = None
    warmup_secs: float = 60.0
    chaos: bool = False
    negative_control: bool = False
    missing: str = FAIL


@dataclass(frozen=True)
class Reports:
    """What one service was asked to report, and when its reports were made.

    times: the files' own times, seconds since the load began, in the order in which they came; progress, network, checks,
    reasons: whether the scenario maps them; invariants, monotonic: names of them. Values are series with the subject
    `report:SERVICE` and the metrics progress, network, checks_total, checks_failed, reason:NAME, invariant:NAME, NAME.
    """

    node: str
    service: str
    times: Sequence[float]
    progress: bool = False
    network: bool = False
    checks: bool = False
    reasons: bool = False
    invariants: tuple[str, ...] = ()
    monotonic: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that a soak left. nodes: each node that must have been sampled -> its services.

    planned_s, lasted_s: how long the load was to run and ran; ended_how: `complete`, or what cut it short. A service's
    series have the metrics rss_bytes, anon_bytes, fds, threads, cpu_s, started (Unix time), restarts, and running (1 or 0).
    """

    series: Sequence[Series]
    windows: Sequence[LoadWindow]
    faults: Sequence[Fault]
    reports: Sequence[Reports]
    planned_s: float
    lasted_s: float
    ended_how: str
    nodes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Gate:
    """One answer. subject: what it is about; value, limit: in unit; at_s: when it was at its worst, since the load began.

    why: the whole sentence; during_fault: the id of a fault that was felt at that time; error_kind: "" where it is no failure.
    """

    name: str
    subject: str
    verdict: str
    value: float | None
    limit: float | None
    unit: str
    why: str
    at_s: float | None = None
    during_fault: str = ""
    error_kind: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the gate as plain JSON types."""
        return dict(vars(self))


@dataclass(frozen=True)
class Judgement:
    """What all gates say together.

    metric_gate: pass, fail or insufficient_data; verdict: pass, fail, no_data or invalid; warnings: what lacks data and
    is no more than said in this profile; reasons: the sentences of the gates that decide, the gravest first.
    """

    metric_gate: str
    verdict: str
    gates: tuple[Gate, ...]
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error_kind: str = ""

    @property
    def exit_code(self) -> int:
        """Return 0 for a pass, 4 where a gate failed or had no data."""
        return 0 if self.verdict == PASS else 4

    def as_dict(self) -> dict[str, Any]:
        """Return the judgement as plain JSON types."""
        return {**vars(self), "gates": [gate.as_dict() for gate in self.gates], "exit_code": self.exit_code}
