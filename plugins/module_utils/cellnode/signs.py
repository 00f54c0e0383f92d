# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a case's containers, told by the engine as it happens, and by a slow look at its list as the net."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from .context import Clock
from .dial import Hold
from .engine import Engine
from .errors import CellError
from .objects import SERVICE, Container, containers

KINDS = ["die", "oom", "destroy", "health_status", "pause"]
BEFORE_S = 1.0  # what happened so long before the stream began is told as well
SILENCE_S = 3600.0
FIRST_PAUSE_S, LAST_PAUSE_S = 0.05, 1.0
LOOK_S = 2.0
LIST_LIMIT_S = 10.0
PATIENCE_S = 10.0
LEAVE_LIMIT_S = 1.0


@dataclass(frozen=True)
class Sign:
    """One event of a container. t: seconds since 1970; exit_code: of a death; oom: the kernel killed for memory."""

    container: str
    name: str
    service: str
    action: str
    t: float
    exit_code: int | None = None
    oom: bool = False

    @property
    def dead(self) -> bool:
        """Return whether the container has ended."""
        return self.action == "die"


def parse(event: Mapping[str, Any]) -> Sign:
    """Return an event of the engine; its action without what follows the colon in `health_status: healthy`."""
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    code = str(attributes.get("exitCode", ""))
    return Sign(
        container=str(actor.get("ID") or event.get("id") or ""),
        name=str(attributes.get("name") or ""),
        service=str(attributes.get(SERVICE) or ""),
        action=str(event.get("Action") or event.get("status") or "").partition(":")[0],
        t=int(event.get("timeNano") or 0) / 1e9 or float(event.get("time") or 0),
        exit_code=int(code) if code.isdigit() else None,
    )


class Signs(threading.Thread):
    """The engine's events of the containers with these labels, each told as it comes; a broken stream is taken up again.

    A death tells of memory when the engine told of it before.
    """

    def __init__(self, engine: Engine, labels: list[str], tell: Callable[[Sign], None], clock: Clock) -> None:
        super().__init__(daemon=True)
        self._engine = engine
        self._labels = labels
        self._tell = tell
        self._since = clock.unix() - BEFORE_S
        self._killed: set[str] = set()
        self._hold = Hold()
        self._over = threading.Event()

    def run(self) -> None:
        """Tell events until closed."""
        pause = FIRST_PAUSE_S
        while not self._over.is_set():
            if self._listen():
                pause = FIRST_PAUSE_S
            self._over.wait(pause)
            pause = min(pause * 2, LAST_PAUSE_S)

    def _listen(self) -> bool:
        """Tell events until the stream breaks; return whether one was new. The engine tells again what we missed."""
        before = self._since
        with suppress(CellError, OSError, ValueError):
            for event in self._engine.events(before, None, self._labels, SILENCE_S, KINDS, self._hold):
                self._heard(parse(event))
        return self._since > before

    def _heard(self, sign: Sign) -> None:
        self._since = max(self._since, sign.t)
        if sign.action == "oom":
            self._killed.add(sign.container)
            return
        oom = sign.dead and sign.container in self._killed
        if sign.dead:
            self._killed.discard(sign.container)
        self._tell(replace(sign, oom=oom))

    def close(self) -> None:
        """End the stream and the thread."""
        self._over.set()
        self._hold.break_off()
        self.join(LEAVE_LIMIT_S)


class Net(threading.Thread):
    """The engine's list, told every LOOK_S; fault is told when the engine has not answered for PATIENCE_S."""

    def __init__(
        self,
        engine: Engine,
        labels: list[str],
        tell: Callable[[tuple[Container, ...]], None],
        fault: Callable[[CellError], None],
        clock: Clock,
    ) -> None:
        super().__init__(daemon=True)
        self._engine = engine
        self._labels = labels
        self._tell = tell
        self._fault = fault
        self._clock = clock
        self._silent_since: float | None = None
        self._over = threading.Event()

    def run(self) -> None:
        """Look until closed."""
        while not self._over.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        began = self._clock.monotonic()
        try:
            found = containers(self._engine, self._labels, LIST_LIMIT_S)
        except CellError as exc:
            self._silent_since = began if self._silent_since is None else self._silent_since
            if self._clock.monotonic() - self._silent_since >= PATIENCE_S and not self._over.is_set():
                self._fault(exc)
        else:
            self._silent_since = None
            self._tell(found)

    def close(self) -> None:
        """End the thread; a look in flight ends by its own time limit."""
        self._over.set()
        self.join(LEAVE_LIMIT_S)
