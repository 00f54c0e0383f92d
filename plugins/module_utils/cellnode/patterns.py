# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Relative path patterns, matched name by name on the way down a tree: `*`, `?`, `[...]` and `**` as a whole component.

A pattern that names or matches a folder stands for everything below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate

from .beneath import base_parts

States = frozenset["tuple[int, int]"]


@dataclass(frozen=True)
class Step:
    """The states below one name, and the patterns that they match.

    direct: by more than a `**` on its way, so that a link there may hide a match.
    """

    states: States
    direct: bool
    matched: frozenset[int]


class Patterns:
    """A list of patterns; a state is (pattern, number of its components that are already matched)."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.texts = tuple(patterns)
        self._parts = tuple(base_parts(text) for text in self.texts)
        self._regexes = {part: re.compile(translate(part)) for parts in self._parts for part in parts}

    def start(self) -> States:
        """Return the states at the base."""
        return self._closed({(index, 0) for index in range(len(self._parts))})

    def _closed(self, states: set[tuple[int, int]]) -> States:
        """Return states and those reached because `**` may stand for no component at all."""
        todo, found = list(states), set(states)
        while todo:
            index, done = todo.pop()
            beyond = (index, done + 1)
            if done < len(self._parts[index]) and self._parts[index][done] == "**" and beyond not in found:
                found.add(beyond)
                todo.append(beyond)
        return frozenset(found)

    def step(self, states: States, name: str) -> Step:
        """Return the states below name."""
        found: set[tuple[int, int]] = set()
        direct = False
        for index, done in states:
            parts = self._parts[index]
            if done == len(parts) or parts[done] == "**":
                found.add((index, done))
                direct = direct or done == len(parts)
            elif self._regexes[parts[done]].match(name):
                found.add((index, done + 1))
                direct = True
        below = self._closed(found)
        return Step(below, direct, self.matched(below))

    def settled(self, states: States) -> Step | None:
        """Return the step that is the same for every name, None where it takes a look at the name."""
        looks = any(part != "**" for index, done in states for part in self._parts[index][done : done + 1])
        return None if looks or not states else self.step(states, "")

    def matched(self, states: States) -> frozenset[int]:
        """Return the patterns that these states match."""
        return frozenset(index for index, done in states if done == len(self._parts[index]))
