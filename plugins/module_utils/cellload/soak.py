# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The book of a soak: hours of load in bounded memory and bounded files, with a line of figures every ten seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

from .bounded import MIB, SomeRequests, WaitingLines
from .config import LoadConfig
from .files import REQUESTS, WINDOWS
from .histogram import RELATIVE_ERROR, Histogram
from .loop import Load
from .totals import Totals, Window

WINDOW_S = 10.0
ROOM = 64 * MIB


class SoakBook:
    """Keeps a soak's requests as counts and histograms, by windows and in total.

    window_s: the length of a window; room: the most bytes of requests.jsonl.
    """

    def __init__(self, folder: Path, config: LoadConfig, window_s: float = WINDOW_S, room: int = ROOM) -> None:
        self._requests = SomeRequests(folder / REQUESTS, room)
        self._windows = WaitingLines(folder / WINDOWS)
        self._window_s = window_s
        self._window = Window()
        self._totals = Totals(config["goodput"])
        self._lag = Histogram()
        self._load: Load | None = None
        self._began: dict[str, float] = {}
        self._sent = 0

    def keep(self, record: dict[str, Any]) -> None:
        """Count the record, and write it if there is room."""
        self._window.add(record)
        self._totals.add(record)
        self._requests.append(record)

    def note_lag(self, lag_ms: float) -> None:
        """Count a late wake-up."""
        self._lag.add([lag_ms])

    def attend(self, load: Load) -> Coroutine[Any, Any, None]:
        """Begin the first window; return what writes each window that is over, but for the last, which closing writes."""
        self._load, self._began = load, _now(load)
        return self._write_windows(load)

    async def _write_windows(self, load: Load) -> None:
        loop = asyncio.get_running_loop()
        while True:
            over = (self._began["s"] // self._window_s + 1) * self._window_s
            await asyncio.sleep(max(0.0, over - load.now()))
            if load.now() < over:
                continue  # a timer may fire a little early
            self._end_window(load)
            await loop.run_in_executor(None, self._windows.file.sync)

    def _end_window(self, load: Load) -> None:
        began, ended, window = self._began, _now(load), self._window
        burst = load.config.burst
        self._windows.append(
            {
                "t0": began["t"],
                "t1": ended["t"],
                "b0": began["b"],
                "b1": ended["b"],
                "sent": load.sent - self._sent,
                **window.as_json(),
                "burst": burst is not None and burst.touches(began["s"], ended["s"]),
            }
        )
        self._totals.window.merge(window)
        self._began, self._sent, self._window = ended, load.sent, Window()

    def figures(self) -> dict[str, Any]:
        """Return the figures of all requests, whether they are in requests.jsonl or not."""
        return self._totals.figures()

    def lag(self) -> dict[str, float] | None:
        """Return how late the client woke up."""
        return self._lag.lateness()

    def files(self) -> dict[str, Any]:
        """Return lines and digests of both files."""
        return {"requests": self._requests.facts(), "windows": self._windows.file.facts()}

    def soak_facts(self, load: Load) -> dict[str, Any]:
        """Return how exact the percentiles are and what the files leave out."""
        return {
            "duration_s": load.config.soak_s,
            "window_s": self._window_s,
            "percentile_relative_error": RELATIVE_ERROR,
            "left_out": {**self._requests.left_out, "windows": self._windows.lost},
            "pauses": load.pauses,
        }

    def __enter__(self) -> SoakBook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._load is not None:
            self._end_window(self._load)
        self._windows.file.close()
        self._requests.close()


def _now(load: Load) -> dict[str, float]:
    """Return the time in three ways: Unix, since the machine was started, and since the load was; in seconds."""
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return {"t": round(time.time(), 3), "b": round(boot, 3), "s": load.now()}
