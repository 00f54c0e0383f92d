# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The timeline of a case as plain geometry: lanes, bars, ticks and the critical path that a template draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .spans import START_KINDS, Span

LABEL_WIDTH = 190.0
PLOT_WIDTH = 770.0
LANE_HEIGHT = 22.0
TOP = 24.0
SMALLEST_BAR = 2.0
MARK_WIDTH = 7.0
MAX_LANES = 120
TICK_STEPS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30),
    *(60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 36000, 86400),
)
# Left free behind the last start, so that a bar that goes on is seen to do so.
MARGIN = 0.04
# What a style means, in the order of the key.
MEANING = {
    "step": "step",
    "waiting": "waits for a slot",
    "launching": "engine starts it",
    "starting": "runs, not ready yet",
    "serving": "ready",
    "failed": "failed or dead",
    "recovered": "started again in the test",
    "path": "critical path",
}


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
    critical: bool = False


@dataclass(frozen=True)
class Gantt:
    """A whole drawing; hidden counts the lanes that did not fit.

    links: the lines from one service of the critical path to the next, as points; key: styles and what they mean.
    """

    width: float
    height: float
    plot_x: float
    lanes: tuple[Lane, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    hidden: int
    links: tuple[str, ...] = ()
    key: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Scale:
    """Seconds to places: the stretch of time that is drawn."""

    begin_s: float
    end_s: float

    def x(self, moment_s: float) -> float:
        """Return where a moment is; one beyond the stretch is at its edge."""
        inside = min(max(moment_s, self.begin_s), self.end_s)
        return LABEL_WIDTH + (inside - self.begin_s) / (self.end_s - self.begin_s) * PLOT_WIDTH

    def shows(self, span: Span) -> bool:
        """Return whether any of a span lies inside."""
        return span.start_s < self.end_s and span.end_s >= self.begin_s


def draw(spans: Sequence[Span]) -> Gantt | None:
    """Return the drawing of spans, one lane a step and one a service with a sub-lane a node; None without spans."""
    end = max((span.end_s for span in spans), default=0.0)
    return _draw(spans, _Scale(0.0, max(0.001, end))) if spans else None


def draw_deployment(spans: Sequence[Span]) -> Gantt | None:
    """Return the drawing of the services from the first start until the last is ready; None without a start."""
    services = [span for span in spans if span.kind != "step"]
    starts = [span for span in services if span.kind in START_KINDS]
    if not starts:
        return None
    begin, end = min(span.start_s for span in starts), max(span.end_s for span in starts)
    return _draw(services, _Scale(begin, end + max(0.001, (end - begin) * MARGIN)))


def _draw(spans: Sequence[Span], scale: _Scale) -> Gantt:
    groups = _lanes([span for span in spans if scale.shows(span)])
    kept = list(groups.items())[:MAX_LANES]
    lanes, bars, paths = [], [], []
    for index, ((_kind, name), members) in enumerate(kept):
        top = TOP + index * LANE_HEIGHT
        lanes.append(Lane(top + LANE_HEIGHT / 2, name, members[0].critical))
        bars.extend(_bars(members, top, scale))
        paths.extend(_outline(members, top, scale))
    paths.sort(key=lambda bar: (bar.x + bar.width, bar.y))
    styles = {bar.style for bar in (*bars, *paths)}
    return Gantt(
        width=LABEL_WIDTH + PLOT_WIDTH + 20,
        height=TOP + len(kept) * LANE_HEIGHT + 8,
        plot_x=LABEL_WIDTH,
        lanes=tuple(lanes),
        bars=(*bars, *paths),
        ticks=_ticks(scale),
        hidden=len(groups) - len(kept),
        links=tuple(_link(one, other) for one, other in zip(paths, paths[1:], strict=False)),
        key=tuple((style, meaning) for style, meaning in MEANING.items() if style in styles),
    )


def _lanes(spans: Sequence[Span]) -> dict[tuple[str, str], list[Span]]:
    groups: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        groups.setdefault(("step" if span.kind == "step" else "service", span.name), []).append(span)
    return dict(sorted(groups.items(), key=lambda item: (item[0][0] != "step", item[1][0].start_s)))


def _bars(members: Sequence[Span], top: float, scale: _Scale) -> list[Bar]:
    nodes = sorted({span.node for span in members})
    height = (LANE_HEIGHT - 6) / len(nodes)
    found = []
    for span in members:
        mark = span.kind == "recovered"
        left, right = scale.x(span.start_s), scale.x(span.end_s)
        found.append(
            Bar(
                x=round(left, 2),
                y=round(top + 3 + nodes.index(span.node) * height, 2),
                width=round(max(right - left, MARK_WIDTH if mark else SMALLEST_BAR), 2),
                height=round(max(height - 0.5, 1.0), 2),
                style=_style(span),
                title=_title(span),
            )
        )
    return found


def _style(span: Span) -> str:
    """Return how a span is drawn; a start that came to nothing keeps its kind, what follows tells whether it failed."""
    is_bad = span.kind == "dead" or (span.kind == "step" and not span.ok)
    return "failed" if is_bad else span.kind


def _outline(members: Sequence[Span], top: float, scale: _Scale) -> list[Bar]:
    """Return the frame around the starts of a service that is on the critical path."""
    starts = [span for span in members if span.critical and span.kind in START_KINDS]
    if not starts:
        return []
    left, right = scale.x(starts[0].start_s), scale.x(max(span.end_s for span in starts))
    title = f"{starts[0].name} is on the critical path"
    return [Bar(round(left, 2), top + 1.5, round(max(right - left, SMALLEST_BAR), 2), LANE_HEIGHT - 3, "path", title)]


def _link(one: Bar, other: Bar) -> str:
    """Return the line from the end of a frame to the beginning of the next."""
    x, middle = round(one.x + one.width, 2), other.y + other.height / 2
    begin = one.y + one.height if other.y > one.y else one.y
    return f"{x},{begin} {x},{middle} {other.x},{middle}"


def _title(span: Span) -> str:
    where = f" on {span.node}" if span.node else ""
    what = "" if span.kind == "step" else f" ({span.kind}{f', start {span.nth}' if span.nth > 1 else ''})"
    detail = f": {span.detail}" if span.detail else ""
    long = "" if span.kind == "recovered" else f" for {_seconds(span.seconds)}"
    return f"{span.name}{what}{where}, from {_seconds(span.start_s)}{long}{detail}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _ticks(scale: _Scale) -> tuple[Tick, ...]:
    length = scale.end_s - scale.begin_s
    step = next((size for size in TICK_STEPS if length / size <= 8), length / 8)
    first, last = math.ceil(scale.begin_s / step - 1e-9), math.floor(scale.end_s / step + 1e-9)
    return tuple(Tick(round(scale.x(index * step), 2), f"{index * step:g} s") for index in range(first, last + 1))
