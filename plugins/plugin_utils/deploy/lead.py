# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one worker of a case that decides for all nodes what is started when, and what becomes of a failed service.

It reads what the nodes note (`service.<name>`) and puts up orders (`order.<name>`), the end of a service that is not
tried again (`given-up.<name>`), what became of a start that another one follows (`again.<name>.<try>`), and `deployed`
when every service is ready.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..run.plan import CasePlan
from . import retry
from .board import Board
from .schedule import Limits, Scheduler

Say = Callable[[str, dict[str, Any]], None]


class Lead:
    """Turns the notes of all nodes into orders. clock: seconds since the epoch. say: tells a person and the journal."""

    def __init__(self, case: CasePlan, board: Board, run_id: str, clock: Callable[[], float], say: Say) -> None:
        self._case = case
        self._run_id = run_id
        self._board = board
        self._clock = clock
        self._say = say
        self._needs = {service.name: service.depends_on for service in case.services}
        self._tries = dict.fromkeys(self._needs, 0)
        self._told: dict[str, tuple[int, str]] = {}
        self._due: dict[str, float] = {}
        self._clean_first: set[str] = set()
        self._given_up = False
        self._plan = self._scheduler()
        self._runnable: dict[str, float] = {}

    def look(self) -> bool:
        """Take in what is new on the board and put up what follows from it; return whether anything was put up."""
        for name, note in self._board.notes("service.").items():
            self._hear(name, note)
        self._take_up_due()
        posted = self._order()
        if not self._given_up and not self._due and self._plan.done and self._board.read("deployed") is None:
            self._board.post("deployed", {"t": self._clock()})
            posted = True
        return posted

    def next_due_s(self) -> float | None:
        """Return in how many seconds a service is tried again, None when none waits for that."""
        return max(0.0, min(self._due.values()) - self._clock()) if self._due else None

    def _scheduler(self) -> Scheduler:
        limits = self._case.limits
        return Scheduler(
            self._needs,
            node_of=self._case.placement,
            estimates={service.name: service.estimate_s for service in self._case.services},
            limits=Limits(limits["services"], limits["services_per_node"]),
        )

    def _hear(self, name: str, note: dict[str, Any]) -> None:
        word = (int(note["try"]), str(note["state"]))
        if word[0] != self._tries[name] or self._told.get(name) == word:
            return
        self._told[name] = word
        if note["state"] == "running":
            self._plan.release(name)
        elif note["state"] == "ready":
            self._plan.ready(name)
        else:
            self._failed(name, note)

    def _failed(self, name: str, note: dict[str, Any]) -> None:
        decision = retry.decide(
            note["error_kind"], self._tries[name], self._case.retry, note.get("holder"), run_id=self._run_id
        )
        held = self._plan.failed(name)
        if decision.again:
            self._due[name] = self._clock() + decision.delay_s
            self._clean_first |= {name} if decision.clean_first else set()
            self._keep(name, note)
            self._say(f"{name} is tried again: {decision.reason}", {"service": name, "state": "again"})
            return
        self._given_up = True
        self._board.post(f"given-up.{name}", {"reason": decision.reason, "held": sorted(held)})

    def _keep(self, name: str, note: dict[str, Any]) -> None:
        """Keep what became of a start: the next one will overwrite its note and its order."""
        order = self._board.read(f"order.{name}") or {}
        self._board.post(f"again.{name}.{note['try']}", {**note, "service": name, "ordered_at": order.get("t")})

    def _keep_all(self, culprit: str) -> None:
        """Keep the starts of those that are started again only because culprit is."""
        for name, note in self._board.notes("service.").items():
            if note["try"] == self._tries[name] and self._board.read(f"again.{name}.{note['try']}") is None:
                self._keep(name, {**note, "detail": f"all services were started again with {culprit}"})

    def _take_up_due(self) -> None:
        for name in [name for name, when in self._due.items() if when <= self._clock()]:
            del self._due[name]
            if self._case.retry["only_failed"] or name in self._clean_first:
                self._plan.again(name)
            else:
                self._due.clear()
                self._keep_all(name)
                self._plan = self._scheduler()
                return

    def _order(self) -> bool:
        now = self._clock()
        for name in self._plan.runnable:
            self._runnable.setdefault(name, now)
        if self._given_up:
            return False
        names = self._plan.next()
        for name in names:
            self._tries[name] += 1
            order = {
                "t": now,
                "try": self._tries[name],
                "runnable_at": self._runnable.pop(name, now),
                "clean_first": name in self._clean_first,
            }
            self._clean_first.discard(name)
            self._board.post(f"order.{name}", order)
        return bool(names)
