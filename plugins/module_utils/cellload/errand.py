# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request on its way to the server: its attempts, and how long it was held for the rate that the server takes."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Protocol

from .errors import LoadError
from .request import Exchange
from .turnstile import LateError, Turnstile


@dataclass
class Errand:
    """A request and what became of it. Times are those of the load's clock, in seconds.

    turned: when the client turned to it; sent, exchange: of its last attempt; refused: attempts that were refused for
    overload; queued_s: how long it waited for max_concurrency alone; held_s: how long for the rate, refused attempts and
    the pauses after them included, until the last attempt was sent. burst: it is beyond the steady load and its
    max_concurrency.
    """

    payload: bytes
    turned: float
    sent: float = 0.0
    exchange: Exchange = field(default_factory=Exchange)
    attempts: int = 0
    refused: int = 0
    queued_s: float = 0.0
    held_s: float = 0.0
    burst: bool = False

    def __post_init__(self) -> None:
        self.sent = self.turned

    def hold(self, now: float) -> None:
        """Set held_s for a request that is sent, or given up, at now."""
        self.sent, self.held_s = now, max(0.0, now - self.turned - self.queued_s)


class Send(Protocol):
    """Send an errand once, at its turn."""

    async def __call__(self, errand: Errand, until: float) -> LoadError | None:
        """Return why that failed, None when the answer is complete; raise what the turnstile raises without a turn."""


def is_refusal(error: LoadError | None, exchange: Exchange) -> bool:
    """Tell whether an answer says that the server is overloaded, before it gave anything of what was asked for."""
    return error is not None and error.kind == "overloaded" and not exchange.answer.chunk_times


async def run(errand: Errand, send: Send, turnstile: Turnstile, until: float = math.inf) -> LoadError | None:
    """Send a request at the pace that the server takes, again while it is refused and its budget lasts.

    Return why it failed, None when it is complete. Raise LateError when it cannot be sent for the first time before until.
    """
    last: LoadError | None = None
    while True:
        try:
            last = await send(errand, until)
        except (LateError, LoadError) as exc:
            if not errand.attempts:
                errand.hold(turnstile.clock())
                raise
            return given_up(errand, last, exc)
        headers = errand.exchange.head.headers if errand.exchange.head else {}
        if not is_refusal(last, errand.exchange):
            turnstile.taken(headers)
            return last
        errand.refused += 1
        turnstile.refused(headers, errand.sent)
        if errand.refused == 1:
            until = turnstile.clock() + turnstile.settings.max_wait_s
        wait = turnstile.backoff_s(errand.attempts, until)
        if wait is None:
            return given_up(errand, last, None)
        await asyncio.sleep(wait)


def given_up(errand: Errand, last: LoadError | None, why: Exception | None) -> LoadError:
    """Return the failure of a request that is not tried again, in the words of its last refusal."""
    told = last.message if last else "overloaded"
    cause = f": {why.message}" if isinstance(why, LoadError) else ""
    times = "once" if errand.attempts == 1 else f"{errand.attempts} times"
    return LoadError("overloaded", f"{told} (sent {times}{cause})", last.retry_after_s if last else None)
