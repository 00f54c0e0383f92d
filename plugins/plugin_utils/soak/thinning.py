# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A series with few enough points to draw: the smallest and the largest value of each column of pixels, and the gaps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .spans import Span
from .trust import INTERVALS

COLUMNS = 500
Point = tuple[float, float]
Piece = tuple[Point, ...]
Floats = npt.NDArray[np.float64]


def pieces(
    times: Sequence[float], values: Sequence[float | None], span: Span, columns: int = COLUMNS
) -> tuple[Piece, ...]:
    """Return a series as unbroken pieces of at most two points a column: its smallest and its largest value, by time.

    times: in any order, those outside of span are left out; what is no finite number is a gap, and so is a time of more
    than INTERVALS of the usual ones. Gaps within one column are not seen.
    """
    at, of = _sorted(times, values)
    known = np.flatnonzero(np.isfinite(of) & (at >= span[0]) & (at <= span[1]))
    if not len(known) or span[0] >= span[1]:
        return ()
    column = np.minimum(((at[known] - span[0]) / (span[1] - span[0]) * columns).astype(np.int64), columns - 1)
    torn = np.concatenate([[False], (np.diff(known) > 1) | (np.diff(at[known]) > _reach(at))])
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    found: list[list[Point]] = [[]]
    for first, last in zip(starts, [*starts[1:], len(known)], strict=True):
        if torn[first] and found[-1]:
            found.append([])
        block = known[first:last]
        low, high = int(block[np.argmin(of[block])]), int(block[np.argmax(of[block])])
        found[-1] += [(float(at[one]), float(of[one])) for one in sorted({low, high})]
    return tuple(tuple(piece) for piece in found)


def _sorted(times: Sequence[float], values: Sequence[float | None]) -> tuple[Floats, Floats]:
    """Return times and values by time, as many as there are of both; NaN where there is no value."""
    count = min(len(times), len(values))
    at = np.asarray(times[:count], dtype=np.float64)
    of = np.asarray([np.nan if value is None else value for value in values[:count]], dtype=np.float64)
    at, of = at[np.isfinite(at)], of[np.isfinite(at)]
    order = np.argsort(at, kind="stable")
    return at[order], of[order]


def _reach(at: Floats) -> float:
    """Return how far apart two samples may be that belong together."""
    return float(np.median(np.diff(at))) * INTERVALS if len(at) > 1 else 0.0
