# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rule: a rate that grows while a server takes requests and falls when it refuses them.

The growth is CUBIC's (RFC 9438), in windows and shares of the rate instead of seconds and segments, so that it is the
same for one request a second and for a thousand: steep far below the rate that was last refused, flat around it, steep
again beyond. Before that rate is known, or when nothing was taken below it, the rate doubles in each window, as in slow
start. A refusal lowers the rate at most once a window, and never by one that answers an attempt sent before the last
time (RFC 6582). What was taken lately is measured, and the rate falls to a share of that, as far as half in one window.
A rate that nobody waits for does not grow (RFC 7661), nor does one at which everything is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .settings import Settings

SAMPLES = 8  # requests over which the taken rate is measured, where the window has fewer
FLOOR = 0.5  # the most that one window may take off the rate
DOUBLINGS = 60.0  # windows of doubling that a float can bear
PER_WINDOW = {"doubling": 1.0, "growth": 4.0}  # requests that a window holds at least, while the rate is low
JITTER = 0.03  # how far a gap between two requests may be off, as a share of it
CREDIT_S = 0.01  # how late a timer may fire without the rate being missed
HOLD_JITTER = (0.1, 1.0)  # how much later than asked one goes on: share, and seconds at most
LONGEST_HOLD_S = 86_400.0
FREE_RETRIES = 100  # retries that are always allowed, whatever the ratio
MOST_BACKOFF_WINDOWS = 30.0
POINTS = 60  # the most points that the series of rates keeps


@dataclass
class State:
    """What the rule knows. Times are seconds of one monotonic clock, rates are per second; all values are JSON's.

    rate None: not limited, as nothing has been refused yet. mark None: the rate that is refused is not known.
    grown: windows since base or mark; unrefused: sent since the last cut, and not refused (yet).
    taken_rate: sent and not refused lately. free_at: when the next request may go. series: seconds since began, and rate.
    """

    began: float
    at: float
    rate: float | None
    base: float = 0.0
    mark: float | None = None
    grown: float = 0.0
    unrefused: int = 0
    taken_rate: float = 0.0
    free_at: float = 0.0
    held_until: float = 0.0
    wanted_at: float | None = None
    cut_at: float | None = None
    refused_since: float | None = None
    requests: int = 0
    attempts: int = 0
    refused: int = 0
    retries: int = 0
    cuts: int = 0
    waited_s: float = 0.0
    series: list[list[float | None]] = field(default_factory=list)
    step_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        return asdict(self)


def state_of(data: Mapping[str, Any]) -> State:
    """Return the state that as_dict gave; raise TypeError or KeyError for anything else."""
    values = {entry.name: data[entry.name] for entry in fields(State)}
    for name, value in values.items():
        if isinstance(value, list) != (name == "series") or not isinstance(value, (int, float, list, type(None))):
            raise TypeError(f"{name} is {value!r}")
    return State(**values)


def begin(settings: Settings, now: float) -> State:
    """Return the state before the first request."""
    initial = settings.initial
    return State(began=now, at=now, rate=initial, base=initial or 0.0, free_at=now, step_s=settings.window_s)


@dataclass
class Pace:
    """The rule at work on a state. now: the state's clock; chance: a random number from 0 to 1."""

    settings: Settings
    state: State

    def wait_s(self, now: float) -> float:
        """Return how long the next request has to wait, 0 when it may go; to ask is to want it."""
        self._advance(now)
        state = self.state
        at_rate = state.free_at - now if state.rate is not None else 0.0
        if at_rate > 0:
            state.wanted_at = now
        return max(at_rate, state.held_until - now, 0.0)

    def held_s(self, now: float) -> float:
        """Return how long the server has asked to be left alone."""
        return max(self.state.held_until - now, 0.0)

    def take(self, now: float, chance: float, waited_s: float = 0.0, *, again: bool = False) -> None:
        """Let one request go that waited so long for its turn. again: it was refused before."""
        self._advance(now)
        state = self.state
        state.attempts += 1
        state.unrefused += 1
        state.requests += not again
        state.waited_s += waited_s
        state.taken_rate += 1 / self._memory_s
        if state.rate is not None:
            gap = (1 + JITTER * (2 * chance - 1)) / state.rate
            state.free_at = max(state.free_at, now - CREDIT_S) + gap

    def taken(self, now: float, pause_s: float = 0.0) -> None:
        """Note that a request was not refused. pause_s: how long the server asks to be left alone, all the same."""
        self._advance(now)
        self.state.refused_since = None
        self._hold(now, pause_s, 0.0)

    def refused(self, now: float, chance: float, asked_s: float | None = None, sent_at: float | None = None) -> None:
        """Note a refusal. asked_s: for how long the server asks to be left alone; sent_at: when the request was sent."""
        self._advance(now)
        state = self.state
        state.refused += 1
        state.refused_since = now if state.refused_since is None else state.refused_since
        state.taken_rate = max(0.0, state.taken_rate - 1 / self._memory_s)
        self._hold(now, asked_s or 0.0, chance)
        if state.cut_at is None or sent_at is None or sent_at > state.cut_at:
            state.unrefused = max(0, state.unrefused - 1)
        if not self._answers_to_the_last_cut(now, sent_at):
            self._cut(now)

    def may_retry(self) -> bool:
        """Count one more retry and tell whether the budget of all requests together allows it."""
        state = self.state
        allowed = state.retries < FREE_RETRIES + self.settings.max_retry_ratio * state.requests
        state.retries += allowed
        return allowed

    def backoff_s(self, attempts: int, chance: float) -> float:
        """Return how long a request that was refused so often waits by itself before it queues again.

        It doubles with each attempt, from half a window to a whole one at first: no request is to be refused again and
        again by a limit that all have met.
        """
        windows = min(2.0 ** min(attempts - 1, 10), MOST_BACKOFF_WINDOWS)
        return windows * self.settings.window_s * (0.5 + 0.5 * chance)

    def stalled(self, now: float) -> bool:
        """Tell whether nothing but refusals came for as long as a request may be tried again."""
        since = self.state.refused_since
        return since is not None and now - since >= self.settings.max_wait_s

    @property
    def _memory_s(self) -> float:
        """Return over how long the taken rate is measured."""
        rate = self.state.rate
        return max(self.settings.window_s, SAMPLES / rate if rate else 0.0)

    def _answers_to_the_last_cut(self, now: float, sent_at: float | None) -> bool:
        cut_at = self.state.cut_at
        if cut_at is None:
            return False
        return now - cut_at < self.settings.window_s or (sent_at is not None and sent_at <= cut_at)

    def _hold(self, now: float, asked_s: float, chance: float) -> None:
        if asked_s > 0:
            share, most_s = HOLD_JITTER
            until = now + min(asked_s, LONGEST_HOLD_S) + chance * min(asked_s * share, most_s)
            self.state.held_until = max(self.state.held_until, until)

    def _cut(self, now: float) -> None:
        """Lower the rate below what was taken lately, or to half.

        The mark is known only if something was taken at all: a server that is down says nothing of its limit.
        """
        state, settings = self.state, self.settings
        top = max(state.taken_rate, 1 / settings.window_s)
        if state.rate is not None:
            top = min(state.rate, max(state.taken_rate, state.rate * FLOOR / settings.decrease))
        known = state.unrefused > 0 and (state.rate is not None or now - state.began >= 3 * settings.window_s)
        state.mark = max(top, settings.min) if known else None
        state.base = self._within(settings.decrease * top)
        self._set(state.base, now)
        state.grown, state.unrefused, state.cut_at, state.cuts = 0.0, 0, now, state.cuts + 1
        self._note(now)

    def _advance(self, now: float) -> None:
        """Let the time since the last call pass: the rate grows, what was taken fades."""
        state = self.state
        passed = max(now - state.at, 0.0)
        state.taken_rate *= math.exp(-passed / self._memory_s)
        wanted_until = 0.0 if state.wanted_at is None else state.wanted_at + self.settings.window_s
        grew_s = min(now, wanted_until) - max(state.at, state.held_until)
        if state.rate is not None and grew_s > 0 and state.unrefused:
            least = PER_WINDOW["doubling" if state.mark is None else "growth"]
            state.grown += grew_s / max(self.settings.window_s, least / state.rate)
            self._set(self._grown(), now)
        state.at = max(now, state.at)
        last = state.series[-1][0] if state.series else None
        if last is None or now - state.began - last >= state.step_s:
            self._note(now)

    def _set(self, rate: float, now: float) -> None:
        """Change the rate; who waits for a turn waits for what is left of the gap at the new one."""
        state = self.state
        if state.rate is not None and state.free_at > now:
            state.free_at = now + (state.free_at - now) * state.rate / rate
        state.rate = rate

    def _grown(self) -> float:
        """Return the rate after the windows of growth so far."""
        state, settings = self.state, self.settings
        if state.mark is None:
            return self._within(state.base * 2 ** min(state.grown, DOUBLINGS))
        lost = 1 - settings.decrease
        back = lost / settings.increase  # in as many windows the rate is where it was refused
        return self._within(state.mark * (1 + lost * (state.grown / back - 1) ** 3))

    def _within(self, rate: float) -> float:
        return min(max(rate, self.settings.min), self.settings.max)

    def _note(self, now: float) -> None:
        """Add a point to the series; when it is full every second point goes, and points come half as often."""
        state = self.state
        rate = None if state.rate is None else round(state.rate, 4)
        state.series.append([round(now - state.began, 3), rate])
        if len(state.series) > POINTS:
            state.series, state.step_s = state.series[::2], state.step_s * 2
