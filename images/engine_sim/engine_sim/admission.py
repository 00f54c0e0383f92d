# SPDX-License-Identifier: MIT
"""How many requests are worked on at once, and who waits for a place in which order."""

from __future__ import annotations

import asyncio
from collections import deque


class QueueFullError(Exception):
    """Nobody may wait any more."""


class Admission:
    """Give out places to work; whoever finds none waits in the order of arrival."""

    def __init__(self, places: int, max_queue: int) -> None:
        self._places = places
        self._max_queue = max_queue
        self._queue: deque[asyncio.Future[None]] = deque()
        self.running = 0

    @property
    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._queue)

    async def enter(self) -> None:
        """Return once a place is held; QueueFullError when too many wait already."""
        if self.running < self._places:
            self.running += 1
            return
        if len(self._queue) >= self._max_queue:
            raise QueueFullError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._give_up(turn)
            raise

    def leave(self) -> None:
        """Give the place to the first who waits, or back."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        """Take a cancelled waiter out; a place it had just been given goes to the next."""
        if turn in self._queue:
            self._queue.remove(turn)
        elif not turn.cancelled():
            self.leave()
