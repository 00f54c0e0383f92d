# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Percentiles of any number of samples in 512 KiB: counts over the bit patterns of float32, with 8 bits of mantissa.

A bin is at most 1/256 of its value wide, so its middle is off by at most 0.2 %. Adding two histograms is exact, so windows,
nodes and runs combine without further error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

SHIFT = 15
BINS = 1 << 16
Counts = npt.NDArray[np.int64]


def _none() -> Counts:
    return np.zeros(BINS, dtype=np.int64)


@dataclass
class Histogram:
    """Counts by bin; values of 0 and below are in bin 0."""

    counts: Counts = field(default_factory=_none)

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> Histogram:
        """Return the histogram with these (bin, count) pairs."""
        found = cls()
        for index, count in pairs:
            found.counts[index] += count
        return found

    def add(self, samples: npt.NDArray[np.float32]) -> None:
        """Count finite samples in any order."""
        bits = np.maximum(samples, np.float32(0)).view(np.uint32) >> np.uint32(SHIFT)
        self.counts += np.bincount(bits, minlength=BINS)

    def merge(self, other: Histogram) -> None:
        """Add another histogram's counts."""
        self.counts += other.counts

    @property
    def total(self) -> int:
        """Return the number of samples."""
        return int(self.counts.sum())

    def percentile(self, percent: float) -> float | None:
        """Return the middle of the bin in which the percentile (0 to 100, nearest rank) lies; None without samples."""
        total = self.total
        if not total:
            return None
        rank = max(1, int(np.ceil(total * percent / 100)))
        return middle(int(np.searchsorted(np.cumsum(self.counts), rank)))


def middle(index: int) -> float:
    """Return the middle of a bin."""
    if index == 0:
        return 0.0
    edges = np.array([index << SHIFT, (index + 1) << SHIFT], dtype=np.uint32).view(np.float32)
    return float(edges.mean(dtype=np.float64))
