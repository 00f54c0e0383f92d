# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many events at once in one thread: each is a generator that says what it waits for; what may block is done beside.

A generator yields a Wait, or a function: that is called in another thread, and its result or exception comes back.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol, Union

from ..context import Clock

LONGEST_REST_S = 1.0  # a machine that was asleep has moved on in time
WORKERS = 32


@dataclass(frozen=True)
class Wait:
    """Until a moment (seconds since boot). cut: it is over as soon as everything shall end."""

    until: float
    cut: bool = False


Step = Union[Wait, Callable[[], Any]]
Life = Generator[Step, Any, None]
Done = Callable[[Any, "BaseException | None"], None]


class Hands(Protocol):
    """Whoever does what may block, and lets time pass."""

    def do(self, work: Callable[[], Any], done: Done) -> None:
        """Begin work; done(result, exception) is called within a later rest."""

    def rest(self, seconds: float) -> None:
        """Return after so long, or as soon as some work is done or somebody calls wake."""

    def wake(self) -> None:
        """End a rest; may be called by a signal's handler."""


class Threads:
    """Hands that are threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKERS)
        self._over: SimpleQueue[tuple[Done, Future[Any]] | None] = SimpleQueue()

    def do(self, work: Callable[[], Any], done: Done) -> None:
        """Begin work in a thread."""
        self._pool.submit(work).add_done_callback(lambda future: self._over.put((done, future)))

    def rest(self, seconds: float) -> None:
        """Wait for the end of some work."""
        try:
            item = self._over.get(timeout=max(0.0, seconds))
        except Empty:
            return
        if item is not None:
            done, future = item
            error = future.exception()
            done(None if error else future.result(), error)

    def wake(self) -> None:
        """End a rest."""
        self._over.put(None)

    def close(self) -> None:
        """Let the threads end, each with what it is doing now."""
        self._pool.shutdown(wait=False)


class Loop:
    """Runs lives to their ends. ending: everything shall end soon."""

    def __init__(self, clock: Clock, hands: Hands) -> None:
        self._clock, self._hands = clock, hands
        self._sleeping: list[tuple[float, int, bool, Life]] = []
        self._busy = 0
        self._count = itertools.count()
        self.ending = False

    def end(self) -> None:
        """Have everything end soon; may be called by a signal's handler."""
        self.ending = True
        self._hands.wake()

    def add(self, life: Life) -> None:
        """Take on a life; it goes on in run."""
        self._sleep(life, Wait(0.0))

    def run(self) -> None:
        """Return when all lives are over."""
        while self._sleeping or self._busy:
            for life in self._due():
                self._go_on(life, None, None)
            if self._sleeping or self._busy:
                self._hands.rest(self._next())

    def _due(self) -> list[Life]:
        """Return the lives whose wait is over, the longest over first."""
        now, found, later = self._clock.boottime(), [], []
        while self._sleeping:
            item = heapq.heappop(self._sleeping)
            until, _, cut, life = item
            if until <= now or (cut and self.ending):
                found.append(life)
            elif self.ending:
                later.append(item)
            else:
                heapq.heappush(self._sleeping, item)
                break
        for item in later:
            heapq.heappush(self._sleeping, item)
        return found

    def _next(self) -> float:
        """Return how long to rest at most."""
        if not self._sleeping:
            return LONGEST_REST_S
        return min(LONGEST_REST_S, max(0.0, self._sleeping[0][0] - self._clock.boottime()))

    def _sleep(self, life: Life, wait: Wait) -> None:
        heapq.heappush(self._sleeping, (wait.until, next(self._count), wait.cut, life))

    def _go_on(self, life: Life, result: Any, error: BaseException | None) -> None:
        try:
            step = life.throw(error) if error else life.send(result)
        except StopIteration:
            return
        if isinstance(step, Wait):
            self._sleep(life, step)
        else:
            self._busy += 1
            self._hands.do(step, lambda result, error: self._is_done(life, result, error))

    def _is_done(self, life: Life, result: Any, error: BaseException | None) -> None:
        self._busy -= 1
        self._go_on(life, result, error)
