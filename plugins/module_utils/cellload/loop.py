# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load itself: when requests go out, how many at once, and what is recorded of each."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from . import errand as errands
from .arrivals import schedule
from .client import Client
from .config import LoadConfig
from .errand import Errand
from .errors import LoadError
from .pace.settings import settings_of
from .prompts import PromptMaker
from .request import Exchange, Timing, end_of, payload_of, perform, record_of
from .turnstile import LateError, Turnstile

LAG_STEP_S = 0.05
FAILURE_PAUSE_S = 0.1  # keeps a closed loop that is bounded by time from spinning against a dead server


@dataclass
class Load:
    """A running load. keep: called with each record as its request ends; clock: a monotonic clock in seconds.

    turnstile: lets requests out at an adaptive rate; None when the load has none.
    """

    config: LoadConfig
    client: Client
    keep: Callable[[dict[str, Any]], None]
    clock: Callable[[], float]
    start: float = 0.0
    in_flight: int = 0
    held_back: int = 0
    warmed: int = 0
    lags_ms: list[float] = field(default_factory=list)
    prompts: PromptMaker = field(init=False)
    turnstile: Turnstile | None = None
    _slots: asyncio.Semaphore | None = None

    def __post_init__(self) -> None:
        words = round(self.config["prompt_tokens"] / self.config["tokens_per_word"])
        self.prompts = PromptMaker(self.config["seed"], words)
        settings = settings_of(self.config["adaptive_rate"])
        if settings:
            self.turnstile = Turnstile(settings, self.clock, lambda: self.in_flight)

    async def run(self) -> None:
        """Warm up, then send the whole load; return when every request has ended."""
        await self._warm_up()
        self.start = self.clock()
        sampler = asyncio.ensure_future(self._sample_lag())
        try:
            await (self._open_loop() if self.config.open_loop else self._closed_loop())
        finally:
            sampler.cancel()
            self.client.close()

    def now(self) -> float:
        """Return seconds since the start of the load."""
        return self.clock() - self.start

    async def _warm_up(self) -> None:
        """Send the uncounted requests, as many at once as the load will have."""
        left = iter(range(self.config["warmup"]))

        async def worker() -> None:
            for index in left:
                payload = payload_of(self.config, self.prompts.text("warmup", index))
                error = await self._sent(Errand(payload, self.clock()), math.inf)
                self.warmed += error is None

        workers = min(self.config["warmup"], self.config.max_concurrency or 16)
        await asyncio.gather(*(worker() for _ in range(workers)))

    async def _closed_loop(self) -> None:
        """Keep max_concurrency requests in flight; each is due when the one before it has ended."""
        wanted, limit = self.config.wanted, self.config["duration_s"]
        numbers = iter(range(wanted)) if wanted else count()

        async def worker() -> None:
            due = 0.0
            while limit is None or self.now() < limit:
                index = next(numbers, None)
                record = None if index is None else await self._one(index, due, limit)
                if record is None:
                    return
                due = record["end_s"]
                if wanted is None and not record["ok"]:
                    await asyncio.sleep(FAILURE_PAUSE_S)
                    due = self.now()

        workers = self.config.max_concurrency or 1
        await asyncio.gather(*(worker() for _ in range(min(workers, wanted or workers))))

    async def _open_loop(self) -> None:
        """Send each request at its time, whatever became of the others; a concurrency limit holds requests back."""
        config = self.config
        limit = config.max_concurrency
        self._slots = asyncio.Semaphore(limit) if limit else None
        tasks: set[asyncio.Task[Any]] = set()
        times = schedule(config.wanted or 0, config["request_rate"], config["arrivals"], config["seed"])
        for index, due in enumerate(times):
            await self._sleep_until(due)
            task = asyncio.ensure_future(self._one(index, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def _sleep_until(self, due: float) -> None:
        delay = due - self.now()
        if delay > 0:
            await asyncio.sleep(delay)

    async def _one(self, index: int, due: float, limit: float | None = None) -> dict[str, Any] | None:
        """Send one request, keep its record and return it.

        limit: seconds from the start after which it is not sent any more; then there is no record, and None.
        """
        errand = Errand(payload_of(self.config, self.prompts.text("load", index)), self.clock())
        error: LoadError | None = LoadError("cancelled", "the load was stopped before this request ended")
        begun = False
        try:
            error = await self._sent(errand, math.inf if limit is None else self.start + limit)
            begun = True
        except LateError:
            return None
        finally:
            # What was stopped while it waited for its first turn was never begun.
            if begun or errand.attempts:
                record = self._record(index, due, errand, error)
        return record

    def _record(self, index: int, due: float, errand: Errand, error: LoadError | None) -> dict[str, Any]:
        timing = Timing(index, due, errand.sent - self.start, errand.held_s, errand.attempts, errand.refused)
        end = end_of(errand.exchange, self.clock()) - self.start
        record = record_of(self.config, timing, errand.exchange, error, end=end, start=self.start)
        self.keep(record)
        return record

    async def _sent(self, errand: Errand, until: float) -> LoadError | None:
        """Send a request, at the adaptive rate when there is one, and return why it failed; None when it is complete."""
        if self.turnstile is None:
            return await self._attempt(errand, until)
        try:
            return await errands.run(errand, self._attempt, self.turnstile, until)
        except LoadError as exc:
            return exc

    async def _attempt(self, errand: Errand, until: float) -> LoadError | None:
        """Send a request once, when max_concurrency has room for it.

        Once the rate is limited the room is taken by requests that wait for it, so a wait for room is one for the rate.
        """
        if self._slots is None:
            return await self._go(errand, until)
        began, was_full = self.clock(), self._slots.locked()
        async with self._slots:
            if self.turnstile is None or not self.turnstile.limits:
                self.held_back += was_full
                errand.queued_s += self.clock() - began
            return await self._go(errand, until)

    async def _go(self, errand: Errand, until: float) -> LoadError | None:
        if self.turnstile is not None:
            await self.turnstile.enter(until, again=errand.attempts > 0)
        errand.exchange = Exchange()
        errand.attempts += 1
        errand.sent = self.clock()
        if self.turnstile is not None:
            errand.hold(errand.sent)
        self.in_flight += 1
        try:
            return await perform(self.client, errand.payload, errand.exchange, self.config["timeout_s"])
        finally:
            self.in_flight -= 1

    async def _sample_lag(self) -> None:
        """Measure, until cancelled, by how much the client wakes up too late: a busy client measures itself."""
        while True:
            due = self.clock() + LAG_STEP_S
            await asyncio.sleep(LAG_STEP_S)
            self.lags_ms.append(max(0.0, (self.clock() - due) * 1000))
