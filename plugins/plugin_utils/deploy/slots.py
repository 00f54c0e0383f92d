# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The slots for heavy starts: who waits for one, and who gets the next one that is free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

Place = tuple[float, int]


@dataclass(frozen=True)
class Limits:
    """How many services may be in the heavy phase of their start at once, in all and on each node; 0: no limit."""

    total: int = 0
    per_node: int = 0

    def __post_init__(self) -> None:
        if self.total < 0 or self.per_node < 0:
            raise ValueError(f"limits must be 0 or more: total {self.total}, per_node {self.per_node}")


class Slots:
    """Services that wait for a slot, best first: one heap a node, and one of the nodes' first ones.

    A node stands in the upper heap only while it has a free slot, so that a full node costs the others nothing.
    """

    def __init__(self, places: Mapping[str, Place], node_of: Mapping[str, str], limits: Limits) -> None:
        self._places = places
        self._node_of = node_of
        self._limits = limits
        self._waiting: dict[str, list[tuple[Place, str]]] = {node: [] for node in node_of.values()}
        self._heads: list[tuple[Place, str]] = []
        self._members: set[str] = set()
        self._used = dict.fromkeys(self._waiting, 0)
        self._total = 0

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._members, key=self._places.__getitem__))

    def add(self, name: str) -> None:
        """Let name wait for a slot of its node."""
        node = self._node_of[name]
        self._members.add(name)
        heappush(self._waiting[node], (self._places[name], name))
        if self._waiting[node][0][1] == name:
            self._offer(node)

    def drop(self, name: str) -> None:
        """Let name wait no longer."""
        self._members.discard(name)
        self._offer(self._node_of[name])

    def take(self) -> str | None:
        """Return the first service that may have a slot, and give it one; None while there is none."""
        if self._limits.total and self._total >= self._limits.total:
            return None
        while self._heads:
            place, name = heappop(self._heads)
            node = self._node_of[name]
            if self._has_room(node) and self._waiting[node] and self._waiting[node][0] == (place, name):
                heappop(self._waiting[node])
                self._members.remove(name)
                self._used[node] += 1
                self._total += 1
                self._offer(node)
                return name
        return None

    def give_back(self, name: str) -> None:
        """Free the slot of name."""
        node = self._node_of[name]
        self._used[node] -= 1
        self._total -= 1
        self._offer(node)

    def _has_room(self, node: str) -> bool:
        return not self._limits.per_node or self._used[node] < self._limits.per_node

    def _offer(self, node: str) -> None:
        waiting = self._waiting[node]
        while waiting and waiting[0][1] not in self._members:
            heappop(waiting)
        if waiting and self._has_room(node):
            heappush(self._heads, waiting[0])
