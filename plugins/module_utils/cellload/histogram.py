# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Percentiles of any number of samples in bounded memory: counts over the bit patterns of float32, 8 bits of mantissa.

A bin is at most 1/256 of its value wide, so its middle is off by at most 0.2 %. Adding two histograms is exact, so windows
combine without further error. The bins are those of the controller's soak/histogram.py, which reads what this writes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .stats import DIGITS, PERCENTS

SHIFT = 15
RELATIVE_ERROR = 0.002
LARGEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]


def indices(samples: Sequence[float]) -> tuple[int, ...]:
    """Return the bin of each finite sample; those of 0 and below are in bin 0."""
    floats = [min(sample, LARGEST) if sample > 0 else 0.0 for sample in samples]
    patterns = struct.unpack(f"<{len(floats)}I", struct.pack(f"<{len(floats)}f", *floats))
    return tuple(pattern >> SHIFT for pattern in patterns)


def middle(index: int) -> float:
    """Return the middle of a bin."""
    if index == 0:
        return 0.0
    low, high = struct.unpack("<2f", struct.pack("<2I", index << SHIFT, (index + 1) << SHIFT))
    return float((low + high) / 2)


@dataclass
class Histogram:
    """Counts by bin; the number, sum, least and greatest of the samples are exact."""

    counts: dict[int, int] = field(default_factory=dict)
    total: int = 0
    sum: float = 0.0
    least: float = math.inf
    most: float = -math.inf

    def add(self, samples: Sequence[float]) -> None:
        """Count finite samples in any order."""
        if not samples:
            return
        for index in indices(samples):
            self.counts[index] = self.counts.get(index, 0) + 1
        self.total += len(samples)
        self.sum += math.fsum(samples)
        self.least, self.most = min(self.least, *samples), max(self.most, *samples)

    def merge(self, other: Histogram) -> None:
        """Add another histogram's samples."""
        for index, count in other.counts.items():
            self.counts[index] = self.counts.get(index, 0) + count
        self.total += other.total
        self.sum += other.sum
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)

    def percentiles(self, percents: Iterable[float]) -> list[float]:
        """Return the sample of each percentile (0 to 100, ascending, nearest rank) within 0.2 %; at least one sample."""
        found: list[float] = []
        bins, seen, index = iter(sorted(self.counts)), 0, 0
        for percent in percents:
            rank = max(1, math.ceil(self.total * percent / 100))
            while seen < rank:
                index = next(bins)
                seen += self.counts[index]
            found.append(min(max(middle(index), self.least), self.most))
        return found

    def distribution(self) -> dict[str, float | int] | None:
        """Return mean, p50, p90, p95, p99, min, max and count, as stats.distribution does; None without samples."""
        if not self.total:
            return None
        result: dict[str, float | int] = {"mean": round(self.sum / self.total, DIGITS)}
        values = self.percentiles(PERCENTS)
        result.update({f"p{percent}": round(value, DIGITS) for percent, value in zip(PERCENTS, values)})
        return {**result, "min": round(self.least, DIGITS), "max": round(self.most, DIGITS), "count": self.total}

    def lateness(self) -> dict[str, float] | None:
        """Return p50, p95 and max, as stats.lateness does; None without samples."""
        known = self.distribution()
        return None if known is None else {key: known[key] for key in ("p50", "p95", "max")}

    def as_json(self) -> dict[str, Any]:
        """Return number, least and greatest sample (null without any), and [bin, count] pairs, the lowest bin first."""
        least, most = (round(self.least, DIGITS), round(self.most, DIGITS)) if self.total else (None, None)
        return {
            "n": self.total,
            "min": least,
            "max": most,
            "h": [[key, self.counts[key]] for key in sorted(self.counts)],
        }
