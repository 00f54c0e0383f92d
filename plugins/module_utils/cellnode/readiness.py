# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say when services can really answer: states and probes on the node, every few tens of milliseconds at first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from . import probes
from .context import Clock, Context
from .engine import Engine, connect
from .errors import CellError
from .objects import Container, Death, by_service, containers, death, of_case, unix_time
from .params import number
from .probes import Answer, Check, Memory
from .request import mapping, mappings

FLOOR_S, CEILING_S, GROWTH = 0.020, 0.250, 1.4
LAST_PROBE_S = 0.3
ENDED = ("exited", "dead", "removing")
_WAITING = {"created": "not started yet", "paused": "paused"}


@dataclass(frozen=True)
class State:
    """How a service stands: starting, ready or failed, and why."""

    state: str
    detail: str = ""
    error_kind: str = ""
    since_s: float = 0.0
    exit_code: int | None = None
    oom: bool = False
    log_tail: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "state": self.state,
            "since_s": round(max(0.0, self.since_s), 3),
            "detail": self.detail,
            "error_kind": self.error_kind,
            "exit_code": self.exit_code,
            "oom": self.oom,
            "log_tail": list(self.log_tail),
        }


STARTING = State("starting")
_WHILE_RUNNING = {"completed": State("starting", "not completed yet"), "running": State("ready", "running")}


def from_death(end: Death) -> State:
    """Return the failed state of a service whose container ended."""
    return State("failed", end.detail, end.error_kind, 0.0, end.exit_code, end.oom, end.log_tail)


def before_probe(check: Check, found: Container, end: Callable[[], Death]) -> State | None:
    """Return the state that the container's own state decides, or None when a probe must. end: asked if it ended."""
    if found.state in ENDED:
        ending = end()
        if check.kind == "completed" and ending.exit_code == 0 and not ending.oom:
            return State("ready", "completed with exit code 0", exit_code=0)
        return from_death(ending)
    if found.state in _WAITING:
        return State("starting", _WAITING[found.state])
    if found.state == "restarting":
        return State("failed", f"container {found.name} is restarted by the engine", "service_flapping")
    if check.kind in _WHILE_RUNNING:
        return _WHILE_RUNNING[check.kind]
    return _by_health(found) if check.kind == "container" else None


def _by_health(found: Container) -> State | None:
    """Return the state that the engine's health check decides; None while it has not decided."""
    if found.health == "unhealthy":
        return State("failed", f"container {found.name} is unhealthy", "service_unhealthy")
    return State("ready", found.health or "running") if found.health in ("", "healthy") else None


def combined(states: list[State]) -> State:
    """Return the state of a service of several containers: the first failed one, else the first that still starts."""
    for wanted in ("failed", "starting"):
        for state in states:
            if state.state == wanted:
                return state
    return states[0]


def changed(states: Mapping[str, State], known: Mapping[str, Any]) -> bool:
    """Return whether a service's state differs from what the caller knows; unknown services count as starting."""
    return any(state.state != known.get(service, "starting") for service, state in states.items())


class Prober(threading.Thread):
    """The probes of one container, one after another with a growing pause, until one succeeds or it is told to stop."""

    def __init__(self, ask: Callable[[], Answer], clock: Clock, wake: threading.Event) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._clock = clock
        self._wake = wake
        self.done = threading.Event()
        self.answered = threading.Event()
        self.answer = Answer(False, "not probed yet")

    def run(self) -> None:
        """Probe until ready; a probe that takes long is followed by a pause as long, so a service is not kept busy."""
        pause = FLOOR_S
        while not self.done.is_set():
            began = self._clock.monotonic()
            self.answer = self._once()
            self.answered.set()
            if self.answer.ok:
                self.done.set()
                self._wake.set()
            self.done.wait(max(pause, min(self._clock.monotonic() - began, 1.0)))
            pause = min(pause * GROWTH, CEILING_S)

    def _once(self) -> Answer:
        try:
            return self._ask()
        except CellError as exc:
            return Answer(False, exc.message)


@dataclass
class Board:
    """The checks of one request and what is known of their containers."""

    engine: Engine
    labels: list[str]
    checks: list[Check]
    clock: Clock
    known: Mapping[str, Any] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    probers: dict[str, Prober] = field(default_factory=dict)
    ends: dict[str, Death] = field(default_factory=dict)
    wake: threading.Event = field(default_factory=threading.Event)

    def look(self) -> dict[str, State]:
        """Return the state of every checked service as of now."""
        found = by_service(containers(self.engine, self.labels, timeout=10.0))
        return {check.service: self._service(check, found.get(check.service, [])) for check in self.checks}

    def _service(self, check: Check, found: list[Container]) -> State:
        if not found:
            return State("failed", "no container was made for this service", "container_gone")
        return combined([self._container(check, container) for container in found])

    def _container(self, check: Check, found: Container) -> State:
        state = before_probe(check, found, lambda: self._end(found))
        if state is None and self.known.get(check.service) == "ready":
            state = State("ready", "ready before")
        if state is None:
            answer = self._prober(check, found).answer
            state = State("ready" if answer.ok else "starting", answer.detail)
        if state.error_kind == "service_unhealthy":
            state = replace(state, **self._unhealthy(found))
        return state if found.state == "created" else replace(state, since_s=self._age(found))

    def _end(self, found: Container) -> Death:
        if found.id not in self.ends:
            self.ends[found.id] = death(self.engine, found, self.clock)
        return self.ends[found.id]

    def _unhealthy(self, found: Container) -> dict[str, Any]:
        """Return the log lines of an unhealthy container and what its health check said last."""
        record = self.engine.inspect(found.id)
        log = ((record.get("State") or {}).get("Health") or {}).get("Log") or [{}]
        detail = f"container {found.name} is unhealthy: {str(log[-1].get('Output') or '').strip()[-500:]}"
        tail = self.engine.log_tail(found.id, bool((record.get("Config") or {}).get("Tty")))
        return {"detail": detail.rstrip(": "), "log_tail": tuple(tail)}

    def _age(self, found: Container) -> float:
        started = unix_time(str((self._memory(found).record.get("State") or {}).get("StartedAt") or ""))
        return self.clock.unix() - started if started else 0.0

    def _memory(self, found: Container) -> Memory:
        if found.id not in self.memories:
            self.memories[found.id] = Memory(self.engine.inspect(found.id))
        return self.memories[found.id]

    def _prober(self, check: Check, found: Container) -> Prober:
        if found.id not in self.probers:
            memory = self._memory(found)
            prober = Prober(lambda: ask(self.engine, check, found, memory), self.clock, self.wake)
            self.probers[found.id] = prober
            prober.start()
        return self.probers[found.id]

    def unanswered(self) -> bool:
        """Return whether a probe has not ended once; each ends by its own time limit."""
        return any(not prober.answered.is_set() for prober in self.probers.values())

    def close(self) -> None:
        """Stop all probes; a command that still runs in a container a moment later is killed."""
        for prober in self.probers.values():
            prober.done.set()
        for container, prober in self.probers.items():
            prober.join(LAST_PROBE_S)
            with suppress(CellError):
                probes.kill_command(self.engine, container, self.memories[container])


def ask(engine: Engine, check: Check, found: Container, memory: Memory) -> Answer:
    """Return one probe's answer."""
    record = memory.record
    if check.kind in ("http", "tcp"):
        places = probes.targets(record, check.port)
        return (probes.ask_http if check.kind == "http" else probes.ask_tcp)(places, check)
    if check.kind == "log" and check.pattern is not None:
        tty = bool((record.get("Config") or {}).get("Tty"))
        return probes.ask_log(engine, found.id, tty, check.pattern, memory)
    argv, limit = (list(check.argv), check.timeout_s) if check.argv else probes.health_command(record)
    if not argv:
        return Answer(False, f"health: {found.health}")
    return probes.ask_command(engine, found.id, argv, limit, memory)


def ready(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Return {states: {service: state}} as soon as one differs from args.known, or wait_s has passed."""
    checks = [probes.parse_check(item) for item in mappings(args, "checks")]
    known, clock = mapping(args, "known"), ctx.clock
    deadline = clock.monotonic() + number(args, "wait_s", 10, 0, 600)
    board = Board(connect(ctx.environ, 10.0), of_case(ctx.needed_run), checks, clock, known)
    try:
        states = _wait(board, deadline)
    finally:
        board.close()
    return {"states": {service: state.as_dict() for service, state in states.items()}}


def _wait(board: Board, deadline: float) -> dict[str, State]:
    """Return the states once one changed, nothing is left to wait for, or the deadline has passed.

    A check that takes longer than the caller waits is let to end once: it would never be seen to succeed otherwise.
    """
    pause = FLOOR_S
    while True:
        board.wake.clear()
        states = board.look()
        waiting = any(state.state == "starting" for state in states.values())
        left = deadline - board.clock.monotonic()
        if changed(states, board.known) or not waiting or (left <= 0 and not board.unanswered()):
            return states
        board.wake.wait(max(min(pause, left), FLOOR_S))
        pause = min(pause * GROWTH, CEILING_S)


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"ready": ready}
