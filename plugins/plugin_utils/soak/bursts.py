# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether one reason takes over: it makes most of the new failures in so many windows on end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .judgement import Gate
from .saying import Found, failed, no_data, number, passed
from .spans import Chaos, Span, touches


@dataclass(frozen=True)
class Window:
    """New failures of some time. reasons: reason -> how many; failures: with those of unknown reason; of: what was tried."""

    span: Span
    reasons: Mapping[str, float]
    failures: float
    of: float


def gate(subject: str, windows: Sequence[Window], limit: int, ratio: float | None, chaos: Chaos) -> Gate:
    """Say for how many windows on end one reason dominates at most; fail at limit. ratio: fewer failures are no outbreak.

    Windows in which failures are expected neither count nor end a row.
    """
    excused = chaos.excused()
    judged = [one for one in windows if not touches(excused, one.span)]
    if not judged:
        why = "no window is known outside the windows of faults"
        return no_data("burst", subject, why, Found(None, limit, "windows"))
    row, best = 0, (0, "", 0.0)
    last = ""
    for one in judged:
        reason = _dominant(one, ratio or 0.0)
        row = row + 1 if reason and reason == last else int(bool(reason))
        last = reason
        best = max(best, (row, reason, one.span[1]), key=lambda found: found[0])
    value, reason, at = best
    facts = Found(float(value), float(limit), "windows")
    if value < limit:
        return passed("burst", subject, f"no reason dominates in {limit} windows on end (at most {value})", facts)
    why = f"{reason!r} makes most of the failures in {value} windows on end up to {number(at)} s, expected fewer than {limit}"
    return failed("burst", subject, why, replace(facts, at_s=at, during=chaos.during(at)))


def _dominant(window: Window, ratio: float) -> str:
    """Return the reason of more than half of a window's failures, "" for none or where failures are few."""
    total = max(window.failures, sum(window.reasons.values()))
    if total <= ratio * window.of:
        return ""
    reason, count = max(window.reasons.items(), key=lambda item: item[1], default=("", 0.0))
    return reason if 2 * count > total else ""
