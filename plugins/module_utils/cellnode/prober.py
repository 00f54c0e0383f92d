# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking one container again and again whether it is ready, at a pace that fits how long it has been starting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .context import Clock
from .errors import CellError
from .probes import Answer

FLOOR_S, CEILING_S = 0.020, 0.250
SHARE = 1 / 200  # of its age that a container may be ready without our knowing
DEAR = ("command", "container", "log")  # kinds of check that cost the container or the engine work

Gate = AbstractContextManager[Any]


def gate(most: int) -> Gate:
    """Return what lets at most so many through at a time, any number when most is 0."""
    return threading.Semaphore(most) if most else nullcontext()


def pause_s(kind: str, age_s: float, took_s: float, longest_s: float = CEILING_S) -> float:
    """Return how long to wait after a probe that took took_s of a container that has been starting for age_s.

    A probe that costs work is followed by a pause as long, so that the container is not kept busy; waiting for an
    answer over the network costs nothing, and is followed by CEILING_S at most.
    """
    pace = max(FLOOR_S, min(age_s * SHARE, longest_s, CEILING_S))
    return max(pace, took_s if kind in DEAR else min(took_s, CEILING_S))


class Prober(threading.Thread):
    """The probes of one container, one after another, until one succeeds or it is told to stop.

    ask: one probe; pause_s: the pause after one that took so many seconds; tell: called with the words of the one that succeeds;
    gate: held while a probe is asking.
    """

    def __init__(
        self,
        ask: Callable[[], Answer],
        pause_s: Callable[[float], float],
        tell: Callable[[str], None],
        clock: Clock,
        gate: Gate,
    ) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._pause_s = pause_s
        self._tell = tell
        self._clock = clock
        self._gate = gate
        self.done = threading.Event()
        self.answered = threading.Event()
        self.answer = Answer(False, "not probed yet")

    def run(self) -> None:
        """Probe until ready."""
        while not self.done.is_set():
            self.done.wait(self._pause_s(self._probe()))

    def _probe(self) -> float:
        """Ask once and return how long that took, without the wait for our turn."""
        with self._gate:
            if self.done.is_set():
                return 0.0
            began = self._clock.monotonic()
            self.answer = self._once()
            took = self._clock.monotonic() - began
        self.answered.set()
        if self.answer.ok:
            self.done.set()
            self._tell(self.answer.detail)
        return took

    def _once(self) -> Answer:
        try:
            return self._ask()
        except (CellError, OSError, ValueError) as exc:
            return Answer(False, str(exc))
