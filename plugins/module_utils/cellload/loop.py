# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load itself: when requests go out, how many at once, and what is recorded of each."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from . import errand as errands
from .arrivals import endless, schedule
from .client import Client
from .config import LoadConfig
from .errand import Errand
from .errors import LoadError
from .pace.settings import settings_of
from .prompts import PromptMaker
from .request import Exchange, Timing, end_of, payload_of, perform, record_of
from .turnstile import LateError, Turnstile

LAG_STEP_S = 0.05
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0  # after a failure, in a closed loop that is bounded by time
MOST_UNDER_WAY = 8192  # requests of a soak's open loop that wait for a server which takes none: memory is bounded


@dataclass
class Load:
    """A running load. keep: called with each record as its request ends; clock: a monotonic clock in seconds.

    note_lag: called with each late wake-up in ms; attend: called as the load starts, for what goes on beside it.
    sent: requests of the load that were sent at least once; pauses: of closed loops after a failure.
    turnstile: lets requests out at an adaptive rate; None when the load has none.
    """

    config: LoadConfig
    client: Client
    keep: Callable[[dict[str, Any]], None]
    clock: Callable[[], float]
    note_lag: Callable[[float], None]
    attend: Callable[[Load], Coroutine[Any, Any, None]]
    start: float = 0.0
    in_flight: int = 0
    held_back: int = 0
    warmed: int = 0
    sent: int = 0
    pauses: int = 0
    prompts: PromptMaker = field(init=False)
    turnstile: Turnstile | None = None
    _slots: asyncio.Semaphore | None = None
    _numbers: Iterator[int] = field(default_factory=count)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _chance: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        words = round(self.config["prompt_tokens"] / self.config["tokens_per_word"])
        self.prompts = PromptMaker(self.config["seed"], words)
        settings = settings_of(self.config["adaptive_rate"])
        if settings:
            self.turnstile = Turnstile(settings, self.clock, lambda: self.in_flight)

    async def run(self) -> None:
        """Warm up, then send the whole load; return when every request has ended."""
        await self._warm_up()
        self.start, self.sent = self.clock(), 0
        beside = [asyncio.ensure_future(job) for job in (self._sample_lag(), self.attend(self))]
        try:
            await asyncio.gather(self._open_loop() if self.config.open_loop else self._closed_loop(), self._bursts())
            await asyncio.gather(*self._tasks)
        finally:
            for task in beside:
                task.cancel()
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
        wanted, limit = self.config.wanted, self.config.seconds
        numbers = islice(self._numbers, wanted)
        workers = self.config.max_concurrency or 1
        await asyncio.gather(*(self._worker(numbers, 0.0, limit) for _ in range(min(workers, wanted or workers))))

    async def _worker(self, numbers: Iterator[int], due: float, limit: float | None, burst: bool = False) -> None:
        """Send one request after the other, the first due at `due`, until limit (both in seconds from the start)."""
        failures = 0
        while limit is None or self.now() < limit:
            index = next(numbers, None)
            record = None if index is None else await self._one(index, due, limit, burst)
            if record is None:
                return
            due, failures = record["end_s"], 0 if record["ok"] else failures + 1
            if failures and self.config.wanted is None:
                await self._pause(failures)
                due = self.now()

    async def _pause(self, failures: int) -> None:
        """Wait after so many failures in a row, twice as long after each: against a dead server a loop would spin."""
        self.pauses += 1
        await asyncio.sleep(longest_pause_s(failures) * self._chance.uniform(0.5, 1.0))

    async def _open_loop(self) -> None:
        """Send each request at its time, whatever became of the others; a concurrency limit holds requests back."""
        config, soak_s = self.config, self.config.soak_s
        limit = config.max_concurrency
        self._slots = asyncio.Semaphore(limit) if limit else None
        load = config["request_rate"], config["arrivals"], config["seed"]
        times = schedule(config.wanted or 0, *load) if soak_s is None else endless(*load, 0.0, soak_s)
        await self._stream(times, soak_s)

    async def _stream(self, times: Iterable[float], limit: float | None, burst: bool = False) -> None:
        """Begin a request at each of the times, which ascend (seconds from the start)."""
        for due in times:
            await self._sleep_until(due)
            index = next(self._numbers)
            if limit is not None and len(self._tasks) >= MOST_UNDER_WAY:
                self._leave_out(index, due)
                continue
            task = asyncio.ensure_future(self._one(index, due, limit, burst))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _leave_out(self, index: int, due: float) -> None:
        why = f"{MOST_UNDER_WAY} requests wait for their answers; this one was not sent"
        self._record(index, due, Errand(b"", self.clock()), LoadError("resource_limit", why))

    async def _bursts(self) -> None:
        """Send what a soak has beyond its steady load."""
        config, burst = self.config, self.config.burst
        if burst is None or config.soak_s is None:
            return
        for number, (began, ended) in enumerate(burst.spans(config.soak_s), 1):
            await self._sleep_until(began)
            if burst.requests_per_s is not None:
                seed = config["seed"] + number
                times = endless(burst.requests_per_s, config["arrivals"], seed, began, ended)
                await self._stream(times, ended, burst=True)
            else:
                more = range(burst.concurrency or 0)
                await asyncio.gather(*(self._worker(self._numbers, began, ended, burst=True) for _ in more))

    async def _sleep_until(self, due: float) -> None:
        delay = due - self.now()
        if delay > 0:
            await asyncio.sleep(delay)

    async def _one(
        self, index: int, due: float, limit: float | None = None, burst: bool = False
    ) -> dict[str, Any] | None:
        """Send one request, keep its record and return it.

        limit: seconds from the start after which it is not sent any more; then there is no record, and None.
        """
        errand = Errand(self._payload(index), self.clock(), burst=burst)
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

    def _payload(self, index: int) -> bytes:
        """Return a request of the load; those of a soak are repeated after num_prompts."""
        several = self.config["num_prompts"]
        number = index % several if several and self.config.soak_s is not None else index
        return payload_of(self.config, self.prompts.text("load", number))

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
        if self._slots is None or errand.burst:
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
        self.sent += errand.attempts == 0
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
            self.note_lag(max(0.0, (self.clock() - due) * 1000))


def longest_pause_s(failures: int) -> float:
    """Return the longest pause after so many failures in a row (at least one); the shortest is half of it."""
    return min(2 * SHORTEST_PAUSE_S * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE_S)
