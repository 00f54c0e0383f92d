# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load itself: when requests go out, how many at once, and what is recorded of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from .arrivals import schedule
from .client import Client
from .config import LoadConfig
from .errors import LoadError
from .prompts import PromptMaker
from .request import Exchange, Timing, end_of, payload_of, perform, record_of

LAG_STEP_S = 0.05
FAILURE_PAUSE_S = 0.1  # keeps a closed loop that is bounded by time from spinning against a dead server


@dataclass
class Load:
    """A running load. keep: called with each record as its request ends; clock: a monotonic clock in seconds."""

    config: LoadConfig
    client: Client
    keep: Callable[[dict[str, Any]], None]
    clock: Callable[[], float]
    start: float = 0.0
    sent: int = 0
    in_flight: int = 0
    held_back: int = 0
    warmed: int = 0
    lags_ms: list[float] = field(default_factory=list)
    prompts: PromptMaker = field(init=False)

    def __post_init__(self) -> None:
        words = round(self.config["prompt_tokens"] / self.config["tokens_per_word"])
        self.prompts = PromptMaker(self.config["seed"], words)

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
                error = await perform(self.client, payload, Exchange(), self.config["timeout_s"])
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
                if index is None:
                    return
                record = await self._one(index, due)
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
        slots = asyncio.Semaphore(limit) if limit else None
        tasks: set[asyncio.Task[Any]] = set()
        times = schedule(config.wanted or 0, config["request_rate"], config["arrivals"], config["seed"])
        for index, due in enumerate(times):
            await self._sleep_until(due)
            task = asyncio.ensure_future(self._one(index, due) if slots is None else self._slotted(slots, index, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def _sleep_until(self, due: float) -> None:
        delay = due - self.now()
        if delay > 0:
            await asyncio.sleep(delay)

    async def _slotted(self, slots: asyncio.Semaphore, index: int, due: float) -> None:
        self.held_back += slots.locked()
        async with slots:
            await self._one(index, due)

    async def _one(self, index: int, due: float) -> dict[str, Any]:
        """Send one request, keep its record and return it."""
        payload = payload_of(self.config, self.prompts.text("load", index))
        exchange, timing = Exchange(), Timing(index, due, self.now())
        self.sent += 1
        self.in_flight += 1
        error: LoadError | None = LoadError("cancelled", "the load was stopped before this request ended")
        try:
            error = await perform(self.client, payload, exchange, self.config["timeout_s"])
        finally:
            self.in_flight -= 1
            end = end_of(exchange, self.clock()) - self.start
            record = record_of(self.config, timing, exchange, error, end=end, start=self.start)
            self.keep(record)
        return record

    async def _sample_lag(self) -> None:
        """Measure, until cancelled, by how much the client wakes up too late: a busy client measures itself."""
        while True:
            due = self.clock() + LAG_STEP_S
            await asyncio.sleep(LAG_STEP_S)
            self.lags_ms.append(max(0.0, (self.clock() - due) * 1000))
