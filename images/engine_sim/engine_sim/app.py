# SPDX-License-Identifier: MIT
"""What a role has to offer to the service that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from engine_sim.wire import Request, Responder


@dataclass(frozen=True)
class Route:
    """A handler; counted ones are inference requests, which faults of the process count."""

    handle: Callable[[Request, Responder], Awaitable[None]]
    counted: bool = False


Routes = dict[tuple[str, str], Route]


class App(Protocol):
    """One role."""

    routes: Routes

    def missing(self) -> str:
        """Return what the role lacks to work, empty when nothing."""

    def scrape(self) -> str:
        """Return the role's metrics as scrape text."""

    def heads(self) -> dict[str, int]:
        """Return how many requests each worker was handed; empty where there are no workers."""

    async def run(self) -> None:
        """Do what the role does in the background, until cancelled."""
