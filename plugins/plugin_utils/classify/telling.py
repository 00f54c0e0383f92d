# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines to show a person where no rule matches: those that sound most like a failure, each told once with its count."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from . import normal
from .digits import Known

MOST = 3
MOST_KEPT = 64
# The later words weigh more.
_WORDS = (
    r"warn|retry|abort|killed|closed|lost|missing|stopped|exit(?:ed)?\b",
    r"fail|unable|cannot|can't|could not|couldn't|denied|refused|invalid|timed? ?out|unexpected|not found|no such",
    r"error|exception|fatal|panic|critical|assert|segmentation|core dumped",
    r"(?:^|[\s.])[A-Z]\w+(?:Error|Exception):|\b(?:ERROR|FATAL|CRITICAL|panic)\b",
)
_WEIGHTS = tuple(re.compile(words, re.IGNORECASE if rank < 3 else 0) for rank, words in enumerate(_WORDS))
_HOT = (
    b"error", b"fail", b"exception", b"fatal", b"panic", b"abort", b"denied", b"refused", b"cannot", b"unable", b"timed", b"killed",
    b"could",
)  # fmt: skip
_NUMBERS = re.compile(r"\d+|0x[0-9a-f]+")


@dataclass
class _Line:
    text: str
    weight: int
    order: int
    count: int = 1


class Telling:
    """The most telling lines of a log, and its last ones where none is telling."""

    def __init__(self) -> None:
        self._kept: dict[str, _Line] = {}
        self._last: list[str] = []
        self._order = 0
        self._shapes: Known[str] = Known()  # "" for a line that does not sound like a failure

    def take(self, lines: Sequence[bytes], masks: Sequence[bytes], low: bytes) -> None:
        """Look at the next lines of a log. masks: them without their digits; low: all of them in lower case."""
        if any(word in low for word in _HOT):
            for line, mask in zip(lines, masks, strict=True):
                shape = self._shapes.get(mask)
                if shape is None:
                    shape = _shape(line)
                    self._shapes.remember(mask, shape)
                if shape:
                    self._weigh(shape, line)
        last = [normal.plain(line) for line in lines[-MOST * 4 :] if line.strip()]
        self._last = [*self._last, *last][-MOST:]

    def lines(self) -> tuple[str, ...]:
        """Return at most MOST lines in the order of the log; one that came again says how often."""
        best = sorted(self._kept.values(), key=lambda line: (-line.weight, line.order))[:MOST]
        told = [
            normal.shown(line.text) + (f" ({line.count} times)" if line.count > 1 else "")
            for line in sorted(best, key=lambda line: line.order)
        ]
        return tuple(told or map(normal.shown, self._last))

    def _weigh(self, shape: str, line: bytes) -> None:
        known = self._kept.get(shape)
        if known:
            known.count += 1
            return
        text = normal.plain(line)
        weight = sum(1 << rank for rank, words in enumerate(_WEIGHTS) if words.search(text))
        if normal.is_calm(text):
            weight //= 4
        self._order += 1
        if len(self._kept) >= MOST_KEPT:
            worst = min(self._kept, key=lambda key: (self._kept[key].weight, -self._kept[key].order))
            if self._kept[worst].weight >= weight:
                return
            del self._kept[worst]
        self._kept[shape] = _Line(text, weight, self._order)


def _shape(line: bytes) -> str:
    """Return what a line that sounds like a failure says whatever its numbers are, "" for any other line."""
    small = line.lower()
    return _NUMBERS.sub("0", normal.message(normal.plain(line))) if any(word in small for word in _HOT) else ""
