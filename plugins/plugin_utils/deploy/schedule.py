# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services to start now: those whose needs are ready, the one with the longest way to the end first.

needs: service -> services it waits for, in file order, which breaks ties. estimates: service -> seconds from its start
until it is ready; one that is left out counts as UNKNOWN_S. Nothing here reads a clock: the caller says what happened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from . import graph
from .slots import Limits, Slots

__all__ = ["UNKNOWN_S", "CriticalPath", "Limits", "Scheduler", "critical_path", "dependants", "remaining", "slack"]

UNKNOWN_S = 1.0

Needs = Mapping[str, Sequence[str]]
Estimates = Mapping[str, float]


@dataclass(frozen=True)
class CriticalPath:
    """The chain of services that no limit can make shorter, in start order, and its length."""

    names: tuple[str, ...]
    seconds: float


class _State(Enum):
    WAITING = "waits for its needs"
    RUNNABLE = "waits for a slot"
    STARTING = "holds a slot"
    RUNNING = "has given its slot back"
    READY = "ready"
    FAILED = "failed"
    BLOCKED = "can never start"


_UNSTARTED = frozenset({_State.WAITING, _State.RUNNABLE})
_SETTLED = frozenset({_State.READY, _State.FAILED, _State.BLOCKED})


def remaining(needs: Needs, estimates: Estimates) -> dict[str, float]:
    """Return service -> seconds of the longest path from its start to the end of the graph, itself included."""
    return _remaining(_order(needs), dependants(needs), estimates)


def critical_path(needs: Needs, estimates: Estimates) -> CriticalPath:
    """Return the longest path through the graph; among equals the one whose services stand first in the file."""
    left, after = remaining(needs, estimates), dependants(needs)
    names, choice = [], list(needs)
    while choice:
        names.append(max(choice, key=left.__getitem__))
        choice = after[names[-1]]
    return CriticalPath(tuple(names), left[names[0]] if names else 0.0)


def slack(needs: Needs, estimates: Estimates) -> dict[str, float]:
    """Return service -> seconds by which it may be late without the whole deployment being late, limits left aside."""
    order = _order(needs)
    left = _remaining(order, dependants(needs), estimates)
    end = max(left.values(), default=0.0)
    earliest: dict[str, float] = {}
    for name in order:
        earliest[name] = max((earliest[want] + _seconds(want, estimates) for want in needs[name]), default=0.0)
    return {name: max(0.0, end - left[name] - earliest[name]) for name in needs}


def dependants(needs: Needs) -> dict[str, list[str]]:
    """Return service -> services that wait for it, in file order; ValueError when a need is no service."""
    found: dict[str, list[str]] = {name: [] for name in needs}
    for name, wants in needs.items():
        for want in dict.fromkeys(wants):
            if want not in found:
                raise ValueError(f"service {name!r} waits for {want!r}, which is no service")
            found[want].append(name)
    return found


def _order(needs: Needs) -> list[str]:
    return [name for level in graph.batches(needs) for name in level]


def _remaining(order: Sequence[str], after: Mapping[str, Sequence[str]], estimates: Estimates) -> dict[str, float]:
    left: dict[str, float] = {}
    for name in reversed(order):
        left[name] = _seconds(name, estimates) + max((left[later] for later in after[name]), default=0.0)
    return left


def _seconds(name: str, estimates: Estimates) -> float:
    return estimates.get(name, UNKNOWN_S)


class Scheduler:
    """What may start, told by what happened: start what next() returns, then report release, ready and failed.

    Words that come twice or late change nothing; ready of a service that was never started is a ValueError.
    """

    def __init__(
        self, needs: Needs, *, node_of: Mapping[str, str], estimates: Estimates, limits: Limits | None = None
    ) -> None:
        self._needs = {name: tuple(dict.fromkeys(wants)) for name, wants in needs.items()}
        self._after = dependants(self._needs)
        order = _order(self._needs)
        left = _remaining(order, self._after, estimates)
        self._rank = {name: rank for rank, name in enumerate(order)}
        places = {name: (-left[name], rank) for rank, name in enumerate(self._needs)}
        self._slots = Slots(places, {name: node_of[name] for name in self._needs}, limits or Limits())
        self._missing = {name: len(wants) for name, wants in self._needs.items()}
        self._states = dict.fromkeys(self._needs, _State.WAITING)
        self._blame: dict[str, str] = {}
        self._open = len(self._needs)
        for name, missing in self._missing.items():
            if not missing:
                self._enqueue(name)

    @property
    def done(self) -> bool:
        """Return whether every service is ready, has failed, or waits for one that failed."""
        return self._open == 0

    @property
    def runnable(self) -> list[str]:
        """Return the services that wait only for a slot, in the order in which they will get one."""
        return list(self._slots)

    @property
    def blocked(self) -> dict[str, str]:
        """Return the services that can never start as things stand -> the failed one that they wait for."""
        return dict(self._blame)

    def next(self) -> list[str]:
        """Return the services to start now, longest remaining path first; they hold their slots from now on."""
        found = []
        while (name := self._slots.take()) is not None:
            self._move(name, _State.STARTING)
            found.append(name)
        return found

    def release(self, name: str) -> None:
        """Note that the heavy phase of name's start is over: its slot is free."""
        if self._states[name] is _State.STARTING:
            self._move(name, _State.RUNNING)
            self._slots.give_back(name)

    def ready(self, name: str) -> list[str]:
        """Note that name is ready, and return the services that waited for nothing else and are runnable now."""
        if self._states[name] in _UNSTARTED or self._states[name] is _State.BLOCKED:
            raise ValueError(f"service {name!r} cannot be ready: it {self._states[name].value}")
        if self._states[name] in _SETTLED:
            return []
        self.release(name)
        self._move(name, _State.READY)
        freed = []
        for later in self._after[name]:
            self._missing[later] -= 1
            if not self._missing[later] and self._states[later] is _State.WAITING:
                self._enqueue(later)
                freed.append(later)
        return freed

    def failed(self, name: str) -> dict[str, str]:
        """Note that name failed, and return the services that can never start from now on -> name.

        A service may also fail after it was ready, or before it was started; those that run already go on.
        """
        if self._states[name] is _State.FAILED:
            return {}
        self.release(name)
        self._forget(name)
        self._move(name, _State.FAILED)
        stopped: dict[str, str] = {}
        ahead = deque(self._after[name])
        while ahead:
            later = ahead.popleft()
            if self._states[later] in _UNSTARTED:
                self._block(later, name)
                stopped[later] = name
                ahead.extend(self._after[later])
        return stopped

    def again(self, name: str) -> None:
        """Let a failed service take part again, and with it those that waited for it and for no other failed one."""
        if self._states[name] is not _State.FAILED:
            raise ValueError(f"service {name!r} cannot be tried again: it has not failed")
        self._resume(name)
        freed = [later for later, culprit in self._blame.items() if culprit == name]
        for later in sorted(freed, key=self._rank.__getitem__):
            self._resume(later)

    def _resume(self, name: str) -> None:
        """Put a failed or blocked service where its needs let it be."""
        self._blame.pop(name, None)
        culprit = self._culprit(name)
        if culprit:
            self._block(name, culprit)
        elif self._missing[name]:
            self._move(name, _State.WAITING)
        else:
            self._enqueue(name)

    def _culprit(self, name: str) -> str:
        """Return the failed service for which name waits, directly or through others, "" when there is none."""
        for want in self._needs[name]:
            if self._states[want] is _State.FAILED:
                return want
            if self._states[want] is _State.BLOCKED:
                return self._blame[want]
        return ""

    def _block(self, name: str, culprit: str) -> None:
        self._forget(name)
        self._blame[name] = culprit
        self._move(name, _State.BLOCKED)

    def _forget(self, name: str) -> None:
        """Take back what the state of name means for others, before it leaves that state."""
        state = self._states[name]
        if state is _State.RUNNABLE:
            self._slots.drop(name)
        elif state is _State.BLOCKED:
            self._blame.pop(name, None)
        elif state is _State.READY:
            for later in self._after[name]:
                self._missing[later] += 1

    def _enqueue(self, name: str) -> None:
        self._move(name, _State.RUNNABLE)
        self._slots.add(name)

    def _move(self, name: str, state: _State) -> None:
        self._open += (self._states[name] in _SETTLED) - (state in _SETTLED)
        self._states[name] = state
