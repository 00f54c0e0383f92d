# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be believed of a series, and how much of the time it covers."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from .model import Series
from .spans import Span, length, merged, within

# Of the time that a series should cover; the rest may be a slow node's lateness.
COVERAGE = 0.95
# A sample speaks for this many of the usual intervals, and no sample for longer than a minute.
INTERVALS, LONGEST_S = 2.5, 60.0


@dataclass(frozen=True)
class Known:
    """The values of a series that were read within a stretch of time: finite ones, times ascending."""

    times: tuple[float, ...]
    values: tuple[float, ...]

    def pairs(self) -> list[tuple[float, float]]:
        """Return (time, value), in order."""
        return list(zip(self.times, self.values, strict=True))


def fault_of(series: Series, lowest: float = 0.0) -> str:
    """Return why a series may not be believed, "" where it may. lowest: the least that its metric can be."""
    if len(series.times) != len(series.values):
        return f"{series.name} has {len(series.times)} times and {len(series.values)} values"
    for before, after in zip((-math.inf, *series.times), series.times, strict=False):
        if not before < after < math.inf:
            return f"{series.name}: time goes from {before:.1f} s to {after:.1f} s"
    for at, value in zip(series.times, series.values, strict=True):
        if value is not None and not lowest <= value < math.inf:
            return f"{series.name} is {value!r} at {at:.1f} s; expected a finite number from {lowest:g}"
    return ""


def known(series: Series, began: float, ended: float, without: Sequence[Span] = ()) -> Known:
    """Return what is known from began to ended, the spans in `without` (merged) left out."""
    starts, ends = [-math.inf, *(span[0] for span in without)], [-math.inf, *(span[1] for span in without)]
    found = [
        (at, value)
        for at, value in zip(series.times, series.values, strict=True)
        if value is not None and began <= at <= ended and at > ends[bisect_right(starts, at) - 1]
    ]
    return Known(tuple(at for at, _ in found), tuple(value for _, value in found))


def covered(times: Iterable[float], began: float, ended: float) -> list[Span]:
    """Return the stretches of time for which samples at these times speak."""
    order = sorted(set(times))
    if len(order) < 2:
        return []
    usual = median(after - before for before, after in zip(order, order[1:], strict=False))
    reach = min(INTERVALS * usual, LONGEST_S)
    return within(merged((at - reach / 2, at + reach / 2) for at in order), (began, ended))


def share(times: Iterable[float], began: float, ended: float, without: Sequence[Span] = ()) -> float:
    """Return which share of the time from began to ended is covered; what lies in `without` (merged) does not count."""
    asked = ended - began - length(within(without, (began, ended)))
    if asked <= 0:
        return 0.0
    spans = covered(times, began, ended)
    excused = sum(length(within(without, span)) for span in spans)
    return (length(spans) - excused) / asked
