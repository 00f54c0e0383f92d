# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation `deploy`: start services when told to, say at once when one is ready or has failed, start it again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from . import lifetime
from .context import Context
from .engine import connect
from .errors import CellError
from .fence import Fence
from .minder import Minder, Order, Ward
from .objects import Container, of_case
from .params import integer, number, refuse, texts
from .prober import gate
from .probes import Check, parse_check
from .request import flag, mappings
from .signs import Net, Sign, Signs

LEAVE_LIMIT_S = 2.0
MOST_CHECKS = 10_000
MOST_S = 30 * 86400.0


class Deployment:
    """The services of one case on this node, from the first order to the last.

    Each service is minded by a thread of its own. The engine's events are told to them as they come; this thread only
    passes on what it hears: orders to the minders, and their events to the caller.
    """

    def __init__(self, ctx: Context, checks: list[Check], most_checks: int, limit_s: float) -> None:
        self._ctx = ctx
        self._wake = threading.Event()
        self._said: deque[dict[str, Any]] = deque()
        self._fault: CellError | None = None
        self._fence = Fence(ctx)
        engine, labels = connect(ctx.environ), of_case(ctx.needed_run)
        ward = Ward(engine, labels, ctx.clock, gate(most_checks), self._say)
        self._path, self._life = engine.path, lifetime.life(engine.path)
        self._minders = {check.service: Minder(ward, check, limit_s) for check in checks}
        self._ordered: list[Minder] = []
        self._signs = Signs(engine, labels, self._notice, ctx.clock)
        self._net = Net(engine, labels, self._compare, self._give_up, ctx.clock)
        self.states: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        """Follow orders until the last one, or until the caller is gone."""
        self._ctx.mailbox.listen(self._wake)
        self._signs.start()
        self._net.start()
        try:
            going = True
            while going:
                self._wake.wait()
                self._wake.clear()
                self._pass_on()
                going = self._obey()
        finally:
            self._close()
        self._pass_on()
        for minder in self._ordered:
            self._say_why(minder)

    # -- from other threads --------------------------------------------------------------------------------------

    def _say(self, event: dict[str, Any]) -> None:
        self._said.append(event)
        self._wake.set()

    def _notice(self, sign: Sign) -> None:
        minder = self._minders.get(sign.service)
        if minder is not None:
            minder.notice(sign)

    def _compare(self, found: tuple[Container, ...]) -> None:
        shown = {container.id: container for container in found}
        is_new = lifetime.differ(self._life, lifetime.life(self._path))
        for minder in self._minders.values():
            minder.compare(shown, is_new)

    def _give_up(self, fault: CellError) -> None:
        self._fault = fault
        self._wake.set()

    # -- its own thread ------------------------------------------------------------------------------------------

    def _pass_on(self) -> None:
        """Give the minders' events to the caller; raise when the engine does not answer any more."""
        while self._said:
            event = self._said.popleft()
            state = "failed" if event["state"] == "explained" else event["state"]
            if state == "failed":
                self._fence.prove_answer()
            if state != "waiting":
                self.states[event["service"]] = {**event, "state": state}
            self._ctx.emit(event)
        if self._fault:
            raise self._fault

    def _obey(self) -> bool:
        """Follow the orders that have come; return whether there may be more."""
        orders = self._ctx.mailbox.take()
        if self._ctx.mailbox.closed:
            return False
        if orders:
            self._fence.prove()
        for order in orders:
            for service in texts(order, "start"):
                self._start(service)
            for service in texts(order, "again"):
                self._start(service, again=True)
            if flag(order, "finish", False):
                return False
        return True

    def _start(self, service: str, again: bool = False) -> None:
        """Have a service started; one that was is left alone unless it shall be started again."""
        minder = self._minders.get(service)
        if minder is None:
            raise refuse("start", service, "services that have a check")
        if minder not in self._ordered:
            self._ordered.append(minder)
            minder.start()
        elif again:
            minder.notice(Order.AGAIN)

    def _say_why(self, minder: Minder) -> None:
        """Note what a service that was not ready at the end lacked."""
        last = self.states.get(minder.check.service)
        if last and last["state"] == "running":
            last.update(detail=minder.why(), log_tail=list(minder.last_words()))

    def _close(self) -> None:
        """End every thread; one that waits for the engine or a probe ends by that one's time limit."""
        for minder in self._ordered:
            minder.notice(Order.LEAVE)
        self._signs.close()
        self._net.close()
        deadline = self._ctx.clock.monotonic() + LEAVE_LIMIT_S
        for minder in self._ordered:
            minder.join(max(0.0, deadline - self._ctx.clock.monotonic()))


def deploy(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Follow the caller's messages until `finish` or until it is gone; return {states: {service: its last state}}.

    args: checks (as for `ready`), max_health_checks (how many probes ask at once, 0 for no limit), limit_s (from the
    start of a service until it is ready, 0 for no limit). Messages: {"start": [services]}, {"again": [services]} (end
    it if it runs, and start it), {"finish": true}; any message renews the lease. Events: see Minder.
    """
    checks = [parse_check(item) for item in mappings(args, "checks")]
    most = integer(args, "max_health_checks", 0, 0, MOST_CHECKS)
    if ctx.check:
        return {"states": {}}
    deployment = Deployment(ctx, checks, most, number(args, "limit_s", 0.0, 0.0, MOST_S))
    deployment.run()
    return {"states": deployment.states}


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"deploy": deploy}
