# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The timeline of a case as plain geometry: lanes, bars and ticks that a template draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .spans import Span
from .values import duration

LABEL_WIDTH = 190.0
PLOT_WIDTH = 770.0
LANE_HEIGHT = 22.0
TOP = 24.0
SMALLEST_BAR = 2.0
MAX_LANES = 120
TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 36000, 86400)


@dataclass(frozen=True)
class Bar:
    """One rectangle, in the units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str


@dataclass(frozen=True)
class Tick:
    """One vertical line of the time axis."""

    x: float
    label: str


@dataclass(frozen=True)
class Lane:
    """One named row."""

    y: float
    label: str


@dataclass(frozen=True)
class Gantt:
    """A whole drawing; hidden counts the lanes that did not fit."""

    width: float
    height: float
    plot_x: float
    lanes: tuple[Lane, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    hidden: int


def draw(spans: Sequence[Span]) -> Gantt | None:
    """Return the drawing of spans, one lane a step and one a service with a sub-lane a node; None without spans."""
    if not spans:
        return None
    total = max(0.001, *(span.start_s + (span.seconds or 0.0) for span in spans))
    groups = _lanes(spans)
    kept = list(groups.items())[:MAX_LANES]
    lanes, bars = [], []
    for index, ((_kind, name), members) in enumerate(kept):
        top = TOP + index * LANE_HEIGHT
        lanes.append(Lane(top + LANE_HEIGHT / 2, name))
        bars.extend(_bars(members, top, total))
    return Gantt(
        width=LABEL_WIDTH + PLOT_WIDTH + 20,
        height=TOP + len(kept) * LANE_HEIGHT + 8,
        plot_x=LABEL_WIDTH,
        lanes=tuple(lanes),
        bars=tuple(bars),
        ticks=_ticks(total),
        hidden=len(groups) - len(kept),
    )


def _lanes(spans: Sequence[Span]) -> dict[tuple[str, str], list[Span]]:
    groups: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        groups.setdefault(("step" if span.kind == "step" else "service", span.name), []).append(span)
    return dict(sorted(groups.items(), key=lambda item: (item[0][0] != "step", item[1][0].start_s)))


def _bars(members: Sequence[Span], top: float, total: float) -> list[Bar]:
    nodes = sorted({span.node for span in members})
    height = (LANE_HEIGHT - 6) / len(nodes)
    found = []
    for span in members:
        width = (span.seconds or 0.0) / total * PLOT_WIDTH
        found.append(
            Bar(
                x=round(LABEL_WIDTH + span.start_s / total * PLOT_WIDTH, 2),
                y=round(top + 3 + nodes.index(span.node) * height, 2),
                width=round(max(width, SMALLEST_BAR), 2),
                height=round(max(height - 0.5, 1.0), 2),
                style=span.kind if span.ok else "failed",
                title=_title(span),
            )
        )
    return found


def _title(span: Span) -> str:
    where = f" on {span.node}" if span.node else ""
    what = "" if span.kind == "step" else f" ({span.kind})"
    detail = f": {span.detail}" if span.detail else ""
    return f"{span.name}{what}{where}, from {duration(span.start_s)} for {duration(span.seconds)}{detail}"


def _ticks(total: float) -> tuple[Tick, ...]:
    step = next((size for size in TICK_STEPS if total / size <= 8), total / 8)
    count = int(total / step)
    return tuple(
        Tick(round(LABEL_WIDTH + index * step / total * PLOT_WIDTH, 2), f"{index * step:g} s")
        for index in range(count + 1)
    )
