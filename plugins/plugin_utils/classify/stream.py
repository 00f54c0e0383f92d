# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a log of any size once, in pieces, and keeps the first line of each rule that matches.

    scanner = Scanner(rules)
    scanner.feed(piece)              # as often as there are pieces, cut anywhere
    seen = scanner.finish()          # seen.hits, seen.telling

Only lines with a word that some rule needs are looked at, and a rule that has matched is not tried again: an earlier
line beats a later one anyway. Once there is a hit, only rules that could still beat it are tried, and those that say the
same. On a line that came before with other digits, only rules are tried that would match it with some digits. So the
memory does not grow with the log, and neither does the time that a line takes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ..verdict import kinds
from . import normal
from .digits import Known, masked
from .rules import SPECIFIC, SYMPTOM, Rule, Rules, level
from .telling import Telling
from .words import Words

AROUND = 6
# A program says in one line that it failed, and in the next one why.
SAME_EVENT_LINES = 1
MOST_LINES = 3
CHUNK_BYTES = 1 << 18
# A line that is no shorter may have been broken by the width of a screen; a line that goes on begins small.
BROKEN_CHARACTERS, SURELY_BROKEN_CHARACTERS, SAME_BEGINNING = 30, 60, 6

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

    @property
    def level(self) -> tuple[bool, bool, int]:
        """Return how little the hit says of a cause."""
        return level(self.rule.tier, calm=self.calm)

    @property
    def retriable(self) -> bool:
        """Tell whether a retry can help, by the rule where it says so."""
        return kinds.get(self.kind).retriable if self.rule.retriable is None else self.rule.retriable


def best(hits: Iterable[Hit]) -> Hit | None:
    """Return the hit that says why: the earliest of those that say most.

    Beside a cause that a retry mends, one that no retry mends is the cause: a retry in vain costs more than one too few.
    What a user's rule says stays.
    """
    hits = tuple(hits)
    first = min(hits, key=lambda hit: (hit.level, hit.line, hit.rank), default=None)
    if first is None or first.rule.tier != SPECIFIC or not first.retriable or first.rank < 0:
        return first
    until = first.line + SAME_EVENT_LINES
    lasting = (hit for hit in hits if hit.level == first.level and hit.line <= until and not hit.retriable)
    return min(lasting, key=lambda hit: (hit.line, hit.rank), default=first)


@dataclass(frozen=True)
class Scan:
    """What a log shows. hits: at most two a rule, in order; telling: what to show where there is none."""

    hits: tuple[Hit, ...]
    telling: tuple[str, ...]


class _Text:
    """A plain line, or two that were one. across: where the first of two ends; calm: the logger calls it no error."""

    def __init__(self, line: str, across: int = 0) -> None:
        self.line, self.low, self.across = line, line.lower(), across
        self.calm = normal.is_calm(line)

    @cached_property
    def information(self) -> bool:
        """Tell whether the logger calls it even less than a warning."""
        return self.calm and normal.is_information(self.line)

    @cached_property
    def quiet(self) -> bool:
        """Tell whether it is information that tells of no failure."""
        return self.information and not normal.tells_of_failure(self.line)


class Scanner:
    """One pass over one log."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._words = Words(rules)
        self._hits: dict[tuple[int, bool], Hit] = {}
        self._open_until: int | None = None  # the last line on which any rule may still matter
        self._telling = Telling()
        self._waiting = bytearray()
        self._lines: list[bytes] = []  # those to look at, and those around them
        self._masks: list[bytes] = []  # the same without their digits
        self._base = 0  # the number of the first of them
        self._border = 0  # the number of the first of those that came last
        self._spots: defaultdict[int, list[frozenset[int]]] = defaultdict(list)
        self._never_text = False  # it began as no text
        self._known: Known[frozenset[int]] = Known()  # all that may match a line, by its key

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the log, cut anywhere; a large one is read in parts, so that rules end early in it too."""
        for start in range(0, len(piece), CHUNK_BYTES):
            if not self._words.open:
                return
            self._feed(piece[start : start + CHUNK_BYTES])

    def _feed(self, piece: bytes) -> None:
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
        self._look(self._base + len(self._lines))
        hits = sorted(self._hits.values(), key=lambda hit: (hit.line, hit.rank))
        return Scan(tuple(hits), self._telling.lines())

    def _take(self, raw: bytes) -> None:
        """Take whole lines, and note on which of them a rule may match."""
        if not raw.strip(b"\0") or not self._is_text(raw):
            return
        # a line is cut before its escapes are read, as one that never ends would have to be
        whole = b"\n".join(normal.lines_of(raw, CHUNK_BYTES))
        lines = normal.lines_of(normal.clean(whole))
        data = b"\n".join(lines)
        masks = masked(data).split(b"\n")
        self._border = number = self._base + len(self._lines)
        self._lines += lines
        self._masks += masks
        for word, units in self._words.hot(b"\n".join(self._worth_a_try(number - self._base))).items():
            self._mark(word, units, number)
        if not self._hits:
            self._telling.take(lines, masks, data.lower())

    def _is_text(self, raw: bytes) -> bool:
        """Tell whether a piece is one of a log: of a file that begins as none, nothing is."""
        text = not self._never_text and normal.is_text(raw)
        self._never_text = not text and not self._lines and not self._base
        return text

    def _worth_a_try(self, start: int) -> Iterator[bytes]:
        """Yield the lines from one on, b"" for each that stands alone and is known to match no unit that is open."""
        last = len(self._lines) - 1
        for index, (line, mask) in enumerate(zip(self._lines[start:], self._masks[start:], strict=True), start):
            known = self._known.get(mask)
            idle = known is not None and index < last and self._words.open.isdisjoint(known)
            yield b"" if idle and not self._goes_on(index) and not self._goes_on(index - 1) else line

    def _mark(self, word: bytes, units: frozenset[int], number: int) -> None:
        low, spots = self._words.low, self._spots
        last, at = 0, low.find(word)
        while at >= 0:
            number += low.count(b"\n", last, at)
            spots[number].append(units)
            last = low.find(b"\n", at)
            if last < 0:
                return
            at = low.find(word, last + 1)

    def _look(self, end: int) -> None:
        """Try the rules on the lines before one, and forget the lines that are around none of the rest."""
        for number in sorted(number for number in self._spots if number < end):
            self._try(number, self._spots.pop(number))
        gone = max(0, end - AROUND - self._base)
        del self._lines[:gone], self._masks[:gone]
        self._base += gone

    def _try(self, number: int, marked: list[frozenset[int]]) -> None:
        if self._open_until is not None and number > self._open_until:
            self._settle()
        index = number - self._base
        if index >= len(self._lines):
            return
        key = self._key(index)
        known = self._known.get(key)
        units = self._words.open if known is None else self._words.open & known
        if not units:
            return
        units = units.intersection(set().union(*marked))
        if known is None:
            self._try_first(number, key, units)
        else:
            self._try_again(number, units)

    def _try_first(self, number: int, key: bytes, units: set[int]) -> None:
        """Try units on a line of a key that was not there before, and remember which may match another one."""
        index = number - self._base
        near = self._near(index)
        able = [unit for unit in sorted(units) if self._rules.units[unit].words.may_match(near)]
        texts = self._texts(index) if able else []
        matched = {unit for unit in able if self._matches(unit, number, texts)}
        if number not in (self._border - 1, self._border):  # there, the piece may lack words of the line beside
            may = (unit for unit in able if self._may_match(unit, texts, matched=unit in matched))
            self._known.remember(key, frozenset(may))

    def _may_match(self, position: int, texts: list[_Text], *, matched: bool) -> bool:
        """Tell whether a unit may match a line that differs in its digits from one that it has matched or not."""
        loose = self._rules.units[position].loose
        return matched if loose is None else any(loose.search(text.line) for text in texts)

    def _try_again(self, number: int, units: set[int]) -> None:
        """Try units on a line of a key that was there before."""
        index = number - self._base
        near = self._near(index)
        able = [unit for unit in sorted(units) if self._rules.units[unit].may_match(near)]
        texts = self._texts(index) if able else []
        for unit in able:
            self._matches(unit, number, texts)

    def _near(self, index: int) -> str:
        """Return a line with those beside it, in lower case."""
        return b" ".join(self._lines[max(0, index - 1) : index + 2]).lower().decode("latin-1")

    def _texts(self, index: int) -> list[_Text]:
        """Return a line, and what it makes with those beside it where one may have been broken into both."""
        return [_Text(normal.plain(self._lines[index])), *self._joined(index)]

    def _key(self, index: int) -> bytes:
        """Return the mask of a line, with those of the lines that it may have been broken from and into.

        Rules match all lines of a key in the same way, but for those that want certain digits.
        """
        above, below = self._goes_on(index - 1), self._goes_on(index)
        if not above and not below:
            return self._masks[index]
        return b"\n" * above + b"\n".join(self._masks[index - above : index + below + 1])

    def _goes_on(self, index: int) -> bool:
        """Tell whether a line may go on in the next one."""
        return 0 <= index < len(self._lines) - 1 and _is_broken(self._lines[index], self._lines[index + 1])

    def _matches(self, position: int, number: int, texts: list[_Text]) -> bool:
        """Tell whether a unit that is open matches a line, and keep the hit that this makes."""
        unit = self._rules.units[position]
        if position not in self._words.open:
            return True
        matched = False
        for text in texts:
            if (unit.rank, text.calm) in self._hits:
                continue
            found = unit.find(text.line, text.low, text.across)
            if found is None or (text.quiet and unit.rank >= 0):
                continue
            kind = unit.rule.kind_of(found, text.line)
            if kind is not None and self._counts(unit.rule, found, text, number):
                self._keep(Hit(unit.rule, unit.rank, kind, number, text.line, text.calm, *self._places(number)))
                return True
            matched = True
        return matched

    def _counts(self, rule: Rule, found: re.Match[str], text: _Text, number: int) -> bool:
        """Tell whether a match is evidence: its surroundings fit, it is no noise, and it is more than information."""
        if text.information and rule.tier not in (SPECIFIC, SYMPTOM):
            return False
        if not rule.is_near(self._around(number)) or not rule.is_fewer(found, self._around(number)):
            return False
        return (
            rule.in_noise
            or all(noise.search(text.line) is None for noise in self._rules.noise)
            or rule.search(self._without_noise(text.line)) is not None
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
        self._open_until = hit.line + SAME_EVENT_LINES

    def _settle(self) -> None:
        """Try no more what can neither beat the best hit, now that all beside it has been seen, nor be evidence for it."""
        chosen = best(self._hits.values())
        if chosen is None:
            return
        same = sum(hit.kind == chosen.kind and hit.line >= chosen.line for hit in self._hits.values())
        shown = same >= MOST_LINES
        self._words.close(
            frozenset(
                position
                for position in self._words.open
                if level(self._rules.units[position].rule.tier) >= chosen.level
                and (shown or self._rules.units[position].rule.kind != chosen.kind)
            )
        )
        self._open_until = None

    def _around(self, number: int) -> Iterator[str]:
        index = number - self._base
        return map(normal.plain, self._lines[max(0, index - AROUND) : index + AROUND + 1])

    def _places(self, number: int) -> tuple[str, str]:
        """Return service and node that the line, or one close above it, names."""
        index = number - self._base
        above = [normal.plain(line) for line in reversed(self._lines[max(0, index - AROUND) : index + 1])]
        return normal.service_of(above[0]), next(filter(None, map(normal.node_of, above)), "")

    def _joined(self, index: int) -> Iterator[_Text]:
        """Yield the line with the next one and with the one above, where one may have been broken into both, and where."""
        for first in (index, index - 1):
            if self._goes_on(first):
                head, rest = normal.plain(self._lines[first]), normal.plain(self._lines[first + 1])
                if normal.message(rest) == rest:
                    yield _Text(f"{head} {rest}", len(head))
                    if head[-1:].isalnum() and rest[:1].isalnum():  # it may have been broken within a word
                        yield _Text(head + rest, len(head))


def _is_broken(first: bytes, second: bytes) -> bool:
    """Tell whether a line may go on in the next one."""
    first, second = first.strip(), second.strip()
    if first[:SAME_BEGINNING] == second[:SAME_BEGINNING]:  # two of the same program
        return False
    if len(first) < BROKEN_CHARACTERS or not second or first[-1] in _SENTENCE_ENDS or second[0] in _NEW_BEGINNINGS:
        return False
    return len(first) >= SURELY_BROKEN_CHARACTERS or chr(second[0]).islower()
