# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container each service is: by its label, from the engine's list now and then and from its events in between.

All of it happens in a thread of its own, and what was known last stays known while the engine does not answer.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..context import Clock
from ..dial import Hold
from ..engine import Engine
from ..errors import CellError
from ..objects import Container, by_service, containers, started_at
from .looks import words

KINDS = ["start", "die", "destroy", "pause", "unpause", "rename"]
LIMIT_S = 5.0
SILENCE_S = 15.0  # without an event for so long the list is asked
BEFORE_S = 1.0  # what happened so long before the stream began is told as well
FIRST_PAUSE_S, LAST_PAUSE_S = 0.2, 5.0
GONE = "gone"


@dataclass(frozen=True)
class Box:
    """A service's container. pid: its first process, 0 where it has none; started: unix time of its last start.

    record: what the engine tells of it in full.
    """

    id: str
    state: str
    pid: int = 0
    started: float | None = None
    record: dict[str, Any] = field(default_factory=dict, repr=False)


class Boxes(threading.Thread):
    """The services' containers as they are known now. fault: why that may be old, "" where it is not.

    recorded: the services whose container is kept with its record. restarts: starts after the first that was seen.
    """

    def __init__(
        self, engine: Engine, labels: list[str], services: Sequence[str], recorded: frozenset[str], clock: Clock
    ) -> None:
        super().__init__(name="boxes", daemon=True)
        self._engine, self._labels, self._services, self._clock = engine, labels, services, clock
        self._recorded = recorded
        self._doubted: set[str] = set()
        self._hold = Hold()
        self._over = threading.Event()
        self.known: dict[str, Box] = {}
        self.restarts: dict[str, int] = dict.fromkeys(services, 0)
        self.engine_root = ""
        self.fault = "the engine has not answered yet"

    def run(self) -> None:
        """Ask and listen until closed."""
        pause = FIRST_PAUSE_S
        while not self._over.is_set():
            since = self._clock.unix() - BEFORE_S
            try:
                self._look()
            except Exception as exc:  # whatever the engine answers: samples of what is known go on
                self.fault = words(exc)
                pause = min(2 * pause, LAST_PAUSE_S)
            else:
                self.fault, pause = "", FIRST_PAUSE_S
                self._listen(since)
            self._over.wait(pause)

    def close(self) -> None:
        """End the stream of events and the thread."""
        self._over.set()
        self._hold.break_off()

    def doubt(self, box: Box) -> None:
        """Have a container inspected again that does not look as it is known."""
        self._doubted.add(box.id)

    def _listen(self, since: float) -> None:
        """Look again at each event, until there is none for a while or the stream breaks; the next look tells why."""
        with suppress(CellError, OSError, ValueError):
            for event in self._engine.events(since, None, self._labels, SILENCE_S, KINDS, self._hold):
                self._doubted.add(str((event.get("Actor") or {}).get("ID") or ""))
                self._look()

    def _look(self) -> None:
        """Take in the engine's list; what differs from what is known is inspected."""
        found = by_service(containers(self._engine, self._labels, LIMIT_S))
        self.engine_root = self.engine_root or str(self._engine.info().get("DockerRootDir") or "")
        doubted, self._doubted = self._doubted, set()
        for service in self._services:
            shown, known = _chosen(found.get(service, [])), self.known.get(service)
            if shown is None:
                self._note(service, Box("", GONE))
            elif known is None or (known.id, known.state) != (shown.id, shown.state) or shown.id in doubted:
                self._inspect(service, shown.id)

    def _inspect(self, service: str, container: str) -> None:
        try:
            record = self._engine.inspect(container, LIMIT_S)
        except CellError as exc:
            if exc.kind != "container_gone":
                raise
            return self._note(service, Box("", GONE))
        state = record.get("State") or {}
        found = Box(
            id=container,
            state=str(state.get("Status") or ""),
            pid=int(state.get("Pid") or 0),
            started=started_at(record),
            record=record if service in self._recorded else {},
        )
        return self._note(service, found)

    def _note(self, service: str, box: Box) -> None:
        """Take in a service's container; another start than the known one is a restart."""
        known = self.known.get(service)
        if known is not None and box.started is None:
            box = replace(box, started=known.started)  # so that the next start is seen as another one
        if known is not None and known.started not in (None, box.started):
            self.restarts[service] += 1
        self.known = {**self.known, service: box}


def _chosen(found: list[Container]) -> Container | None:
    """Return the container that stands for a service: one that runs, else the latest."""
    return max(found, key=lambda one: (one.state == "running", one.created), default=None)
