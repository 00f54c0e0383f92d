# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A soak in steps of ten seconds: what the load did, what services and nodes used, which faults were there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import fault_log
from .histogram import Histogram
from .model import GPU, REPORT, SERVICE, LoadWindow, Series
from .record import SoakRecord, iso

STEP_S = 10.0
PERCENTILES = (50, 95, 99)
LATENCIES = ("ttft_ms", "e2e_ms")
COUNTS = ("sent", "completed", "failed", "without_tokens")
COLUMNS = (
    *("t_s", "unix_s", "time", *COUNTS, "success_ratio"),
    *(f"{name}_p{percent}" for name in LATENCIES for percent in PERCENTILES),
    *(
        "progress",
        "network",
        "lag",
        "rss_bytes",
        "fds",
        "threads",
        "gpu_memory_bytes",
        "faults",
        "recovering",
        "events",
    ),
)
Values = list[float | None]


@dataclass
class _Load:
    """What the load did in one step."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    latencies: dict[str, Histogram] = field(default_factory=dict)
    windows: int = 0

    def add(self, window: LoadWindow) -> None:
        self.windows += 1
        for name in COUNTS:
            self.counts[name] += getattr(window, name)
        for name in LATENCIES:
            if name in window.latencies:
                self.latencies.setdefault(name, Histogram()).merge(window.latencies[name])


def steps(record: SoakRecord) -> int:
    """Return how many steps the soak has."""
    return max(1, math.ceil(record.ended_s / STEP_S))


def columns(record: SoakRecord) -> tuple[str, ...]:
    """Return the names of all columns: COLUMNS, then the memory of each service."""
    return (*COLUMNS, *(f"rss_bytes {one.node}/{one.subject.removeprefix(SERVICE)}" for one in _memories(record)))


def rows(record: SoakRecord) -> Iterator[dict[str, Any]]:
    """Yield the steps in order: column -> value, None where nothing is known.

    Requests count in the step in which the middle of their window lies. Of several samples progress and network are the last,
    everything else is the largest; of several services that report, the least progress, the largest lag and network.
    """
    count = steps(record)
    load = _load(record.evidence.windows, count)
    lanes = _lanes(record, count)
    memories = [_binned(one, count, last=False) for one in _memories(record)]
    names = columns(record)[len(COLUMNS) :]
    there, recovering, events = _faults(record, count), _recovering(record, count), _events(record, count)
    for place in range(count):
        at_s = place * STEP_S
        unix = record.unix_s(at_s)
        yield {
            "t_s": at_s,
            "unix_s": unix,
            "time": iso(unix),
            **_of_load(load.get(place)),
            **{name: values[place] for name, values in lanes.items()},
            "faults": " ".join(there[place]),
            "recovering": " ".join(recovering[place]),
            "events": "; ".join(events[place]),
            **{name: values[place] for name, values in zip(names, memories, strict=True)},
        }


def success_ratio(counts: Mapping[str, int]) -> float | None:
    """Return the share of requests that brought tokens, of those that ended; None where none did."""
    ended = counts["completed"] + counts["failed"]
    return round((counts["completed"] - counts["without_tokens"]) / ended, 6) if ended else None


def _load(windows: Iterable[LoadWindow], count: int) -> dict[int, _Load]:
    found: dict[int, _Load] = {}
    for one in windows:
        place = int((one.began_s + one.ended_s) / 2 // STEP_S)
        if 0 <= place < count:
            found.setdefault(place, _Load()).add(one)
    return found


def _of_load(load: _Load | None) -> dict[str, Any]:
    if load is None:
        return dict.fromkeys([*COUNTS, "success_ratio", *COLUMNS[8:14]])
    found = {
        f"{name}_p{percent}": _rounded(load.latencies[name].percentile(percent) if name in load.latencies else None)
        for name in LATENCIES
        for percent in PERCENTILES
    }
    return {**load.counts, "success_ratio": success_ratio(load.counts), **found}


def _lanes(record: SoakRecord, count: int) -> dict[str, Values]:
    """Return the columns that put the series of services and GPUs together."""
    series = record.evidence.series

    def of(prefix: str, metric: str, last: bool = False) -> list[Values]:
        return [_binned(one, count, last) for one in series if one.subject.startswith(prefix) and one.metric == metric]

    return {
        "progress": _together(of(REPORT, "progress", last=True), count, min),
        "network": _together(of(REPORT, "network", last=True), count, max),
        "lag": _together(of(REPORT, "lag"), count, max),
        "rss_bytes": _together(of(SERVICE, "rss_bytes"), count, sum),
        "fds": _together(of(SERVICE, "fds"), count, sum),
        "threads": _together(of(SERVICE, "threads"), count, sum),
        "gpu_memory_bytes": _together(of(GPU, "memory_bytes"), count, sum),
    }


def _memories(record: SoakRecord) -> list[Series]:
    return [one for one in record.evidence.series if one.subject.startswith(SERVICE) and one.metric == "rss_bytes"]


def _binned(series: Series, count: int, last: bool) -> Values:
    """Return the largest, or the last, value of each step."""
    found: Values = [None] * count
    for at, value in zip(series.times, series.values, strict=False):
        place = int(at // STEP_S) if math.isfinite(at) else -1
        if value is None or not math.isfinite(value) or not 0 <= place < count:
            continue
        before = found[place]
        found[place] = value if before is None or last else max(before, value)
    return found


def _together(lanes: Sequence[Values], count: int, how: Any) -> Values:
    known = ([lane[place] for lane in lanes if lane[place] is not None] for place in range(count))
    return [how(values) if values else None for values in known]


def _faults(record: SoakRecord, count: int) -> list[list[str]]:
    spans = [
        (one.id, one.began_s, record.ended_s if one.undone_s is None else one.undone_s)
        for one in record.evidence.faults
    ]
    return _marked([(name, began, ended) for name, began, ended in spans if began is not None], count)


def _recovering(record: SoakRecord, count: int) -> list[list[str]]:
    windows = [(one, one.window(record.ended_s)) for one in record.evidence.faults if one.undone_s is not None]
    return _marked([(one.id, one.undone_s or 0.0, window[1]) for one, window in windows if window], count)


def _marked(spans: Iterable[tuple[str, float, float]], count: int) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in range(count)]
    for name, began, ended in spans:
        for place in range(max(0, int(began // STEP_S)), min(count - 1, int(ended // STEP_S)) + 1):
            found[place].append(name)
    return found


def _events(record: SoakRecord, count: int) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in range(count)]
    for one in record.left.said:
        if one.phase in fault_log.EVENTS and 0 <= one.at_s < count * STEP_S:
            found[int(one.at_s // STEP_S)].append(f"{one.id} {one.phase}")
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
