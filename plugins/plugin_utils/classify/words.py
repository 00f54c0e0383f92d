# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which words of a piece of a log are worth a look at their lines, because a rule that has not matched yet needs one."""

from __future__ import annotations

from collections.abc import Mapping

from .anchors import SHORTEST
from .rules import Rules

MOST_WORDS_KNOWN = 50_000
_BUCKET = SHORTEST
_LETTERS = bytes(c + 32 if 65 <= c <= 90 else c if 97 <= c <= 122 else 32 for c in range(256))
NONE: frozenset[int] = frozenset()


class Words:
    """The words of all rules. open: the units that are still to be tried; low: the last piece, lower case."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.open = set(range(len(rules.units)))
        self.low = b""
        self._always = rules.always
        self._parts = {word.encode(): units for word, units in rules.by_word(inside=True).items()}
        self._buckets: dict[bytes, list[tuple[bytes, frozenset[int]]]] = {}
        for text, units in rules.by_word(inside=False).items():
            word = text.encode()
            self._buckets.setdefault(word[:_BUCKET], []).append((word, units))
        self._known: dict[bytes, Mapping[bytes, frozenset[int]]] = {}

    def close(self, units: frozenset[int]) -> None:
        """Try the patterns of a rule no more."""
        self.open -= units

    def hot(self, data: bytes) -> dict[bytes, frozenset[int]]:
        """Return the words to look for in a piece, with the units to try on lines that have them."""
        data = data.replace(b"\\t", b"  ")  # a tab that is written out is no letter of the word behind it
        self.low = data.lower()
        words = set(data.translate(_LETTERS).split())
        all_words = b" ".join(words)
        found: dict[bytes, frozenset[int]] = {}
        for word in words:
            if word[:_BUCKET] in self._buckets:
                found.update(self._of(word))
        for part, units in self._parts.items():
            if part in all_words:
                found[part] = found.get(part, NONE) | units
        if self._always:
            found[b""] = self._always
        able = self._able(frozenset().union(*found.values()) & self.open, all_words.decode())
        return {word: units & able for word, units in found.items() if units & able}

    def _able(self, units: frozenset[int], words: str) -> frozenset[int]:
        """Return the units all whose words are among these: a run of letters is a part of one word."""
        return frozenset(unit for unit in units if self._rules.units[unit].words.may_match(words))

    def _of(self, word: bytes) -> Mapping[bytes, frozenset[int]]:
        """Return the words of rules with which a word begins; what was asked before is known."""
        known = self._known.get(word)
        if known is None:
            if len(self._known) >= MOST_WORDS_KNOWN:
                self._known.clear()
            pairs = self._buckets[word[:_BUCKET]]
            known = self._known[word] = {start: units for start, units in pairs if word.startswith(start)}
        return known
