# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was measured in a soak: series of values, windows of the load, and windows of faults. All times are seconds since its load began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # numpy takes a tenth of a second and 100 MiB of addresses, which a run without a soak has no use for
    from .histogram import Histogram

# Subjects of series: `node`, `client`, or one of these with a name, such as `service:decode-1`.
SERVICE, GPU, REPORT, METRICS = "service:", "gpu:", "report:", "metrics:"


@dataclass(frozen=True)
class Series:
    """One quantity over time. metric: with its unit, such as rss_bytes; times: ascending; values: None where it could not be read."""

    node: str
    subject: str
    metric: str
    times: tuple[float, ...]
    values: tuple[float | None, ...]

    @property
    def name(self) -> str:
        """Return NODE/SUBJECT/METRIC."""
        return f"{self.node}/{self.subject}/{self.metric}"


@dataclass(frozen=True)
class LoadWindow:
    """What the load client did in some seconds. errors: error kind -> requests; latencies: such as ttft_ms -> its histogram."""

    began_s: float
    ended_s: float
    sent: int
    completed: int
    failed: int
    without_tokens: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    latencies: Mapping[str, Histogram] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """One injected fault. target: NODE, NODE/SERVICE, or `load`; began_s, undone_s: None where that never happened.

    applied: whether its effect was measured, None where that could not be told; reverted: whether nothing is left of it.
    recovered_s: when what it was aimed at was ready again; allowance_s: how long after the undo that may take.
    expected: failures within its window are no failures of the gates; else they are only labelled.
    outcome: injected, unsupported, not_applied, target_gone or not_reached (the soak ended before its time); or `control`:
    a negative control, where all was done but the injection, and applied says whether something was felt all the same.
    control: whether the same measurement saw the effect before the fault was there, None where it was not made.
    """

    id: str
    kind: str
    target: str
    outcome: str
    began_s: float | None
    undone_s: float | None
    allowance_s: float
    applied: bool | None = None
    reverted: bool | None = None
    recovered_s: float | None = None
    expected: bool = True
    why: str = ""
    control: bool | None = None
    measured: Mapping[str, float | str] = field(default_factory=dict)

    def window(self, end_s: float) -> tuple[float, float] | None:
        """Return from when to when it may be felt, its allowance included; None where it never began. end_s: of the soak."""
        if self.began_s is None:
            return None
        undone = end_s if self.undone_s is None else self.undone_s
        return self.began_s, max(undone, self.recovered_s or 0.0, undone + self.allowance_s)
