# SPDX-License-Identifier: MIT
"""What an engine never gives back: memory and descriptors, for each request and for each second."""

from __future__ import annotations

import asyncio
import logging
import os

from engine_sim.faults import Drawn

logger = logging.getLogger("engine_sim.leaks")

TICK_S = 0.1


class Leaks:
    """The memory and descriptors leaked so far, and how they grow."""

    def __init__(self, faults: Drawn) -> None:
        self._faults = faults
        self._memory: list[bytes] = []
        self._descriptors: list[int] = []
        self._owed = {"leak_memory_per_s": 0.0, "leak_fds_per_s": 0.0}

    def after_request(self) -> None:
        """Leak what one request leaks."""
        self._keep_memory(int(self._faults.amount("leak_memory_per_request")))
        self._open_descriptors(int(self._faults.amount("leak_fds_per_request")))

    async def run(self) -> None:
        """Leak what time leaks, until cancelled; return at once when it leaks nothing."""
        while any(self._faults.on(name) for name in self._owed):
            await asyncio.sleep(TICK_S)
            self._keep_memory(self._due("leak_memory_per_s"))
            self._open_descriptors(self._due("leak_fds_per_s"))

    def close(self) -> None:
        """Give everything back."""
        self._memory.clear()
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _due(self, name: str) -> int:
        """Return what a tick leaks in whole units; fractions are owed to the next."""
        whole, self._owed[name] = divmod(self._owed[name] + self._faults.amount(name) * TICK_S, 1.0)
        return int(whole)

    def _keep_memory(self, size: int) -> None:
        """Keep size bytes; they are written to, so they are resident."""
        if size:
            self._memory.append(b"\x5a" * size)

    def _open_descriptors(self, count: int) -> None:
        """Leave count descriptors open, or as many as the limit lets."""
        try:
            for _ in range(count):
                self._descriptors.append(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            logger.error("cannot open a cache file: %s (%d held)", error.strerror, len(self._descriptors))
