# SPDX-License-Identifier: MIT
"""What an engine never gives back: memory and descriptors for each request and for each second, and threads."""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import threading
import time
from collections.abc import Callable

from engine_sim.faults import Drawn

logger = logging.getLogger("engine_sim.leaks")

TICK_S = 0.1
ARENA_BYTES = 16 << 20


class Hoard:
    """Resident memory that only grows, exact to a page: what the allocator adds to small pieces would be a leak too."""

    def __init__(self) -> None:
        self._arenas: list[mmap.mmap] = []
        self._size = 0
        self._touched = 0
        self._room = 0

    def grow(self, size: int) -> None:
        """Keep size more bytes; a page is resident once its last byte is owed."""
        self._size += size
        while self._touched + mmap.PAGESIZE <= self._size:
            if not self._room:
                self._reserve()
            arena = self._arenas[-1]
            arena[len(arena) - self._room] = 0x5A
            self._room -= mmap.PAGESIZE
            self._touched += mmap.PAGESIZE

    def _reserve(self) -> None:
        """Take address space, of which nothing is resident yet; huge pages would make it so in leaps."""
        arena = mmap.mmap(-1, ARENA_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        arena.madvise(mmap.MADV_NOHUGEPAGE)
        self._arenas.append(arena)
        self._room = ARENA_BYTES

    def clear(self) -> None:
        """Give everything back."""
        while self._arenas:
            self._arenas.pop().close()
        self._size = self._touched = self._room = 0


class Leaks:
    """What has leaked so far, and how it grows; `clock` counts seconds."""

    def __init__(self, faults: Drawn, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults = faults
        self._clock = clock
        self._memory = Hoard()
        self._descriptors: list[int] = []
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._leaked = dict.fromkeys(("leak_memory_per_s", "leak_fds_per_s", "leak_threads_per_s"), 0)

    def after_request(self) -> None:
        """Leak what one request leaks."""
        self._memory.grow(int(self._faults.amount("leak_memory_per_request")))
        self._open_descriptors(int(self._faults.amount("leak_fds_per_request")))

    async def run(self) -> None:
        """Leak what time leaks, until cancelled; return at once when it leaks nothing."""
        began = self._clock()
        while any(self._faults.on(name) for name in self._leaked):
            await asyncio.sleep(TICK_S)
            self.leak(self._clock() - began)

    def leak(self, seconds: float) -> None:
        """Leak what is due after so many seconds, less what has leaked before: a late tick loses nothing."""
        self._memory.grow(self._due("leak_memory_per_s", seconds))
        self._open_descriptors(self._due("leak_fds_per_s", seconds))
        self._start_threads(self._due("leak_threads_per_s", seconds))

    def close(self) -> None:
        """Give everything back."""
        self._memory.clear()
        while self._descriptors:
            os.close(self._descriptors.pop())
        self._over.set()
        while self._threads:
            self._threads.pop().join()

    def _due(self, name: str, seconds: float) -> int:
        """Return the whole units that are due now."""
        due = int(self._faults.amount(name) * seconds) - self._leaked[name]
        self._leaked[name] += due
        return due

    def _open_descriptors(self, count: int) -> None:
        """Leave count descriptors open, or as many as the limit lets."""
        try:
            for _ in range(count):
                self._descriptors.append(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            logger.error("cannot open a cache file: %s (%d held)", error.strerror, len(self._descriptors))

    def _start_threads(self, count: int) -> None:
        """Leave count threads waiting, or as many as the limit lets."""
        try:
            for _ in range(count):
                thread = threading.Thread(target=self._over.wait, daemon=True)
                thread.start()
                self._threads.append(thread)
        except RuntimeError as error:
            logger.error("cannot start a worker thread: %s (%d held)", error, len(self._threads))
