# SPDX-License-Identifier: MIT

"""Rounds of a watch over many nodes: what each has said last, and which of them are silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import document

# A node that is late holds a round up so long, at most. At first each is given the time in which ssh gives up.
LATE_S = 5.0
FIRST_LATE_S = 10.0
Node = dict[str, Any]
Heard = Mapping[str, tuple[int, Node]]


class Rounds:
    """Decides when a round is whole. A node is waited for as long as it keeps pace; one that is late is shown as silent."""

    def __init__(self, names: Sequence[str], interval_s: float) -> None:
        self._names = list(names)
        self._interval_s = interval_s
        self._number = 1
        self._awaited = set(names)
        self._told: dict[str, int] = {}
        self._silent: dict[str, int] = {}
        self._since: float | None = None
        self._due: float | None = None

    def take(
        self, heard: Heard, now: float, *, over: bool = False, why: Mapping[str, str] | None = None
    ) -> list[Node] | None:
        """Return the nodes of a round that is whole or overdue, else None.

        heard: node -> the round of its newest answer, and the answer. over: nothing more will come. why: node -> what
        is known of the reason why it gave no answer.
        """
        fresh = {name for name, (number, _) in heard.items() if number >= self._number}
        news = any(number > self._told.get(name, 0) for name, (number, _) in heard.items())
        if not self._is_whole(fresh, now, news) and not (over and (news or self._due is None)):
            return None
        names = dict.fromkeys([*self._names, *heard])
        nodes = [self._shown(name, heard.get(name), name in fresh, now, why or {}) for name in names]
        self._begin_next(heard, fresh, now)
        return nodes

    def _is_whole(self, fresh: set[str], now: float, news: bool) -> bool:
        if self._since is None and (fresh or (self._due is not None and now >= self._due)):
            self._since = now
        if news and fresh and self._awaited <= fresh:
            return True
        limit_s = FIRST_LATE_S if self._due is None else LATE_S
        return self._since is not None and now >= self._since + limit_s

    def _shown(
        self, name: str, entry: tuple[int, Node] | None, fresh: bool, now: float, why: Mapping[str, str]
    ) -> Node:
        """Return what is shown of a node: its newest answer, unless it is too old, or the node was shown as silent since."""
        if entry is None:
            return _silent(name, why.get(name, "has given no answer yet"), now)
        number, node = entry
        age = now - node["asked_unix"] - node["seconds"]
        waived = name not in self._awaited and self._silent.get(name) != number
        if fresh or not node["reachable"] or (waived and age <= self._interval_s + LATE_S):
            return node
        self._silent[name] = number
        return _silent(name, why.get(name, f"has given no answer for {age:.0f} s"), now)

    def _begin_next(self, heard: Heard, fresh: set[str], now: float) -> None:
        self._awaited = {name for name in fresh if self._keeps_pace(heard[name][1])}
        self._told = {name: number for name, (number, _) in heard.items()}
        self._number = max([self._number + 1, *self._told.values()])
        self._since, self._due = None, now + self._interval_s

    def _keeps_pace(self, node: Node) -> bool:
        return node["state"] != "disabled" and float(node["seconds"]) <= self._interval_s


def _silent(name: str, detail: str, now: float) -> Node:
    return document.of_silence(name, "node_unreachable", detail, document.Asking(now, 0.0))
