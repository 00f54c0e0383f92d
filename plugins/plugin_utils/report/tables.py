# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CSV files of a case: its performance figures and its timeline, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .escape import csv_cell
from .metrics import figures
from .reasons import labels
from .spans import Span, of_case
from .values import mapping

PERFORMANCE_COLUMNS = (
    "run_id",
    "scenario",
    "case",
    "attempt",
    "verdict",
    "labels",
    "metric",
    "statistic",
    "value",
    "unit",
)
TIMELINE_COLUMNS = ("start_s", "seconds", "kind", "name", "node", "ok", "detail", "start_number", "critical_path")


def performance(record: Mapping[str, Any]) -> str:
    """Return performance_results.csv: one line a metric and statistic; a value without samples is an empty cell."""
    case = [record.get(name) for name in ("run_id", "scenario", "case", "attempt", "verdict")]
    found = figures(mapping(record.get("benchmark")))
    named = labels(record)
    return _csv(PERFORMANCE_COLUMNS, ([*case, named, f.metric, f.statistic, f.value, f.unit] for f in found))


def timeline(record: Mapping[str, Any]) -> str:
    """Return timeline.csv: one line a step or service state, by its start counted from the start of the case."""
    return _csv(TIMELINE_COLUMNS, map(_line, of_case(record)))


def _line(span: Span) -> list[Any]:
    service = [span.nth, _word(span.critical)] if span.nth else ["", ""]
    moments = [_rounded(span.start_s), _rounded(span.seconds)]
    return [*moments, span.kind, span.name, span.node, _word(span.ok), span.detail, *service]


def _csv(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([csv_cell(value) for value in line] for line in lines)
    return stream.getvalue()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _word(value: bool) -> str:
    return "true" if value else "false"
