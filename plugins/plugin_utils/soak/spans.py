# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times within a soak: windows of faults, and what is left of a stretch of time without them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .model import SERVICE, Fault

Span = tuple[float, float]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the spans in order, those that touch as one, empty ones left out."""
    found: list[Span] = []
    for began, ended in sorted(span for span in spans if span[0] < span[1]):
        if found and began <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ended))
        else:
            found.append((began, ended))
    return found


def length(spans: Iterable[Span]) -> float:
    """Return how long spans are together that do not overlap."""
    return sum(ended - began for began, ended in spans)


def within(spans: Iterable[Span], limits: Span) -> list[Span]:
    """Return the parts of spans that lie within limits."""
    return merged((max(began, limits[0]), min(ended, limits[1])) for began, ended in spans)


def outside(span: Span, excused: Sequence[Span]) -> float:
    """Return how much of a span is not excused. excused: merged."""
    return span[1] - span[0] - length(within(excused, span))


def touches(spans: Iterable[Span], span: Span) -> bool:
    """Say whether some of a span lies in one of the spans."""
    return any(began < span[1] and span[0] < ended for began, ended in spans)


def longest(spans: Iterable[Span], excused: Sequence[Span]) -> tuple[float, Span]:
    """Return the most that is not excused of any span, and which that is; 0 without spans. excused: merged."""
    best: tuple[float, Span] = (0.0, (0.0, 0.0))
    for span in sorted(spans, key=lambda one: one[0] - one[1]):
        if span[1] - span[0] <= best[0]:
            break
        best = max(best, (outside(span, excused), span), key=lambda found: found[0])
    return best


def steps(moments: Sequence[float]) -> list[Span]:
    """Return the times from each moment to the next."""
    return list(zip(moments, moments[1:], strict=False))


def holds(spans: Iterable[Span], at: float) -> bool:
    """Say whether a moment lies in one of the spans."""
    return any(began <= at <= ended for began, ended in spans)


@dataclass(frozen=True)
class Chaos:
    """The windows of a soak's faults. ended_s: when the soak ended; rto_s: what a recovery may take, None where that is open."""

    faults: Sequence[Fault]
    ended_s: float
    rto_s: float | None = None

    def excused(self) -> list[Span]:
        """Return when failures are expected."""
        return merged(self._excused_by(fault, window) for fault, window in self._felt() if _excuses(fault))

    def excused_for(self, node: str, subject: str) -> list[Span]:
        """Return when failures are expected of what is aimed at itself: a whole node, or one service of it."""
        aimed = {node, f"{node}/{subject.removeprefix(SERVICE)}"}
        felt = [(fault, window) for fault, window in self._felt() if fault.target in aimed]
        return merged(self._excused_by(fault, window) for fault, window in felt if _excuses(fault))

    def during(self, began: float, ended: float | None = None) -> str:
        """Return the id of the fault that is felt at a moment or in a stretch of time, "" for none; the first of several."""
        last = began if ended is None else ended
        return next((f.id for f, window in self._felt() if window[0] <= last and began <= window[1]), "")

    def _excused_by(self, fault: Fault, window: Span) -> Span:
        """Return what of a window is excused: a late recovery no longer than a gate of its own holds it to a limit."""
        if fault.undone_s is None:
            return window
        return window[0], min(window[1], fault.undone_s + max(fault.allowance_s, self.rto_s or 0.0))

    def _felt(self) -> list[tuple[Fault, Span]]:
        """Return the faults that were injected, with their windows, in order."""
        found = ((fault, fault.window(self.ended_s)) for fault in self.faults if fault.outcome == "injected")
        return sorted(((fault, window) for fault, window in found if window), key=lambda one: one[1])


def _excuses(fault: Fault) -> bool:
    """Say whether a fault excuses failures: the plan expects them, and it was felt."""
    return fault.expected and fault.applied is True
