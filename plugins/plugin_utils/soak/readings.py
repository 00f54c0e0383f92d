# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node measured in a soak, as series: from its samples, the begin of its load, and the reports of its services.

All times are the node's time since boot, less that of the load's begin: nobody can set that clock.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..verdict.strict_json import FileProblem
from . import report_readings
from .begin import Begin, number, read_begin
from .model import GPU, METRICS, SERVICE, Series
from .report_readings import Reported

SAMPLES = "samples.jsonl"
NODE, RUNNING, STATE = "node", "running", "state"
GPUS = "gpus"
# The subject of cards of which nothing was ever read, not even how many there are.
UNREAD_GPUS = f"{GPU}unread"
MAX_LINE_BYTES = 4 << 20
MOST_PROBLEMS = 100
# Where the subjects of a line are, and what they are called in series; the node itself has no name.
SUBJECTS = {"services": SERVICE, "gpus": GPU, "metrics": METRICS}


@dataclass(frozen=True)
class Readings:
    """What a node's files hold. reports: of each service that reports; problems: what no value was taken from, and why.

    begin: None where the load never began there, which leaves no series. sampled_s: when lines were written, ascending.
    """

    node: str
    begin: Begin | None
    series: tuple[Series, ...]
    reports: tuple[Reported, ...]
    problems: tuple[FileProblem, ...]
    sampled_s: tuple[float, ...] = ()


def read_node(node: str, folder: Path, reports: Sequence[Mapping[str, Any]] = ()) -> Readings:
    """Return what the files below a node's folder `soak/` hold. reports: the scenario's `soak.reports`."""
    begin, problems = read_begin(folder)
    if begin is None:
        return Readings(node, None, (), (), problems)
    samples = _Samples(node, begin)
    samples.read(folder / SAMPLES)
    found, reported, more = report_readings.read(node, folder, begin, reports)
    problems = shortened([*problems, *samples.problems, *more], SAMPLES)
    return Readings(node, begin, (*samples.series(), *found), reported, problems, tuple(samples.times))


def shortened(problems: Sequence[FileProblem], file: str) -> tuple[FileProblem, ...]:
    """Return the problems, the first MOST_PROBLEMS of too many with the number of the others."""
    if len(problems) <= MOST_PROBLEMS:
        return tuple(problems)
    left = FileProblem(file, 0, "", f"and {len(problems) - MOST_PROBLEMS} problems more")
    return (*problems[:MOST_PROBLEMS], left)


class _Samples:
    """The lines of a node, taken in one after the other: a point takes 12 bytes until its series is asked for."""

    def __init__(self, node: str, begin: Begin) -> None:
        self._node, self._begin = node, begin
        self.times = array("d")
        self.problems: list[FileProblem] = []
        self._points: dict[tuple[str, str], tuple[array[int], array[float]]] = {}
        self._last_b = -math.inf
        self._told: set[tuple[str, str]] = set()

    def read(self, path: Path) -> None:
        """Take in a file; a last line without its end was being written when the node stopped."""
        if path.is_symlink() or not path.is_file():
            self.problems.append(FileProblem(SAMPLES, 0, "", "is missing: nothing was sampled on this node"))
            return
        with path.open("rb") as stream:
            for place, raw in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), 1):
                if not raw.endswith(b"\n"):
                    break
                self._line(place, raw)

    def _line(self, place: int, raw: bytes) -> None:
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError) as exc:
            self.problems.append(FileProblem(SAMPLES, place, "", f"is no JSON: {exc}"))
            return
        boottime = number(line.get("b")) if isinstance(line, dict) else None
        if boottime is None or boottime <= self._last_b:
            message = f"is {boottime!r}; expected the time since boot in s, after {self._last_b:g}"
            self.problems.append(FileProblem(SAMPLES, place, "b", message))
            return
        self._last_b = boottime
        self._missing(place, line.get("missing"))
        if boottime >= self._begin.boottime_s:
            self.times.append(round(boottime - self._begin.boottime_s, 3))
            for subject, values in _subjects(line):
                self._take(place, subject, values)

    def _missing(self, place: int, missing: Any) -> None:
        """Tell each thing that the node could not read, once for each reason."""
        for name, why in missing.items() if isinstance(missing, dict) else ():
            if (name, str(why)) not in self._told:
                self._told.add((name, str(why)))
                self.problems.append(FileProblem(SAMPLES, place, name, f"could not be read: {why}"))

    def _take(self, place: int, subject: str, values: Mapping[str, Any]) -> None:
        """Take in the values of a subject. A state of a service is told as running, 1 or 0."""
        for metric, value in values.items():
            if metric == STATE:
                self._add(subject, RUNNING, float(value == RUNNING))
                continue
            found = number(value)
            if found is not None:
                self._add(subject, metric, found)
            elif (subject, metric) not in self._told:
                self._told.add((subject, metric))
                message = f"is {value!r}; expected a finite number"
                self.problems.append(FileProblem(SAMPLES, place, f"{subject}/{metric}", message))

    def _add(self, subject: str, metric: str, value: float) -> None:
        places, values = self._points.setdefault((subject, metric), (array("I"), array("d")))
        places.append(len(self.times) - 1)
        values.append(value)

    def series(self) -> Iterator[Series]:
        """Yield each series once and forget it; series of the same moments share their times.

        Where cards could not be listed and none was ever read, there is one without values, so that a gate asks for it.
        """
        if any(name == GPUS for name, _ in self._told) and not any(one.startswith(GPU) for one, _ in self._points):
            yield Series(self._node, UNREAD_GPUS, "memory_bytes", (), ())
        moments = self.times.tolist()
        shared: dict[bytes, tuple[float, ...]] = {}
        for subject, metric in sorted(self._points):
            places, values = self._points.pop((subject, metric))
            key = places.tobytes()
            times = shared.setdefault(key, ()) or tuple(moments[place] for place in places)
            shared[key] = times
            yield Series(self._node, subject, metric, times, tuple(_interned(values)))


def _interned(values: Sequence[float]) -> Iterator[float]:
    """Yield the values; those that repeat are one object, which most descriptors and threads do."""
    last = math.nan
    for value in values:
        if value != last:
            last = value
        yield last


def _subjects(line: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (subject, values) of all that a line tells of."""
    if isinstance(line.get("node"), dict):
        yield NODE, line["node"]
    for key, prefix in SUBJECTS.items():
        for name, values in (line.get(key) or {}).items() if isinstance(line.get(key), dict) else ():
            if isinstance(values, dict):
                yield prefix + name, values
