# SPDX-License-Identifier: MIT
"""The state a service is in, or pretends to be in: starting, ready, hung, dead behind a healthy face, stopping."""

from __future__ import annotations

from collections.abc import Callable

from engine_sim.faults import Drawn


class Condition:
    """Decide what a service is able to do now; `clock` counts seconds, `die` ends the process (kind, exit code)."""

    def __init__(self, faults: Drawn, clock: Callable[[], float], die: Callable[[str, int], None]) -> None:
        self._faults = faults
        self._clock = clock
        self._die = die
        self._started = clock()
        self.requests = 0
        self.stopping = False

    @property
    def unready(self) -> str:
        """Return why the service takes no request yet or any more; empty when it does."""
        if self.stopping:
            return "stopping"
        if self._faults.on("never_healthy") or self.uptime_s < self._faults.amount("slow_start"):
            return "starting"
        return ""

    @property
    def uptime_s(self) -> float:
        """Return the seconds since the start."""
        return self._clock() - self._started

    @property
    def hung(self) -> bool:
        """Say whether nothing at all is answered any more."""
        hang = self._faults.get("hang")
        return hang is not None and self.requests >= hang.amount

    @property
    def dead(self) -> str:
        """Return what requests meet although /health is 200: `hang`, `500`, or empty while the engine lives."""
        dead = self._faults.get("engine_dead")
        return dead.word if dead is not None and self.requests >= dead.second else ""

    def count_request(self) -> None:
        """Count a request that is taken; one too many ends the process."""
        crash = self._faults.get("crash_after_requests")
        if crash is not None and self.requests >= crash.amount:
            self.crash(int(crash.second))
        self.requests += 1

    def crash(self, code: int) -> None:
        """End the process as a crash does."""
        self._die(self._faults.word("crash_kind") or "engine", code)
