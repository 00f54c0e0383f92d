# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a log of any size once, in pieces, and keeps the first line of each rule that matches.

    scanner = Scanner(rules)
    scanner.feed(piece)              # as often as there are pieces, cut anywhere
    seen = scanner.finish()          # seen.hits, seen.telling

Only lines with a word that some rule needs are looked at, and a rule that has matched is not tried again: an earlier
line beats a later one anyway. So the memory does not grow with the log, and neither does the time that a line takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import normal
from .rules import SPECIFIC, Rule, Rules, Unit
from .telling import Telling
from .words import Words

AROUND = 6
CHUNK_BYTES = 1 << 18
# A line that is no shorter may have been broken by the width of a screen; a line that goes on begins small.
BROKEN_CHARACTERS, SURELY_BROKEN_CHARACTERS = 30, 60

_SENTENCE_ENDS = frozenset(b".!?;)]}>")
_NEW_BEGINNINGS = frozenset(b"0123456789[({<|#*=+")


@dataclass(frozen=True)
class Hit:
    """The first line that a rule matches. line: its number, from 0; calm: the logger itself calls it no error."""

    rule: Rule
    rank: int
    kind: str
    line: int
    text: str
    calm: bool
    service: str
    node: str


@dataclass(frozen=True)
class Scan:
    """What a log shows. hits: at most two a rule, in order; telling: what to show where there is none."""

    hits: tuple[Hit, ...]
    telling: tuple[str, ...]
    lines: int


class Scanner:
    """One pass over one log."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._words = Words(rules)
        self._hits: dict[tuple[int, bool], Hit] = {}
        self._telling = Telling()
        self._waiting = bytearray()
        self._lines: list[bytes] = []  # those to look at, and those around them
        self._base = 0  # the number of the first of them
        self._spots: dict[int, set[int]] = {}

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the log, cut anywhere."""
        self._waiting += piece
        if len(self._waiting) <= CHUNK_BYTES:
            return
        end = self._waiting.rfind(b"\n") + 1 or (len(self._waiting) - 1) // CHUNK_BYTES * CHUNK_BYTES
        ready = bytes(self._waiting[:end])
        del self._waiting[:end]
        self._take(ready)
        self._look(self._base + len(self._lines) - AROUND)

    def finish(self) -> Scan:
        """Return what the whole log shows."""
        self._take(bytes(self._waiting))
        self._waiting.clear()
        lines = self._base + len(self._lines)
        self._look(lines)
        hits = sorted(self._hits.values(), key=lambda hit: (hit.line, hit.rank))
        return Scan(tuple(hits), self._telling.lines(), lines)

    def _take(self, raw: bytes) -> None:
        """Take whole lines, and note on which of them a rule may match."""
        if not raw:
            return
        # a line is cut before its escapes are read, as one that never ends would have to be
        whole = b"\n".join(normal.lines_of(raw, CHUNK_BYTES))
        lines = normal.lines_of(normal.clean(whole))
        data = b"\n".join(lines)
        number = self._base + len(self._lines)
        self._lines += lines
        for word, units in self._words.hot(data).items():
            self._mark(word, units, number)
        if not self._hits:
            self._telling.take(lines, self._words.low)

    def _mark(self, word: bytes, units: frozenset[int], number: int) -> None:
        low, spots = self._words.low, self._spots
        last, at = 0, low.find(word)
        while at >= 0:
            number += low.count(b"\n", last, at)
            spots.setdefault(number, set()).update(units)
            last = low.find(b"\n", at)
            if last < 0:
                return
            at = low.find(word, last + 1)

    def _look(self, end: int) -> None:
        """Try the rules on the lines before one, and forget the lines that are around none of the rest."""
        for number in sorted(number for number in self._spots if number < end):
            self._try(number, self._spots.pop(number))
        gone = max(0, end - AROUND - self._base)
        del self._lines[:gone]
        self._base += gone

    def _try(self, number: int, units: set[int]) -> None:
        units &= self._words.open
        index = number - self._base
        if not units or index >= len(self._lines):
            return
        units = self._able(index, units)
        if not units:
            return
        line = normal.plain(self._lines[index])
        texts = [(line, line.lower(), 0)]
        texts += [(joined, joined.lower(), across) for joined, across in self._joined(index)]
        for position in sorted(units):
            if position in self._words.open:
                self._try_unit(self._rules.units[position], number, texts)

    def _able(self, index: int, units: set[int]) -> set[int]:
        """Return the units whose words a line and those beside it have."""
        near = b" ".join(self._lines[max(0, index - 1) : index + 2]).lower().decode("latin-1")
        return {unit for unit in units if self._rules.units[unit].words.may_match(near)}

    def _try_unit(self, unit: Unit, number: int, texts: list[tuple[str, str, int]]) -> None:
        for text, low, across in texts:
            kind = unit.search(text, low, across)
            if kind is None:
                continue
            calm = normal.is_calm(text)
            known = (unit.rank, calm) in self._hits
            if not known and self._counts(unit.rule, text, number, calm=calm):
                self._keep(Hit(unit.rule, unit.rank, kind, number, text, calm, *self._places(number)))
            return

    def _counts(self, rule: Rule, line: str, number: int, *, calm: bool) -> bool:
        """Tell whether a match is evidence: its surroundings fit, it is no noise, and it is more than information."""
        if calm and rule.tier != SPECIFIC and normal.is_information(line):
            return False
        if not rule.is_near(self._around(number)):
            return False
        return (
            all(noise.search(line) is None for noise in self._rules.noise)
            or rule.search(self._without_noise(line)) is not None
        )

    def _without_noise(self, line: str) -> str:
        for rule in self._rules.noise:
            line = rule.cut(line)
        return line

    def _keep(self, hit: Hit) -> None:
        """Keep the first hit of a rule; one that the logger calls no error waits for one that it does."""
        self._hits[hit.rank, hit.calm] = hit
        if not hit.calm:
            self._words.close(self._rules.of_rank[hit.rank])

    def _around(self, number: int) -> Iterator[str]:
        index = number - self._base
        return map(normal.plain, self._lines[max(0, index - AROUND) : index + AROUND + 1])

    def _places(self, number: int) -> tuple[str, str]:
        """Return service and node that the line, or one close above it, names."""
        index = number - self._base
        above = [normal.plain(line) for line in reversed(self._lines[max(0, index - AROUND) : index + 1])]
        return normal.service_of(above[0]), next(filter(None, map(normal.node_of, above)), "")

    def _joined(self, index: int) -> Iterator[tuple[str, int]]:
        """Yield the line with the next one and with the one above, where one may have been broken into both, and where."""
        for first in (index, index - 1):
            if 0 <= first < len(self._lines) - 1 and _is_broken(self._lines[first], self._lines[first + 1]):
                head, rest = normal.plain(self._lines[first]), normal.plain(self._lines[first + 1])
                if normal.message(rest) == rest:
                    yield f"{head} {rest}", len(head)


def _is_broken(first: bytes, second: bytes) -> bool:
    """Tell whether a line may go on in the next one."""
    first, second = first.strip(), second.strip()
    if len(first) < BROKEN_CHARACTERS or not second or first[-1] in _SENTENCE_ENDS or second[0] in _NEW_BEGINNINGS:
        return False
    return len(first) >= SURELY_BROKEN_CHARACTERS or chr(second[0]).islower()
