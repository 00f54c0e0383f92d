# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bursts of a soak: at fixed times more load for a while, on top of the steady one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

RANGES: Mapping[str, tuple[float, float]] = {
    "every_s": (1.0, 86_400.0),
    "length_s": (0.1, 86_400.0),
    "requests_per_s": (0.001, 100_000.0),
    "concurrency": (1, 65_536),
}
WHOLE = ("concurrency",)
MOMENT_S = 0.05  # by as much a window may end after the burst began that it should have ended before


@dataclass(frozen=True)
class Burst:
    """Every every_s seconds, the first time after as many, length_s seconds of further load: a rate, or requests in flight."""

    every_s: float
    length_s: float
    requests_per_s: float | None = None
    concurrency: int | None = None

    def spans(self, end_s: float) -> Iterator[tuple[float, float]]:
        """Yield begin and end of each burst that begins before end_s, in seconds from the start of the load."""
        for number in count(1):
            began = number * self.every_s
            if began >= end_s:
                return
            yield began, min(began + self.length_s, end_s)

    def touches(self, began_s: float, ended_s: float) -> bool:
        """Tell whether a burst goes on for more than a moment between two times (seconds from the start of the load)."""
        moment = min(MOMENT_S, (ended_s - began_s) / 2)
        numbers = range(max(1, int(began_s // self.every_s)), int(ended_s // self.every_s) + 1)
        starts = (number * self.every_s for number in numbers)
        return any(min(ended_s, start + self.length_s) - max(began_s, start) > moment for start in starts)


def burst_of(value: Mapping[str, Any] | None) -> Burst | None:
    """Return the bursts that a checked value of test_config.json asks for."""
    return Burst(**{key: item for key, item in value.items() if item is not None}) if value else None


def wrong_burst(value: Mapping[str, Any] | None) -> str:
    """Return what does not fit together in a value whose numbers are in range; "" when all does."""
    if value is None:
        return ""
    given = {key for key, item in value.items() if item is not None}
    missing = [key for key in ("every_s", "length_s") if key not in given]
    if missing:
        return f"needs {' and '.join(missing)}"
    if len(given & {"requests_per_s", "concurrency"}) != 1:
        return "needs one of requests_per_s and concurrency"
    if value["length_s"] >= value["every_s"]:
        return f"lasts {value['length_s']:g} s and begins every {value['every_s']:g} s: no time is left between two"
    return ""
