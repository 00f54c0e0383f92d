# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By how much a series grows an hour, with an interval that noise, spikes, sawteeth, steps, gaps and restarts do not fool.

The slope is the median of the slopes between all pairs of points (Theil 1950, Sen 1968), so that up to 29 % of the points may be
anything. The points are medians of blocks of neighbouring samples. Pairs lie within one life of a process (the regional form of
Kendall's test, Helsel and Frans 2006): what a restart resets is no fall. The interval has the ranks that Sen gives from the variance
of Kendall's S, widened by how long the residuals remember (Hamed and Rao 1998), where the memory is summed until its first
negative lag (Geyer 1992), since the lags of a sawtooth behind it would cancel. Its lower end is no higher than what the lowest
points rise by, since few teeth are too few for any statistic. A least-squares line, in comparison, takes one
step for a trend, and its interval believes that each of 10,000 samples is news.

A series that bends is judged by its end: a warm-up that flattens is no leak, and a leak that begins late is one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..memory.intervals import Z95

HOUR_S = 3600.0
BLOCKS = 120
SAMPLES_OF_A_BLOCK = 5
# Fewer independent points than these do not tell a trend from a wave.
LEAST_BLOCKS, LEAST_INDEPENDENT = 12, 6.0
GOLDEN = (5**0.5 - 1) / 2
# What is left of a line below this share of its rise is rounding, which remembers itself and means nothing.
ROUNDING = 1e-9
# The ends that are looked at, as shares of the series.
ENDS = (0.5, 0.25)
# Where a series ends is the middle of this part of its samples, from the end.
LAST = 20

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Slope:
    """Growth an hour with its 95 % interval. samples: what it was taken from; began_s, ended_s: the part that is judged."""

    per_hour: float
    low: float
    high: float
    samples: int
    began_s: float
    ended_s: float


@dataclass(frozen=True)
class _Points:
    """Medians of blocks. life: which life of the process each belongs to."""

    times: Floats
    values: Floats
    life: npt.NDArray[np.int64]


def slope(times: Sequence[float], values: Sequence[float], restarts: Sequence[float] = ()) -> Slope | None:
    """Return the growth of values (finite) over times (seconds, ascending); None where too little is known to tell it.

    restarts: when the process began anew (seconds); values before and after one are never compared.
    """
    at, of = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if not len(at):
        return None
    life = np.searchsorted(np.sort(np.asarray(restarts, dtype=np.float64)), at, side="right")
    found = _line(at, of, life)
    for share in ENDS:
        late = at >= at[-1] - share * (at[-1] - at[0])
        end = _line(at[late], of[late], life[late])
        if end is not None and _bends(found, end, _rises(at, of, life, late)):
            found = end
    return found


def most(times: Sequence[float], values: Sequence[float], restarts: Sequence[float] = ()) -> float | None:
    """Return what a series grows by an hour at most, in whole or at one of its ends: by how far its points are apart.

    A step in a short series cannot be told from a trend, but what never moved further than a trend would have has none.
    None where there are too few points, or several lives, whose levels have nothing to do with one another.
    """
    at, of = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if not len(at) or any(at[0] < one <= at[-1] for one in restarts):
        return None
    points = _blocks(at, of, np.zeros(len(at), dtype=np.int64))
    if len(points.times) < LEAST_BLOCKS:
        return None
    spans = [share * float(at[-1] - at[0]) for share in (1.0, *ENDS)]
    return max(float(np.ptp(points.values[points.times >= at[-1] - span])) / span for span in spans) * HOUR_S


def _bends(whole: Slope | None, end: Slope, rises: bool) -> bool:
    """Say whether the end of a series is another line than the whole, beyond what noise and a sawtooth do."""
    width = end.high - end.low
    if whole is not None and end.low - width / 2 <= whole.per_hour <= end.high + width / 2:
        return False
    if end.low > max(0.0, whole.per_hour if whole else 0.0):
        return rises
    # the way down of a wave is no proof that a rise is over
    return end.high >= 0.0


def _rises(times: Floats, values: Floats, life: npt.NDArray[np.int64], late: npt.NDArray[np.bool_]) -> bool:
    """Say whether a series ends higher above all that was before than that was apart: a tooth never does."""
    before = _blocks(times[~late], values[~late], life[~late]).values
    end = float(np.median(values[-max(1, len(values) // LAST) :]))
    return end - float(before.max()) > float(np.ptp(before))


def _line(times: Floats, values: Floats, life: npt.NDArray[np.int64]) -> Slope | None:
    """Return the line through a part of the series."""
    points = _blocks(times, values, life)
    if len(points.times) < LEAST_BLOCKS:
        return None
    slopes = _pairs(points)
    if not len(slopes):
        return None
    middle = float(np.median(slopes))
    memory = _memory(points, middle)
    if len(points.times) / memory < LEAST_INDEPENDENT:
        return None
    counts = np.unique(points.life, return_counts=True)[1].astype(np.float64)
    variance = memory * float(np.sum(counts * (counts - 1) * (2 * counts + 5))) / 18
    reach = Z95 * variance**0.5
    first, last = int(np.floor((len(slopes) - reach) / 2)), int(np.ceil((len(slopes) + reach) / 2))
    if first < 0 or last >= len(slopes):
        return None
    low, high = np.partition(slopes, (first, last))[[first, last]]
    rates = (middle * HOUR_S, min(float(low), _troughs(points)) * HOUR_S, float(high) * HOUR_S)
    return Slope(*rates, len(times), float(times[0]), float(times[-1]))


def _blocks(times: Floats, values: Floats, life: npt.NDArray[np.int64]) -> _Points:
    """Return the medians of blocks; a block ends where a life ends, and an empty one is none."""
    span = times[-1] - times[0]
    typical = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    width = max(span / BLOCKS, SAMPLES_OF_A_BLOCK * typical) or 1.0
    # blocks of one width and a sawtooth would beat with one another, and the beat would look like a trend
    widths = width * (0.5 + np.arange(2 * BLOCKS) * GOLDEN % 1.0)
    label = np.searchsorted(times[0] + np.cumsum(widths), times, side="right") + life * (2 * BLOCKS)
    order = np.lexsort((values, label))
    starts = np.flatnonzero(np.diff(label, prepend=label[0] - 1))
    counts = np.diff(starts, append=len(times))
    # the middle of times belongs to the middle of values: on a line both are of the same sample
    lower, upper = starts + (counts - 1) // 2, starts + counts // 2
    ranked = values[order]
    return _Points((times[lower] + times[upper]) / 2, (ranked[lower] + ranked[upper]) / 2, life[starts])


def _pairs(points: _Points) -> Floats:
    """Return the slopes (a second) between all pairs of points of one life."""
    first, second = np.triu_indices(len(points.times), 1)
    same = points.life[first] == points.life[second]
    first, second = first[same], second[same]
    rise: Floats = points.values[second] - points.values[first]
    run: Floats = points.times[second] - points.times[first]
    rates: Floats = rise / run
    return rates


def _troughs(points: _Points) -> float:
    """Return by what the lowest points rise (a second) from the first half to the last: what only comes and goes falls back.

    Infinite over several lives, whose levels have nothing to do with one another.
    """
    if points.life[0] != points.life[-1]:
        return math.inf
    half = len(points.times) // 2
    rise = float(points.values[half:].min() - points.values[:half].min())
    return rise / float(points.times[half] - points.times[0])


def _memory(points: _Points, middle: float) -> float:
    """Return over how many points the residuals remember, from 1: how many times less they tell than independent ones."""
    rest = points.values - middle * points.times
    for one in np.unique(points.life):
        own = points.life == one
        rest[own] -= np.median(rest[own])
    power = float(np.mean(rest**2))
    rounding = max(ROUNDING * float(np.ptp(points.values)), 4 * float(np.spacing(np.abs(points.values).max())))
    if power <= rounding**2:
        return 1.0
    total = 1.0
    for lag in range(1, len(rest) // 2):
        near = points.life[lag:] == points.life[:-lag]
        share = float(np.mean(rest[lag:][near] * rest[:-lag][near])) / power if near.any() else 0.0
        if share <= 0.0:
            break
        total += 2 * share
    return total
