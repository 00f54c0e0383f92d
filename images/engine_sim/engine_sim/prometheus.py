# SPDX-License-Identifier: MIT
"""Counters, gauges and histograms, and their text for a Prometheus scrape."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]


def label_text(labels: Labels) -> str:
    """Return labels as `{a="b"}`, an empty string when there are none."""
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number_text(value: float) -> str:
    """Return a sample's value."""
    return str(int(value)) if value == int(value) else repr(value)


@dataclass
class Value:
    """A counter or gauge: one number for each set of labels."""

    kind: str
    name: str
    help: str
    samples: dict[Labels, float] = field(default_factory=dict)

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        """Raise a number."""
        self.samples[labels] = self.samples.get(labels, 0.0) + amount

    def set(self, labels: Labels, value: float) -> None:
        """Replace a number."""
        self.samples[labels] = value

    def lines(self) -> list[str]:
        """Return the sample lines."""
        return [f"{self.name}{label_text(labels)} {number_text(value)}" for labels, value in self.samples.items()]


@dataclass
class Histogram:
    """A histogram with fixed upper bounds and one set of labels."""

    name: str
    help: str
    bounds: tuple[float, ...]
    labels: Labels
    kind: str = "histogram"
    total: float = 0.0
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self) -> list[str]:
        """Return the cumulative bucket lines, the sum and the count."""
        lines, below = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts):
            below += count
            edge = "+Inf" if bound == float("inf") else repr(float(bound))
            lines.append(f"{self.name}_bucket{label_text((*self.labels, ('le', edge)))} {below}")
        suffix = label_text(self.labels)
        return [*lines, f"{self.name}_sum{suffix} {number_text(self.total)}", f"{self.name}_count{suffix} {below}"]


class Registry:
    """The metrics of one process, in the order they were made."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels: Labels = tuple(labels.items())
        self._metrics: list[Value | Histogram] = []

    def value(self, kind: str, name: str, text: str, *, start: bool = True) -> Value:
        """Return a new counter or gauge; start gives it a first sample of 0 with the common labels."""
        metric = Value(kind, name, text, {self.labels: 0.0} if start else {})
        self._metrics.append(metric)
        return metric

    def histogram(self, name: str, text: str, bounds: tuple[float, ...]) -> Histogram:
        """Return a new histogram with the common labels."""
        metric = Histogram(name, text, bounds, self.labels)
        self._metrics.append(metric)
        return metric

    def render(self) -> str:
        """Return the text of a scrape."""
        lines: list[str] = []
        for metric in self._metrics:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}", *metric.lines()]
        return "\n".join(lines) + "\n"
