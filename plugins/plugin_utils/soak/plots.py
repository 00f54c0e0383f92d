# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plots as plain geometry that a template draws: series over the time of a soak, windows of faults, limits, gaps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .saying import BYTES, length, number
from .spans import merged
from .thinning import Piece, pieces

WIDTH, LEFT, RIGHT = 1000.0, 74.0, 986.0
HEADING, LABEL_ROW, PLOT_HEIGHT, AXIS, LEGEND_ROW, LANE = 26.0, 13.0, 190.0, 26.0, 18.0, 20.0
LABEL_ROWS = 3
# About what a character takes, in text of the size that labels and legends have.
LABEL_CHARACTER, LEGEND_CHARACTER = 5.6, 6.6
MOST_LETTERS, LEGEND_LETTERS, LANE_LETTERS = 22, 42, 26
COLOURS = 10
MOST_LANES = 60
# A limit farther from the data than so many times its range would leave nothing to be seen of it.
FAR = 3.0
TIME_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 604800)


@dataclass(frozen=True)
class Band:
    """A fault as plots show it: from began_s to undone_s it is there, until ended_s its target may recover."""

    id: str
    lane: str
    began_s: float
    undone_s: float
    ended_s: float
    title: str


@dataclass(frozen=True)
class Curve:
    """One series. times: seconds since the load began; values: None where nothing is known."""

    label: str
    times: Sequence[float]
    values: Sequence[float | None]


@dataclass(frozen=True)
class Limit:
    """A gate. value: at from_s; per_hour: by how much it rises, 0 for one that stays."""

    label: str
    value: float
    per_hour: float = 0.0
    from_s: float = 0.0


@dataclass(frozen=True)
class Plot:
    """What one plot shows. key: names its file; unit: of all values, `bytes` are scaled; log: of the axis, for what is above 0."""

    key: str
    title: str
    unit: str
    curves: tuple[Curve, ...]
    limits: tuple[Limit, ...] = ()
    log: bool = False


@dataclass(frozen=True)
class Shape:
    """One thing that is drawn: a path, a dot or a rectangle, with its style and what is said of it."""

    style: str
    path: str = ""
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    title: str = ""


@dataclass(frozen=True)
class Word:
    """A text at a place. anchor: start, middle or end."""

    x: float
    y: float
    text: str
    style: str = ""
    anchor: str = "start"
    title: str = ""


@dataclass(frozen=True)
class Row:
    """One series as figures: how many samples are known and lacking, the first, least, most and last value, with unit."""

    label: str
    samples: int
    lacking: int
    figures: tuple[str, ...]


@dataclass(frozen=True)
class Drawing:
    """A plot in the units of the drawing, and the same in words and as a table."""

    key: str
    title: str
    description: str
    width: float
    height: float
    shapes: tuple[Shape, ...]
    words: tuple[Word, ...]
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class _Axis:
    """Values to places: low at the bottom, high at the top."""

    low: float
    high: float
    top: float
    log: bool

    def y(self, value: float) -> float:
        """Return where a value is; one beyond the axis is at its edge."""
        inside = min(max(value, self.low), self.high)
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        share = ((math.log(inside) if self.log else inside) - low) / (high - low)
        return round(self.top + (1 - share) * PLOT_HEIGHT, 1)


class Frame:
    """What all plots of a soak have in common. end_s: where the axis of time ends, in seconds since the load began."""

    def __init__(self, end_s: float, bands: Sequence[Band]) -> None:
        self.end_s = max(end_s, 1.0)
        self.bands = [band for band in bands if band.began_s < self.end_s]
        self._labels, self._rows = self._placed()
        self.top = HEADING + LABEL_ROW * self._rows + 6

    def x(self, at_s: float) -> float:
        """Return where a moment is."""
        return round(LEFT + min(max(at_s / self.end_s, 0.0), 1.0) * (RIGHT - LEFT), 1)

    def draw(self, plot: Plot) -> Drawing:
        """Return the drawing of a plot."""
        divisor, unit = _scale(plot)
        curves = [(curve, pieces(curve.times, curve.values, (0.0, self.end_s))) for curve in plot.curves]
        axis, beyond = _axis(plot, [point[1] for _, found in curves for piece in found for point in piece], self.top)
        named = _named(curves)
        shown = [(named.get(curve.label), curve, found) for curve, found in curves]
        shapes = [*self._shades(), *_grid(axis, divisor)]
        for style, curve, found in sorted(shown, key=lambda one: one[0] is not None):
            shapes += self._curve(style or "other", curve.label, found, axis)
        shapes += [shape for limit in plot.limits if (shape := self._limit(limit, axis, beyond)) is not None]
        words = [*self._heading(plot.title, unit), *self._times(), *_values(axis, divisor), *self._notes(plot, curves)]
        legend = [*named.items(), *((limit.label, "limit") for limit in plot.limits)]
        words, shapes, height = self._with_legend(words, shapes, legend, len(curves) - len(named), beyond)
        rows = tuple(_row(curve, unit, divisor) for curve in plot.curves)
        return Drawing(plot.key, plot.title, self._told(plot, rows), WIDTH, height, tuple(shapes), tuple(words), rows)

    def draw_faults(self) -> Drawing | None:
        """Return the faults themselves, a lane for each target; None without faults."""
        lanes = sorted({band.lane for band in self.bands})
        if not lanes:
            return None
        kept = lanes[:MOST_LANES]
        top = HEADING + 6
        bottom = top + LANE * len(kept)
        shapes, words = [], []
        for place, lane in enumerate(kept):
            y = top + place * LANE
            words.append(Word(LEFT + 100, y + 14, _short(lane, LANE_LETTERS), "", "end", lane))
            shapes.append(Shape("axis", f"M{LEFT + 108} {y + LANE}H{RIGHT}"))
            for band in (one for one in self.bands if one.lane == lane):
                shapes += self._lane_bar(band, y)
        if len(lanes) > len(kept):
            words.append(Word(LEFT, bottom + 38, f"{len(lanes) - len(kept)} more targets in the table", "tick"))
        wide = [(self._lane_x(at), text) for at, text in _times_of(self.end_s)]
        words += [Word(x, bottom + 16, text, "tick", "middle") for x, text in wide]
        shapes += [Shape("axis", f"M{x} {top}V{bottom}") for x, _ in wide]
        title = "Faults by target"
        words.append(Word(0, 15, title, "title"))
        told = f"{len(self.bands)} faults on {len(lanes)} targets; dark while it is there, light while its target may recover."
        return Drawing("faults", title, told, WIDTH, bottom + 44, tuple(shapes), tuple(words))

    def _lane_x(self, at_s: float) -> float:
        return round(LEFT + 108 + min(max(at_s / self.end_s, 0.0), 1.0) * (RIGHT - LEFT - 108), 1)

    def _lane_bar(self, band: Band, y: float) -> Iterator[Shape]:
        began, undone, ended = (self._lane_x(at) for at in (band.began_s, band.undone_s, band.ended_s))
        height = LANE - 6
        yield Shape("recovery bar", x=undone, y=y + 3, width=round(ended - undone, 1), height=height, title=band.title)
        yield Shape(
            "fault bar", x=began, y=y + 3, width=max(round(undone - began, 1), 2.0), height=height, title=band.title
        )

    def _placed(self) -> tuple[list[Word], int]:
        """Return the names of as many faults as find room above the plot without touching one another, and the rows used."""
        ends = [LEFT - 1] * LABEL_ROWS
        found = []
        for band in self.bands:
            text = _short(band.id, MOST_LETTERS)
            wide = len(text) * LABEL_CHARACTER
            x = min(self.x(band.began_s), RIGHT - wide)
            row = next((row for row, end in enumerate(ends) if end < x), None)
            if row is not None:
                ends[row] = x + wide + 6
                found.append(Word(x, HEADING + 8 + row * LABEL_ROW, text, "fault", "start", band.title))
        return found, len({word.y for word in found})

    def _shades(self) -> list[Shape]:
        """Return the windows of faults; those that touch are one, so that many do not add up to black."""
        return [*self._shade("recovery", False), *self._shade("fault", True)]

    def _shade(self, style: str, there: bool) -> Iterator[Shape]:
        spans = [(one.began_s, one.undone_s if there else one.ended_s) for one in self.bands]
        for began, ended in merged((a, max(b, a + self.end_s / 1000)) for a, b in spans):
            ids = [one.id for one in self.bands if one.began_s <= ended and one.ended_s >= began]
            more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
            title = f"{', '.join(ids[:5])}{more}: {length(round(began))} to {length(round(ended))}"
            x = self.x(began)
            yield Shape(style, x=x, y=self.top, width=round(self.x(ended) - x, 1), height=PLOT_HEIGHT, title=title)

    def _curve(self, style: str, label: str, found: Sequence[Piece], axis: _Axis) -> Iterator[Shape]:
        """Yield the lines of a series, and dots where a sample stands alone."""
        lines, dots = [], []
        for piece in found:
            at = _straightened([(self.x(when), axis.y(value)) for when, value in piece])
            if len(at) == 1:
                dots.append(f"M{at[0][0]:g} {at[0][1]:g}h0")
            else:
                lines.append("M" + "L".join(f"{x:g} {y:g}" for x, y in at))
        if lines:
            yield Shape(f"line {style}", "".join(lines), title=label)
        if dots:
            yield Shape(f"dot {style}", "".join(dots), title=label)

    def _limit(self, limit: Limit, axis: _Axis, beyond: Sequence[str]) -> Shape | None:
        if limit.label in beyond:
            return None
        end_s, end = self.end_s, limit.value + limit.per_hour * (self.end_s - limit.from_s) / 3600
        if end > axis.high > limit.value and limit.per_hour:
            end_s = limit.from_s + (axis.high - limit.value) / limit.per_hour * 3600
            end = axis.high
        path = f"M{self.x(limit.from_s):g} {axis.y(limit.value):g}L{self.x(end_s):g} {axis.y(end):g}"
        return Shape("limit", path, title=limit.label)

    def _heading(self, title: str, unit: str) -> list[Word]:
        return [Word(0, 15, f"{title} ({unit})" if unit else title, "title"), *self._labels]

    def _times(self) -> list[Word]:
        y = self.top + PLOT_HEIGHT + 16
        return [Word(self.x(at), y, text, "tick", "middle") for at, text in _times_of(self.end_s)]

    def _notes(self, plot: Plot, curves: Sequence[tuple[Curve, Sequence[Piece]]]) -> list[Word]:
        """Return what is said where there is nothing to see."""
        if any(found for _, found in curves):
            return []
        return [Word((LEFT + RIGHT) / 2, self.top + PLOT_HEIGHT / 2, "no data", "empty", "middle")]

    def _with_legend(
        self,
        words: list[Word],
        shapes: list[Shape],
        legend: Sequence[tuple[str, str]],
        others: int,
        beyond: Sequence[str],
    ) -> tuple[list[Word], list[Shape], float]:
        """Return words and shapes with the legend below the plot, and how high the drawing then is."""
        entries = [(f"{label} (beyond the axis)" if label in beyond else label, style) for label, style in legend]
        if others:
            entries.append((f"{others} more, see the table", "other"))
        x, y = LEFT, self.top + PLOT_HEIGHT + AXIS + 14
        for label, style in entries:
            text = _short(label, LEGEND_LETTERS)
            wide = 30 + len(text) * LEGEND_CHARACTER
            if x > LEFT and x + wide > RIGHT:
                x, y = LEFT, y + LEGEND_ROW
            shapes.append(Shape(style if style == "limit" else f"line {style}", f"M{x:g} {y - 4:g}h18"))
            words.append(Word(x + 24, y, text, "legend", "start", label))
            x += wide + 14
        return words, shapes, y + 10

    def _told(self, plot: Plot, rows: Sequence[Row]) -> str:
        """Return a plot in words, for those who cannot see it."""
        known = [row for row in rows if row.samples]
        told = f"{len(rows)} series over {length(round(self.end_s))}"
        if self.bands:
            told += f", {len(self.bands)} windows of faults shaded"
        limits = f"; limits: {', '.join(limit.label for limit in plot.limits)}" if plot.limits else ""
        worst = "; ".join(f"{row.label}: {row.figures[1]} to {row.figures[2]}" for row in known[:5])
        return f"{told}{limits}. {worst or 'No data'}. All figures are in the table behind the plot."


def _named(curves: Sequence[tuple[Curve, Sequence[Piece]]]) -> dict[str, str]:
    """Return the style of each series that has a colour of its own; of too many those that move most, and most of all rise."""

    def moved(one: tuple[Curve, Sequence[Piece]]) -> tuple[float, float]:
        values = [value for piece in one[1] for _, value in piece]
        return (max(values) - min(values), max(values)) if values else (-1.0, 0.0)

    kept = {id(one) for one in sorted(curves, key=moved, reverse=True)[:COLOURS]}
    labels = [one[0].label for one in curves if id(one) in kept]
    return {label: f"c{place}" for place, label in enumerate(labels)}


def _scale(plot: Plot) -> tuple[float, str]:
    """Return by what the values of a plot are divided to be read, and their unit then."""
    if plot.unit != BYTES:
        return 1.0, plot.unit
    most = max((abs(v) for c in plot.curves for v in c.values if v is not None and math.isfinite(v)), default=0.0)
    return next(
        ((2.0**n, u) for n, u in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")) if most >= 2**n), (1.0, BYTES)
    )


def _axis(plot: Plot, values: Sequence[float], top: float) -> tuple[_Axis, list[str]]:
    """Return the axis of values, and the limits that lie too far off to be on it."""
    if plot.log:
        values = [value for value in values if value > 0]
    if not values:
        flat = [limit.value for limit in plot.limits if limit.value > 0]
        low, high = (0.001, 1.0) if plot.log else (0.0, 1.0)
        return _Axis(low, max([high, *flat]) * 1.1, top, plot.log), []
    low, high = min(values), max(values)
    beyond = [one.label for one in plot.limits if not _near(one.value, low, high, plot.log)]
    near = [one.value for one in plot.limits if one.label not in beyond]
    low, high = min([low, *near]), max([high, *near])
    if plot.log:
        return _Axis(low / 1.25, high * 1.25, top, True), beyond
    if 0 <= low <= 0.6 * high or low == high == 0:
        return _Axis(0.0, (high * 1.06) or 1.0, top, False), beyond
    room = (high - low) * 0.1 or abs(high) * 0.05
    return _Axis(low - room, high + room, top, False), beyond


def _near(limit: float, low: float, high: float, log: bool) -> bool:
    if log:
        return low / 100 <= limit <= high * 100 and limit > 0
    room = FAR * max(high - min(low, 0.0), abs(high) * 0.01, 1e-12)
    return low - room <= limit <= high + room


def _grid(axis: _Axis, divisor: float) -> list[Shape]:
    return [Shape("axis", f"M{LEFT} {axis.y(value):g}H{RIGHT}") for value in _marks(axis, divisor)]


def _values(axis: _Axis, divisor: float) -> list[Word]:
    return [
        Word(LEFT - 8, axis.y(value) + 4, number(value / divisor), "tick", "end") for value in _marks(axis, divisor)
    ]


def _marks(axis: _Axis, divisor: float) -> list[float]:
    """Return the values at which the axis is marked."""
    low, high = axis.low / divisor, axis.high / divisor
    if axis.log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        fine = (1, 2, 5) if math.log10(high / low) < 2.5 else (1, 3) if math.log10(high / low) < 4 else (1,)
        found = [digit * 10.0**power for power in decades for digit in fine]
        return [value * divisor for value in found if low <= value <= high]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step * divisor for place in range(first, last + 1)]


def _times_of(end_s: float) -> list[tuple[float, str]]:
    """Return the marks of the axis of time: up to nine, all in one unit."""
    step = next((one for one in TIME_STEPS if end_s / one <= 8), math.ceil(end_s / 8))
    size, unit = (3600, "h") if step >= 1800 else (60, "min") if step >= 60 else (1, "s")
    return [(place * step, f"{place * step / size:g} {unit}") for place in range(int(end_s / step + 1e-9) + 1)]


def _straightened(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points without those in the middle of a level stretch."""
    found: list[tuple[float, float]] = []
    for point in points:
        if len(found) > 1 and found[-2][1] == found[-1][1] == point[1]:
            found[-1] = point
        elif not found or found[-1] != point:
            found.append(point)
    return found


def _row(curve: Curve, unit: str, divisor: float) -> Row:
    known = [value / divisor for value in curve.values if value is not None and math.isfinite(value)]
    figures = (known[0], min(known), max(known), known[-1]) if known else ()
    told = tuple(f"{number(value)} {unit}".rstrip() for value in figures)
    return Row(curve.label, len(known), len(curve.values) - len(known), told)


def _short(text: str, most: int) -> str:
    """Return a name with its middle left out: names of many are told apart by their ends."""
    return text if len(text) <= most else f"{text[: most // 3]}…{text[1 + most // 3 - most :]}"


def unique(keys: Iterable[str]) -> Iterator[str]:
    """Yield names for files, made of the keys: lower case, no path, no name twice."""
    taken: set[str] = set()
    for key in keys:
        plain = (
            "".join(one if one.isascii() and one.isalnum() else "_" for one in key.lower())[:80].strip("_") or "plot"
        )
        name, turn = plain, 1
        while name in taken:
            turn += 1
            name = f"{plain}_{turn}"
        taken.add(name)
        yield name
