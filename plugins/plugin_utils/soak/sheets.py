# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a soak for spreadsheets and the eye of a terminal, line by line: timeline.csv, rss.csv, chaos_events.log."""

from __future__ import annotations

import csv
import heapq
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..report.escape import csv_cell, one_line
from ..report.values import number
from . import timeline
from .fault_log import Said
from .model import SERVICE, Series
from .record import SoakRecord, iso

# Of a service, in the order of the columns of rss.csv.
METRICS = ("rss_bytes", "anon_bytes", "threads", "fds")
# What every line of a fault has; the rest of what its node said stands behind.
KNOWN = frozenset(("t", "b", "id", "phase", "kind", "target"))
# What is told of a fault when it is planned stands in run_config.json already.
PLANNED = "planned"


def of_time(record: SoakRecord) -> Iterator[str]:
    """Yield the lines of timeline.csv."""
    columns = timeline.columns(record)
    yield from _csv(columns, ([row[name] for name in columns] for row in timeline.rows(record)))


def of_memory(record: SoakRecord, node: str) -> Iterator[str]:
    """Yield the lines of a node's rss.csv, by time and service; what was not read is an empty cell."""
    by_service: dict[str, list[Series]] = {}
    for one in record.evidence.series:
        if one.node == node and one.subject.startswith(SERVICE) and one.metric in METRICS:
            by_service.setdefault(one.subject.removeprefix(SERVICE), []).append(one)
    lines = heapq.merge(*(_of_service(name, series) for name, series in sorted(by_service.items())))
    yield from _csv(("t_s", "service", *METRICS), ([at, name, *values] for at, name, values in lines))


def _of_service(name: str, series: Sequence[Series]) -> Iterator[tuple[float, str, list[float | None]]]:
    """Yield (time, name, values of METRICS) for each time at which any of them was read."""
    rows: Iterator[tuple[float, int, float | None]] = heapq.merge(
        *(_points(METRICS.index(one.metric), one) for one in series)
    )
    now: float | None = None
    values: list[float | None] = [None] * len(METRICS)
    for at, place, value in rows:
        if now is not None and at != now:
            yield now, name, values
            values = [None] * len(METRICS)
        now = at
        values[place] = value
    if now is not None:
        yield now, name, values


def _points(place: int, series: Series) -> Iterator[tuple[float, int, float | None]]:
    for at, value in zip(series.times, series.values, strict=False):
        yield at, place, value


def of_faults(record: SoakRecord) -> Iterator[str]:
    """Yield the lines of chaos_events.log: every phase of every fault over all nodes, in the order in which they happened.

    Each is ISO time by the node's clock, seconds since the load began, node, fault, phase, kind, target, and what was measured.
    """
    for one in record.left.said:
        yield f"{_words(one)}\n"


def _words(said: Said) -> str:
    line = said.line
    target = line.get("target")
    service = target.get("service") if isinstance(target, Mapping) else ""
    more = {key: value for key, value in line.items() if key not in KNOWN and value not in ("", None, [], {})}
    if said.phase == PLANNED:
        more = {key: more[key] for key in ("at_s", "duration_s") if key in more}
    told = [f"{key}={_value(value)}" for key, value in more.items()]
    return one_line(
        f"{iso(said.unix_s)} {said.at_s:10.3f} {said.node} {said.id} {said.phase} "
        f"{line.get('kind') or '-'} {service or '-'} {' '.join(told)}"
    )


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}:{_value(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(_value(one) for one in value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'"{text}"' if " " in text else text


def _csv(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> Iterator[str]:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in columns])
    for line in lines:
        writer.writerow([_cell(value) for value in line])
        if stream.tell() > 1 << 16:
            yield stream.getvalue()
            stream.seek(0)
            stream.truncate()
    yield stream.getvalue()


def _cell(value: Any) -> Any:
    """Return a value for a cell: whole numbers without a fraction, what is no finite number as nothing."""
    if isinstance(value, float):
        known = number(value)
        return "" if known is None else int(known) if known.is_integer() and abs(known) < 1e15 else known
    return csv_cell(value)
