# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for nodes that other runs hold: for a limited time, in one order, and without losing those that are held already.

The nodes of a case are taken one after the other, sorted by name, and none is kept from one case to the next. So of two
runs that wait, one always has all that it needs or waits only for a run that does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..report.values import duration
from ..run import owner
from .cell import Cell, StepFailure

POLL_S = 1.0
BOARD_POLL_S = 0.1
# The worker that asks a held node ends by itself when its time is over; the others give it so much longer to say so.
SLACK_S = 60.0
# Part of the lease's time after which it is renewed: three may be lost.
RENEWALS = 4
Holder = Mapping[str, Any]


class Wait:
    """The wait of one node's worker, at most wait_s of the plan from its begin."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._began = cell.clock()
        self._told: list[tuple[Any, ...]] = []

    def for_turn(self) -> None:
        """Wait until this run holds the nodes of the case that come before this one."""
        self._until_held([name for name in self._order() if name < self._cell.node], lambda: None)
        if self._cell.plan.wait_s:
            self._go_on()

    def for_holders(self, holders: Sequence[Holder], said: str) -> None:
        """Wait a moment for those who hold the node, and tell who they are when they are others than before.

        Raise lock_held when the time is over. said: what the node said.
        """
        limit, waited = self._cell.plan.wait_s, self._cell.clock() - self._began
        held = f"held by {words(holders)}" if holders else f"busy: {said}"
        if waited >= limit:
            over = (
                f"waited {duration(waited)} for it in vain" if limit else "wait for it (`--wait`) or choose other nodes"
            )
            raise StepFailure("lock_held", f"node {self._cell.node} is {held}; {over}")
        told = [(one.get("run"), one.get("owner"), one.get("epoch")) for one in holders]
        if told != self._told:
            self._told = told
            left = duration(limit - waited)
            self._cell.event(f"waits for {self._cell.node}, at most {left}: {held}", holders=list(holders))
        self._pause(min(POLL_S, limit - waited))
        self._go_on()

    def for_the_others(self) -> None:
        """Keep the node while this run waits for the others of the case."""
        every_s = self._cell.plan.lease_ttl_s / RENEWALS
        due = self._cell.clock() + every_s

        def renew() -> None:
            nonlocal due
            if self._cell.clock() >= due:
                self._cell.client.call("lease", action="renew")
                due = self._cell.clock() + every_s

        self._until_held(self._order(), renew)

    def _order(self) -> list[str]:
        return sorted(self._cell.case.nodes) if self._cell.plan.wait_s else []

    def _until_held(self, names: Sequence[str], meanwhile: Callable[[], None]) -> None:
        """Wait until this run holds these nodes, or the case has failed."""
        end = self._began + self._cell.plan.wait_s + SLACK_S
        while not self._cell.failed and not all(self._is_held(name) for name in names):
            if self._cell.clock() >= end:
                raise StepFailure("lock_held", f"waited in vain for {', '.join(names)}: no word of what holds them")
            meanwhile()
            self._pause(BOARD_POLL_S)

    def _go_on(self) -> None:
        """Raise dependency_failed where the case has failed on another node."""
        if self._cell.failed:
            raise StepFailure("dependency_failed", f"{self._cell.node} is not waited for: the case has failed already")

    def _is_held(self, name: str) -> bool:
        return self._cell.shared.read(f"lease.{name}") is not None

    def _pause(self, seconds: float) -> None:
        """Wait so long; nobody waits for a run whose controller is gone."""
        self._cell.sleep(seconds)
        if owner.is_dead(self._cell.plan.owner, owner.here(), owner.lives):
            raise StepFailure(
                "controller_died", f"the controller of the run is gone; {self._cell.node} is not waited for"
            )


def words(holders: Sequence[Holder]) -> str:
    """Return who holds a node, for which run, since when, and for how long at most without a sign of life."""
    return "; and by ".join(_words(holder) for holder in holders)


def _words(holder: Holder) -> str:
    who = owner.words(str(holder.get("owner") or "")) or "?"
    age, left = holder.get("age_s"), holder.get("expires_in_s") or 0.0
    since = "" if age is None else f", taken {duration(age)} ago"
    return f"{who} for run {holder.get('run') or '?'}{since}, for at most {left:.0f} s more without a sign of life"
