# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that may take long, each asked every so often in a thread of its own: what does not answer holds nobody up."""

from __future__ import annotations

import threading
from typing import Callable, Generic, TypeVar

T = TypeVar("T")
SILENT_AFTER = 2.0  # a question is told as unanswered once it has taken so many times as long as the pause between two


class Look(threading.Thread, Generic[T]):
    """Asks again and again until closed. ask's answer is taken once; every_s: from one question to the next."""

    def __init__(self, name: str, every_s: float, ask: Callable[[], T], clock: Callable[[], float]) -> None:
        super().__init__(name=name, daemon=True)
        self._every_s, self._ask, self._clock = every_s, ask, clock
        self._over = threading.Event()
        self._news: T | None = None
        self._fault = ""
        self._asked_at: float | None = None

    def run(self) -> None:
        """Ask until closed; whatever a question raises is told as its fault."""
        while not self._over.is_set():
            self._asked_at = began = self._clock()
            try:
                self._news, self._fault = self._ask(), ""
            except Exception as exc:  # samples go on without what cannot be told, and say why
                self._fault = words(exc)
            self._asked_at = None
            self._over.wait(max(0.0, began + self._every_s - self._clock()))

    def take(self) -> T | None:
        """Return the last answer if it was not taken yet."""
        news, self._news = self._news, None
        return news

    @property
    def fault(self) -> str:
        """Return why there is no answer, "" where there is one."""
        asked_at = self._asked_at
        if asked_at is not None and self._clock() - asked_at > SILENT_AFTER * self._every_s:
            return self._fault or "it does not answer"
        return self._fault

    def close(self) -> None:
        """Ask no more; a question that has no answer yet is left alone."""
        self._over.set()


def words(exc: Exception) -> str:
    """Return an exception in one line."""
    text = " ".join(str(exc).split())[:300]
    return text if type(exc).__name__ == "CellError" else f"{type(exc).__name__}: {text}".rstrip(": ")


class Faults:
    """What could not be read, told when it is new: a fault that lasts is in one line only."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def new(self, now: dict[str, str]) -> dict[str, str]:
        """Return those of the faults (name -> why) that were not there at the last question."""
        found = {name: why for name, why in now.items() if self._told.get(name) != why}
        self._told = dict(now)
        return found
