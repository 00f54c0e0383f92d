# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What small counts allow to be said: intervals of rates, changes between two nights, and passes of several tries."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# The two-sided 95 % quantile of the normal distribution.
Z95 = 1.959963984540054
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Rate:
    """A share of a count, with its 95 % interval after Wilson. of: 0 gives no rate at all."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """Return the share, None where there is nothing to take a share of."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Return the ends of the interval; 0 and 1 where nothing is known."""
        return wilson(self.count, self.of)

    def above(self, limit: float) -> str:
        """Return `certain` when the whole interval is above limit, `suspected` when only the share is, else ""."""
        if self.value is None or self.value <= limit:
            return ""
        return "certain" if self.interval[0] > limit else "suspected"

    def below(self, limit: float) -> str:
        """Return `certain` when the whole interval is below limit, `suspected` when only the share is, else ""."""
        if self.value is None or self.value >= limit:
            return ""
        return "certain" if self.interval[1] < limit else "suspected"

    def as_dict(self) -> dict[str, float | int | list[float] | None]:
        """Return the rate as plain JSON types, rounded to four places."""
        value, (low, high) = self.value, self.interval
        return {
            "count": self.count,
            "of": self.of,
            "rate": None if value is None else round(value, 4),
            "interval": [round(low, 4), round(high, 4)],
        }


def wilson(count: int, of: int, z: float = Z95) -> tuple[float, float]:
    """Return the ends of Wilson's score interval of count in of; (0, 1) where of is 0."""
    if of == 0:
        return 0.0, 1.0
    share, spread = count / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    # At the two ends the formula is exact, but for the last digit of a float.
    return (0.0 if count == 0 else max(0.0, middle - half)), (1.0 if count == of else min(1.0, middle + half))


def mcnemar(worse: int, better: int) -> float:
    """Return how likely a difference at least as large is by chance: the exact test of McNemar, two-sided.

    worse, better: cases that passed before and fail now, and the other way round; those that stayed say nothing.
    """
    flips = worse + better
    if flips == 0:
        return 1.0
    tail = _half_tail(min(worse, better), flips)
    return min(1.0, 2 * tail)


def _half_tail(most: int, flips: int) -> float:
    """Return the chance of at most so many heads; sums of logarithms, since 2**-flips of large counts is 0."""
    logs = [
        math.lgamma(flips + 1) - math.lgamma(k + 1) - math.lgamma(flips - k + 1) - flips * math.log(2)
        for k in range(most + 1)
    ]
    return math.fsum(math.exp(value) for value in logs)


def trend(worse: int, better: int) -> str:
    """Return `worse`, `better` or `steady`, from how many cases changed in each direction."""
    if mcnemar(worse, better) >= SIGNIFICANT:
        return "steady"
    return "worse" if worse > better else "better"


def pass_at(k: int, counts: Iterable[tuple[int, int]]) -> float | None:
    """Return how likely one of k tries of a case passes, as the mean over cases; None where no case has a result.

    counts: passes and believed answers of each case. A case with fewer than k answers is taken at as many as it has.
    """
    chances = [1.0 - _all_fail(answers, passes, min(k, answers)) for passes, answers in counts if answers]
    return math.fsum(chances) / len(chances) if chances else None


def _all_fail(answers: int, passes: int, k: int) -> float:
    """Return the chance that k answers, drawn without putting back, are all no passes."""
    fails = answers - passes
    if fails < k:
        return 0.0
    return math.comb(fails, k) / math.comb(answers, k)
