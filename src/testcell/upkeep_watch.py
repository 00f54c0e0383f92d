# SPDX-License-Identifier: MIT

"""Maintenance again and again: when the next round is due is known from the last one, so a restart changes nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A clock that is set back lets nobody wait for longer than the interval.
Clock = Callable[[], float]


class Stop:
    """Whether somebody has asked for an end, and by which signal; a wait ends at once then."""

    def __init__(self) -> None:
        self.signal = 0
        self._asked = threading.Event()

    def __call__(self) -> bool:
        """Return whether an end was asked for."""
        return self._asked.is_set()

    def ask(self, number: int) -> None:
        """Ask for an end."""
        self.signal = self.signal or number
        self._asked.set()

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until somebody asks for an end."""
        self._asked.wait(seconds)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let signals ask for an end, where they would end the process."""

        def handle(number: int, _frame: FrameType | None) -> None:
            self.ask(number)

        before = {number: signal.signal(number, handle) for number in HANDLED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def due_in(last: float | None, interval_s: float, now: float) -> float:
    """Return in how many seconds the next round is due, 0 for at once. last: when the last one began, None for never."""
    if last is None:
        return 0.0
    return min(interval_s, max(0.0, last + interval_s - now))


def watch(
    once: Callable[[], bool],
    last: Callable[[], float | None],
    *,
    interval_s: float,
    rounds: int,
    clock: Clock,
    stop: Stop,
    wait: Callable[[float], None],
) -> None:
    """Carry out a round each time that one is due, until somebody asks for an end. rounds: at most so many, 0 for no limit.

    once: returns whether there was a round; what came to nothing is tried again after the interval, and is none. last: when the
    newest round began, by whatever process, None where that is not known.
    """
    made = 0
    tried: float | None = None
    while not stop():
        left = due_in(max((at for at in (last(), tried) if at is not None), default=None), interval_s, clock())
        if left > 0:
            wait(left)
            continue
        tried = clock()
        made += once()
        if rounds and made == rounds:
            return
