# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The times at which an open loop sends: constant or Poisson, seeded, with the wanted rate reached exactly."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate, count, takewhile


def schedule(count: int, rate: float, kind: str, seed: int) -> Sequence[float]:
    """Return count times in seconds from the start, ascending, the first 0 and the last (count - 1) / rate.

    kind "poisson": gaps are exponential, then scaled so that the last time is exact; chance moves the single gaps and
    never the rate, so a rate that was not reached is the client's or the server's doing.
    """
    if kind == "constant" or count < 2:
        return [index / rate for index in range(count)]
    gaps = random.Random(f"arrivals {seed}")
    times = [0.0, *accumulate(gaps.expovariate(1.0) for _ in range(count - 1))]
    scale = (count - 1) / rate / times[-1]
    return [time * scale for time in times]


def endless(rate: float, kind: str, seed: int, began_s: float, ended_s: float) -> Iterator[float]:
    """Yield ascending times from began_s until before ended_s (seconds), at a rate that for "poisson" is kept on average.

    Of hours of load there are too many times to hold them all, which scaling them to an exact rate would need.
    """
    if kind == "constant":
        return takewhile(lambda time: time < ended_s, (began_s + index / rate for index in count()))
    gaps = random.Random(f"arrivals {seed}")
    times = accumulate((gaps.expovariate(rate) for _ in count()), initial=began_s)
    return takewhile(lambda time: time < ended_s, times)
