# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether result files belong to this attempt of this case, and are no older than it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .normal import Check
from .records import Record

CLOCK_GRAIN_S = 1.0


@dataclass(frozen=True)
class Stamp:
    """What the load client marks each of its files and lines with."""

    run_id: str
    case: str
    attempt: int

    def __str__(self) -> str:
        case = f", case {self.case!r}" if self.case else ""
        return f"run {self.run_id!r}{case}, attempt {self.attempt}"


def stamp_of(item: Mapping[str, Any]) -> Stamp:
    """Return the stamp of a summary or a record; values of another type are taken as text and never match."""
    run_id, case, attempt = (item.get(key) for key in ("run_id", "case", "attempt"))
    number = attempt if isinstance(attempt, int) and not isinstance(attempt, bool) else 0
    return Stamp(_text(run_id), _text(case), number)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def identity(benchmark: Mapping[str, Any], records: Sequence[Record], ours: Stamp) -> Check:
    """Say whether the summary and every record carry our stamp; name the stranger seen most often."""
    stamps = Counter(map(stamp_of, [benchmark, *records]))
    foreign = [(stamp, count) for stamp, count in stamps.most_common() if stamp != ours]
    if not foreign:
        return Check("identity", True, str(ours), str(ours), f"summary and records belong to {ours}")
    stamp, count = foreign[0]
    entries = f"{count} of {stamps.total()} entries"
    return Check("identity", False, str(stamp), str(ours), f"the files belong to {stamp} ({entries}), not to {ours}")


def freshness(benchmark: Mapping[str, Any], not_before: float) -> Check:
    """Say whether the load began after this test did (Unix time); a second of clock grain is allowed."""
    limit = datetime.fromtimestamp(not_before, timezone.utc).isoformat(timespec="seconds")
    text = benchmark.get("started_at")
    started = _moment(text)
    if started is None:
        return Check("fresh", False, text, limit, f"the load's start is {text!r}; expected a time after {limit}")
    late = started - not_before
    order = f"{late:.1f} s after" if late >= 0 else f"{-late:.1f} s before"
    return Check("fresh", late >= -CLOCK_GRAIN_S, text, limit, f"the load began {order} this test's start at {limit}")


def _moment(text: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment.timestamp() if moment.tzinfo else None
