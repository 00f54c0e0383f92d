# SPDX-License-Identifier: MIT
"""A server that takes so many requests a second, and clients of it, in simulation: no second of it is waited for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush

from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.pace.rule import Pace, begin
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.pace.settings import Settings

REFUSAL_S = 0.02
STEP_S = 0.25
GRAIN_S = 1e-4


@dataclass
class Server:
    """A bucket of tokens. limit: requests per second at a time; burst: requests that may come at once."""

    limit: Callable[[float], float]
    burst: float = 1.0
    retry_after_s: float | None = None
    service_s: float = 0.2
    _tokens: float = -1.0
    _at: float = 0.0

    def takes(self, now: float) -> bool:
        """Tell whether a request that comes now is taken."""
        filled = self.burst if self._tokens < 0 else self._tokens + (now - self._at) * self.limit(now)
        self._tokens, self._at = min(self.burst, filled), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass
class Course:
    """What a client saw: times at which it sent requests that were taken, that were refused, and its rate over time."""

    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    rates: list[tuple[float, float | None]] = field(default_factory=list)

    def goodput(self, begin_s: float, end_s: float) -> float:
        """Return taken requests per second."""
        return sum(begin_s <= t < end_s for t in self.taken) / (end_s - begin_s)

    def refused_share(self, begin_s: float, end_s: float) -> float:
        """Return the refused share of what was sent; 0 when nothing was."""
        refused = sum(begin_s <= t < end_s for t in self.refused)
        sent = refused + sum(begin_s <= t < end_s for t in self.taken)
        return refused / sent if sent else 0.0

    def rates_between(self, begin_s: float, end_s: float) -> list[float]:
        """Return the rates that the client allowed itself; the time without a limit adds none."""
        return [rate for t, rate in self.rates if begin_s <= t < end_s and rate is not None]


def paced(server: Server, seconds: float, workers: int, settings: Settings, seed: int = 1) -> Course:
    """Return what workers see that share the product's adaptive rate, each with a request at hand at any time."""
    chance = random.Random(seed)
    pace, course = Pace(settings, begin(settings, 0.0)), Course()
    answers: list[tuple[float, int, bool, float]] = []
    now, sent = 0.0, 0
    while now < seconds:
        while answers and answers[0][0] <= now:
            at, _, taken, sent_at = heappop(answers)
            workers += 1
            if taken:
                pace.taken(at)
            else:
                pace.refused(at, chance.random(), server.retry_after_s, sent_at)
        wait = pace.wait_s(now) if workers else STEP_S
        course.rates.append((now, pace.state.rate))
        if wait <= 0:
            pace.take(now, chance.random())
            workers, sent = workers - 1, sent + 1
            taken = server.takes(now + REFUSAL_S / 2)
            (course.taken if taken else course.refused).append(now)
            heappush(answers, (now + REFUSAL_S + taken * server.service_s, sent, taken, now))
        else:
            step = min(wait, STEP_S, answers[0][0] - now if answers else STEP_S)
            now += max(step, GRAIN_S)
    return course


def backing_off(server: Server, seconds: float, workers: int, seed: int = 1, base_s: float = 0.5) -> Course:
    """Return what workers see of which each retries by itself: exponential backoff with full jitter, 60 s at most."""
    chance = random.Random(seed)
    course = Course()
    turns: list[tuple[float, int, int]] = [(0.0, number, 0) for number in range(workers)]
    while turns[0][0] < seconds:
        now, number, refusals = heappop(turns)
        if server.takes(now + REFUSAL_S / 2):
            course.taken.append(now)
            heappush(turns, (now + REFUSAL_S + server.service_s, number, 0))
        else:
            course.refused.append(now)
            pause = chance.uniform(0, min(60.0, base_s * 2**refusals))
            pause = max(pause, server.retry_after_s or 0.0)
            heappush(turns, (now + REFUSAL_S + pause, number, refusals + 1))
    return course


def constant(limit: float) -> Callable[[float], float]:
    """Return a limit that stays."""
    return lambda _now: limit


def steps(*levels: tuple[float, float]) -> Callable[[float], float]:
    """Return a limit that changes: (until when, requests per second) in order."""

    def limit(now: float) -> float:
        return next((level for until, level in levels if now < until), levels[-1][1])

    return limit


def windows(course: Course, begin_s: float, end_s: float, width_s: float) -> Iterator[float]:
    """Yield the goodput of each stretch of time."""
    at = begin_s
    while at + width_s <= end_s:
        yield course.goodput(at, at + width_s)
        at += width_s
