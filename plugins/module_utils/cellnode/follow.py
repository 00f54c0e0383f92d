# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation `follow`: a unit's output and end, and the death or sickness of services, in one question."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

from .context import Context
from .lookout import Lookout
from .params import number, text, texts
from .signs import LOOK_S
from .supervise import MAX_WAIT_S, POLL_FIRST_S, next_pause
from .tail import Tail

WATCH_S = 10.0


class Calm:
    """The lookout of a node without services."""

    def trouble(self, at_once: bool = False) -> dict[str, Any]:
        """Return that all is well."""
        return {"died": [], "unhealthy": []}

    def listen(self) -> None:
        """Hear nothing."""


def follow(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Return {unit, died, unhealthy} as soon as one of them is new, the caller says {"wake": true}, or after wait_s.

    Events: {service, exit_code} of a service that has just died.

    When a unit has ended, the services are as they were after its end.

    args: those of `supervise poll`, name "" for no unit (its answer is null then); services that should run, and
    known, those of them that the caller knows to be dead or unhealthy; life, of the engine that started them. Keep
    wait_s well below the time of the lease.
    """
    deadline = ctx.clock.monotonic() + number(args, "wait_s", 0.0, 0.0, MAX_WAIT_S)
    wanted = set(texts(args, "services")) - set(texts(args, "known"))
    wake, life = threading.Event(), text(args, "life", "")
    with ExitStack() as stack:
        tail = stack.enter_context(closing(Tail(ctx, args))) if text(args, "name", "") else None
        lookout = stack.enter_context(closing(Lookout(ctx, wanted, wake, life))) if wanted else Calm()
        caller = Caller(ctx, wake)
        pause = POLL_FIRST_S
        while True:
            wake.clear()
            # What became of a service in the test's last moments counts as well.
            trouble = lookout.trouble(at_once=tail is not None and tail.ended())
            news = trouble["died"] or trouble["unhealthy"] or (tail and tail.new()) or caller.calls()
            left = deadline - ctx.clock.monotonic()
            if news or left <= 0:
                return {"unit": tail.answer() if tail else None, **trouble}
            lookout.listen()
            wake.wait(min(pause if tail else LOOK_S, left))
            pause = next_pause(pause)


class Caller:
    """Whoever waits for the answer. A lone request has nobody who could say more."""

    def __init__(self, ctx: Context, wake: threading.Event) -> None:
        self._mailbox = ctx.mailbox
        self._alone = ctx.mailbox.closed
        if not self._alone:
            ctx.mailbox.listen(wake)

    def calls(self) -> bool:
        """Return whether the caller wants its answer now, or is gone."""
        if self._alone:
            return False
        return any(message.get("wake") for message in self._mailbox.take()) or self._mailbox.closed


def watch(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Return {died: [...], unhealthy: [...]} as soon as there is one, or empty lists after wait_s."""
    answer = follow(ctx, {"wait_s": WATCH_S, **args, "name": ""})
    return {"died": answer["died"], "unhealthy": answer["unhealthy"]}


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"follow": follow, "watch": watch}
