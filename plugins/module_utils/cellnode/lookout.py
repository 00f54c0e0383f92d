# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that should run: tell at once which one died or turned unhealthy."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from . import lifetime, store
from .context import Clock, Context
from .engine import Engine, connect
from .errors import CellError
from .objects import Container, by_service, containers, death, of_case, parse_record, started_at
from .signs import LOOK_S, Sign, Signs

ENGINE_LIMIT_S = 10.0
AGAIN = "was started again with its engine"


class Lookout:
    """The services that should run. The engine's list is asked at first and every LOOK_S; its events lie between.

    A death of a moment ago is told to the caller at once, as far as its event goes; the answer comes when the engine has put
    the container away, which takes it tens of milliseconds.

    wake: set when there is an event. life: of the engine under which they were started (see lifetime), "" when not known.
    """

    def __init__(self, ctx: Context, wanted: set[str], wake: threading.Event, life: str = "") -> None:
        self._clock, self._emit = ctx.clock, ctx.emit
        self._began = ctx.clock.unix()
        self._life = life
        self._wanted = wanted
        self._wake = wake
        self._engine, self._labels = connect(ctx.environ, ENGINE_LIMIT_S), of_case(ctx.needed_run)
        self._seen: deque[Sign] = deque()
        self._known: set[str] = set()
        self._signs = Signs(self._engine, self._labels, self._notice, ctx.clock)
        self._next_look = ctx.clock.monotonic()

    def _notice(self, sign: Sign) -> None:
        if sign.service in self._wanted:
            self._seen.append(sign)
            self._wake.set()

    def trouble(self, at_once: bool = False) -> dict[str, Any]:
        """Return {died: [...], unhealthy: [...]} as far as it is known now. at_once: the engine's list is asked in any case."""
        if at_once or self._clock.monotonic() >= self._next_look:
            self._next_look = self._clock.monotonic() + LOOK_S
            found = containers(self._engine, self._labels)
            self._known |= {container.id for container in found}
            answer = look(self._engine, found, self._wanted, self._clock)
            self._find_resurrected(found, answer)
            if answer["died"] or answer["unhealthy"]:
                return answer
        answer = {"died": [], "unhealthy": []}
        told: set[str] = set()
        while self._seen:
            sign = self._seen.popleft()
            if sign.container not in told:
                told.add(sign.container)
                self._tell_at_once(sign)
                self._judge(sign, answer)
        return answer

    def _find_resurrected(self, found: tuple[Container, ...], answer: dict[str, Any]) -> None:
        """Tell of services that were started by another engine process than the known one: they had ended with that."""
        life = lifetime.life(self._engine.path)
        if not lifetime.differ(self._life, life):
            return
        since = lifetime.began(life, self._clock)
        for container in found:
            if container.service in self._wanted and container.state == "running" and self._started(container) >= since:
                answer["unhealthy"].append(_sick(container.service, container, "service_died", AGAIN))

    def _started(self, container: Container) -> float:
        """Return when a container was started; 0.0 for one that has gone meanwhile, which the next look tells."""
        try:
            return started_at(self._engine.inspect(container.id)) or 0.0
        except CellError as exc:
            if exc.kind != "container_gone":
                raise
            return 0.0

    def _tell_at_once(self, sign: Sign) -> None:
        """Tell of a death since this lookout began; an earlier one may be that of a life before."""
        if sign.dead and sign.t >= self._began and sign.container in self._known:
            self._emit({"service": sign.service, "exit_code": sign.exit_code})

    def _judge(self, sign: Sign, answer: dict[str, Any]) -> None:
        """Put the container of an event into the answer when it is not as it should be now."""
        try:
            found = parse_record(self._engine.inspect(sign.container))
        except CellError as exc:
            if exc.kind != "container_gone":
                raise
            # Events of the last moments may be of an earlier start of the same case, whose containers were removed.
            if sign.container in self._known:
                answer["died"].append(gone(sign.service))
        else:
            judge(self._engine, sign.service, found, answer, self._clock)

    def listen(self) -> None:
        """Have events told from now on, those of the last moments included."""
        if not self._signs.is_alive():
            self._signs.start()

    def close(self) -> None:
        """End the stream of events."""
        if self._signs.is_alive():
            self._signs.close()


def look(engine: Engine, shown: tuple[Container, ...], wanted: set[str], clock: Clock) -> dict[str, Any]:
    """Return which of the wanted services do not run, are unhealthy, or are frozen. shown: the engine's list."""
    found = by_service(shown)
    answer: dict[str, Any] = {"died": [], "unhealthy": []}
    for service in sorted(wanted):
        if service not in found:
            answer["died"].append(gone(service))
        for container in found.get(service, []):
            judge(engine, service, container, answer, clock)
    return answer


def judge(engine: Engine, service: str, container: Container, answer: dict[str, Any], clock: Clock) -> None:
    """Put a container that is not as it should be into the answer {died, unhealthy}."""
    if container.state not in ("running", "paused", "restarting"):
        end = death(engine, container, clock)
        end = store.blamed(end.engine_folder, end)
        kind = "service_died" if end.error_kind in ("container_exited", "container_gone") else end.error_kind
        answer["died"].append({"service": service, "container": container.name, **end.as_dict(), "error_kind": kind})
    elif container.state == "restarting":
        answer["unhealthy"].append(_sick(service, container, "service_flapping", "is restarted by the engine"))
    elif container.state == "paused":
        answer["unhealthy"].append(_sick(service, container, "service_unhealthy", "is paused"))
    elif container.health == "unhealthy":
        answer["unhealthy"].append(_sick(service, container, "service_unhealthy", "is unhealthy"))


def _sick(service: str, container: Container, kind: str, words: str) -> dict[str, Any]:
    text = f"container {container.name} {words}"
    return {"service": service, "container": container.name, "error_kind": kind, "detail": text}


def gone(service: str) -> dict[str, Any]:
    """Return the death of a service whose container was removed."""
    record: dict[str, Any] = {"service": service, "container": "", "error_kind": "container_gone", "exit_code": None}
    record.update(detail="its container does not exist any more", oom=False, log_tail=[], finished_unix=None)
    return record
