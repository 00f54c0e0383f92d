# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Percentiles and the summary of one measured quantity.

Percentiles interpolate linearly between the two nearest samples (Hyndman and Fan type 7), as numpy.percentile and the
benchmarks of vLLM and SGLang do, so that figures can be laid side by side. No samples give None, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

PERCENTS = (50, 90, 95, 99)
DIGITS = 3


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the percentile of ascending samples (at least one); percent from 0 to 100."""
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def distribution(samples: Sequence[float]) -> dict[str, float | int] | None:
    """Return mean, p50, p90, p95, p99, min, max and count of samples in any order; None when there are none."""
    if not samples:
        return None
    ordered = sorted(samples)
    result: dict[str, float | int] = {"mean": round(math.fsum(ordered) / len(ordered), DIGITS)}
    result.update({f"p{percent}": round(percentile(ordered, percent), DIGITS) for percent in PERCENTS})
    return {**result, "min": round(ordered[0], DIGITS), "max": round(ordered[-1], DIGITS), "count": len(ordered)}


def lateness(samples: Sequence[float]) -> dict[str, float] | None:
    """Return p50, p95 and max of samples in any order; None when there are none."""
    if not samples:
        return None
    ordered = sorted(samples)
    return {
        "p50": round(percentile(ordered, 50), DIGITS),
        "p95": round(percentile(ordered, 95), DIGITS),
        "max": round(ordered[-1], DIGITS),
    }
