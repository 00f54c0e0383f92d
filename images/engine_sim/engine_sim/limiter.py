# SPDX-License-Identifier: MIT
"""A limit on requests per second: a bucket of tokens that fills at that rate."""

from __future__ import annotations

from collections.abc import Callable


class TokenBucket:
    """Let `rate` requests a second pass, `burst` of them at once; `clock` counts seconds."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = max(1.0, burst)
        self._clock = clock
        self._tokens = self._burst
        self._filled_at = clock()

    def wait_s(self) -> float:
        """Take a token and return 0, or return how long it takes until there is one."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate if self._rate > 0 else 3600.0
