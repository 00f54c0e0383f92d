# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Percentiles of any number of samples in 512 KiB: counts over the bit patterns of float32, with 8 bits of mantissa.

A bin is at most 1/256 of its value wide, so its middle is off by at most 0.2 % (above 1.2e-38, where float32 has all its bits).
Adding two histograms is exact, so windows, nodes and runs combine without further error. What is no sample (NaN, infinite,
negative) is counted apart and changes no percentile.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

SHIFT = 15
BINS = 1 << 16
# The bin of infinity; in it and behind it are only infinities and NaN, and behind BINS everything with a sign.
FINITE = 0x7F800000 >> SHIFT
# The bins of a block and its counts stay in a core's second cache together; larger blocks gain little, smaller ones lose much.
BLOCK = 1 << 16
Counts = npt.NDArray[np.int64]
Samples = npt.NDArray[np.float32] | npt.NDArray[np.float64]


class HistogramError(ValueError):
    """A bin or a count that no histogram has."""


def _none() -> Counts:
    return np.zeros(BINS, dtype=np.int64)


@dataclass
class Histogram:
    """Counts of bins in a row, the first of which is first; samples of 0 are in bin 0.

    not_finite, negative: how many values were no samples, and why.
    """

    counts: Counts = field(default_factory=_none)
    not_finite: int = 0
    negative: int = 0
    first: int = 0

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> Histogram:
        """Return the histogram with these (bin, count) pairs; raise HistogramError for one that cannot be.

        It has no bins but those between the pairs: a day has thousands of windows, each of a few hundred samples.
        """
        given = list(pairs)
        for index, count in given:
            if not 0 <= index < FINITE or count < 0:
                raise HistogramError(
                    f"bin {index} with count {count}; expected a bin from 0 to {FINITE - 1}, a count from 0"
                )
        first = min((index for index, _ in given), default=0)
        last = max((index for index, _ in given), default=-1)
        found = cls(np.zeros(last + 1 - first, dtype=np.int64), first=first)
        for index, count in given:
            found.counts[index - first] += count
        return found

    def _take_all_bins(self) -> None:
        """Have all bins from now on, so that any sample can be counted."""
        if len(self.counts) < BINS:
            narrow, self.counts = self.counts, _none()
            self.counts[self.first : self.first + len(narrow)] = narrow
            self.first = 0

    def add(self, samples: Samples) -> None:
        """Count samples in any order; their values are taken as float32."""
        self._take_all_bins()
        bins = np.empty(min(BLOCK, len(samples)), dtype=np.int64)
        for start in range(0, len(samples), BLOCK):
            block = samples[start : start + BLOCK]
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is counted so
                values = np.ascontiguousarray(block, dtype=np.float32)
            # the shift leaves the sign as the highest bit, so one count tells samples from all that is none
            index = np.right_shift(values.view(np.uint32), SHIFT, out=bins[: len(block)])
            counted = np.bincount(index)
            good = counted[:FINITE]
            self.counts[: len(good)] += good
            if len(counted) > FINITE:
                self._set_apart(block[index >= FINITE], values[index >= FINITE])

    def _set_apart(self, given: Samples, values: npt.NDArray[np.float32]) -> None:
        """Count what has a sign or is not finite. given: before it became float32, in which a tiny one may be -0.0."""
        finite = np.isfinite(values)
        negative = int(np.count_nonzero(finite & (given < 0)))
        self.not_finite += int(np.count_nonzero(~finite))
        self.negative += negative
        self.counts[0] += int(np.count_nonzero(finite)) - negative  # -0.0 is 0

    def merge(self, other: Histogram) -> None:
        """Add another histogram's counts."""
        self._take_all_bins()
        self.counts[other.first : other.first + len(other.counts)] += other.counts
        self.not_finite += other.not_finite
        self.negative += other.negative

    @property
    def zeros(self) -> int:
        """Return the number of samples that are 0."""
        return int(self.counts[0]) if self.first == 0 and len(self.counts) else 0

    @property
    def total(self) -> int:
        """Return the number of samples."""
        return int(self.counts.sum())

    @property
    def refused(self) -> int:
        """Return how many values were no samples."""
        return self.not_finite + self.negative

    def percentile(self, percent: float) -> float | None:
        """Return the middle of the bin in which the percentile (0 to 100, nearest rank) lies; None without samples."""
        total = self.total
        if not total:
            return None
        # as it is written: 99.9 % of 1,000 is the 999th, though the float is a little more
        rank = max(1, math.ceil(Fraction(str(percent)) * total / 100))
        return middle(self.first + int(np.searchsorted(np.cumsum(self.counts), rank)))


def percent(name: str) -> float | None:
    """Return the percentage of a percentile by its name, such as p95, p99.9, or p999 for the same; None where it is none."""
    digits = "99.9" if name == "p999" else name[1:]
    if name[:1] != "p" or not digits.replace(".", "", 1).isdecimal() or not 0 < float(digits) < 100:
        return None
    return float(digits)


def middle(index: int) -> float:
    """Return the middle of a bin."""
    if index == 0:
        return 0.0
    # values within a bin have one exponent, so the middle of their bits is that of their values
    return float(np.uint32(index << SHIFT | 1 << (SHIFT - 1)).view(np.float32))
