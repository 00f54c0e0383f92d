# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate before the server: requests pass one after the other at the pace that the server takes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import LoadError
from .pace import hints
from .pace.rule import Pace, begin
from .pace.settings import Settings

STEP_S = 0.25  # the longest sleep of the first in the queue, so that it sees a rate that has changed


class LateError(Exception):
    """No turn comes before the time until which the caller wants one."""


@dataclass
class Turnstile:
    """Let attempts out in the order in which they came. clock: monotonic seconds; wall: Unix time.

    in_flight: attempts whose answer has not come yet, told by the caller; denied: retries for which no budget was left.
    """

    settings: Settings
    clock: Callable[[], float]
    in_flight: Callable[[], int]
    wall: Callable[[], float] = time.time
    chance: random.Random = field(default_factory=random.Random)
    denied: int = 0

    def __post_init__(self) -> None:
        self.pace = Pace(self.settings, begin(self.settings, self.clock()))
        self._turn: asyncio.Lock | None = None

    @property
    def limits(self) -> bool:
        """Tell whether the rate is limited now."""
        return self.pace.state.rate is not None

    async def enter(self, until: float, *, again: bool = False) -> None:
        """Return when the caller may send.

        Raise LateError when its turn comes after until, and LoadError (overloaded) when the server asks for a longer
        wait than a request has, or has refused everything for as long. again: the request was refused before.
        """
        self._turn = self._turn or asyncio.Lock()  # belongs to the loop that runs now
        async with self._turn:
            while True:
                now = self.clock()
                wait = self.pace.wait_s(now)
                self._give_up_if_hopeless(now)
                if now + wait > until:
                    raise LateError
                if wait <= 0:
                    break
                await asyncio.sleep(min(wait, STEP_S, self.settings.window_s / 2))
            self.pace.take(self.clock(), self.chance.random(), again=again)

    def _give_up_if_hopeless(self, now: float) -> None:
        most = self.settings.max_wait_s
        held = self.pace.held_s(now)
        if held > most:
            raise LoadError("overloaded", f"the server asks to wait for {held:.0f} s, limit {most:g} s")
        if self.pace.stalled(now) and not self.in_flight():
            raise LoadError("overloaded", f"the server took no request for {most:g} s")

    def taken(self, headers: Mapping[str, str]) -> None:
        """Note that a request was not refused. headers: of its answer."""
        self.pace.taken(self.clock(), hints.pause_s(headers, self.wall()))

    def refused(self, headers: Mapping[str, str], sent_at: float) -> None:
        """Note a refusal. headers: of its answer; sent_at: when the attempt was sent."""
        asked = hints.asked_wait_s(headers, self.wall())
        self.pace.refused(self.clock(), self.chance.random(), asked, sent_at)

    def backoff_s(self, attempts: int, until: float) -> float | None:
        """Return how long a request that was refused waits before it queues again; None when its budget is spent.

        until: the time by which it must be sent again.
        """
        wait = self.pace.backoff_s(attempts, self.chance.random())
        over = attempts >= self.settings.max_attempts or self.clock() + wait > until
        if over or not self.pace.may_retry():
            self.denied += 1
            return None
        return wait

    def facts(self, start: float) -> dict[str, Any]:
        """Return the course of the rate as plain JSON values; its times are seconds from start (of this clock)."""
        state = self.pace.state
        shift = state.began - start
        series = [{"t_s": round(t + shift, 3), "rate": rate} for t, rate in _points(state.series) if t + shift >= 0]
        return {
            "settings": self.settings.as_dict(),
            "final_rate": None if state.rate is None else round(state.rate, 3),
            "decreases": state.cuts,
            "retries": state.retries,
            "retries_denied": self.denied,
            "series": series,
        }


def _points(series: list[list[float | None]]) -> list[tuple[float, float | None]]:
    return [(t or 0.0, rate) for t, rate in series]
