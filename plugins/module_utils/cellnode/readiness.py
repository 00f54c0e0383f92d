# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say when services can really answer: states and probes on the node, every few tens of milliseconds at first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from . import probes
from .context import Clock, Context
from .engine import Engine, connect
from .errors import CellError
from .objects import Container, Death, by_service, containers, death, last_words, log_tail, of_case, started_at
from .params import number
from .prober import CEILING_S, FLOOR_S, Gate, Prober, pause_s
from .probes import Answer, Check, Memory
from .request import mapping, mappings

GROWTH = 1.4  # of the pause between two looks at the list
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
    return _by_health(check, found) if check.kind == "container" else None


def _by_health(check: Check, found: Container) -> State | None:
    """Return the state that the engine's health check decides; None while it has not, or where only a port can tell."""
    if found.health == "unhealthy":
        return State("failed", f"container {found.name} is unhealthy", "service_unhealthy")
    if not found.health and check.port:
        return None
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


@dataclass
class Candidate:
    """One container under its check: what is known of it, and the prober that asks it while it starts.

    tell: called with the words of a probe that has succeeded; gate: held by each probe while it asks.
    """

    engine: Engine
    container: str
    check: Check
    clock: Clock
    tell: Callable[[str], None]
    gate: Gate = field(default_factory=nullcontext)
    memory: Memory | None = None
    prober: Prober | None = None
    end: Death | None = None

    def state(self, found: Container, was_ready: bool = False) -> State:
        """Return how the container stands, found being it as of now; once it was ready it is not probed again."""
        state = before_probe(self.check, found, lambda: self._ending(found))
        if state is None:
            state = State("ready", "ready before") if was_ready else self._probed(found)
        if state.error_kind == "service_unhealthy":
            state = replace(state, **sickness(self.engine, found))
        return state if found.state == "created" else replace(state, since_s=self.age_s())

    def _ending(self, found: Container) -> Death:
        if self.end is None:
            self.end = death(self.engine, found, self.clock)
        return self.end

    def _probed(self, found: Container) -> State:
        if self.prober is None:
            self.prober = self._start_prober(found)
        return State("ready" if self.prober.answer.ok else "starting", self.prober.answer.detail)

    def _start_prober(self, found: Container) -> Prober:
        check, memory = self.check, self._remembered()

        def pause(took_s: float) -> float:
            return pause_s(check.kind, self.age_s(), took_s, check.interval_s)

        prober = Prober(lambda: ask(self.engine, check, found, memory), pause, self.tell, self.clock, self.gate)
        prober.start()
        return prober

    def _remembered(self) -> Memory:
        if self.memory is None:
            self.memory = Memory(self.engine.inspect(self.container))
        return self.memory

    def age_s(self) -> float:
        """Return for how many seconds the container has run since it was started."""
        started = started_at(self._remembered().record)
        return self.clock.unix() - started if started else 0.0

    def unanswered(self) -> bool:
        """Return whether the first probe has not ended yet; it does by its own time limit."""
        return self.prober is not None and not self.prober.answered.is_set()

    def answer(self) -> Answer | None:
        """Return what the last probe was answered, None where nothing is probed."""
        return self.prober.answer if self.prober else None

    def stop(self) -> None:
        """Ask no more; a probe in flight may end."""
        if self.prober:
            self.prober.done.set()

    def close(self) -> None:
        """Stop; a command that still runs in the container a moment later is killed."""
        self.stop()
        if self.prober and self.memory:
            self.prober.join(LAST_PROBE_S)
            with suppress(CellError):
                probes.kill_command(self.engine, self.container, self.memory)


def sickness(engine: Engine, found: Container) -> dict[str, Any]:
    """Return the log lines of an unhealthy container and what its health check said last, as fields of its state."""
    record = engine.inspect(found.id)
    log = ((record.get("State") or {}).get("Health") or {}).get("Log") or [{}]
    said = last_words(record, str(log[-1].get("Output") or ""))
    detail = f"container {found.name} is unhealthy: {said}"
    return {"detail": detail.rstrip(": "), "log_tail": tuple(log_tail(engine, record))}


@dataclass
class Board:
    """The checks of one request and what is known of their containers."""

    engine: Engine
    labels: list[str]
    checks: list[Check]
    clock: Clock
    known: Mapping[str, Any] = field(default_factory=dict)
    candidates: dict[str, Candidate] = field(default_factory=dict)
    wake: threading.Event = field(default_factory=threading.Event)

    def look(self) -> dict[str, State]:
        """Return the state of every checked service as of now."""
        found = by_service(containers(self.engine, self.labels, timeout=10.0))
        return {check.service: self._service(check, found.get(check.service, [])) for check in self.checks}

    def _service(self, check: Check, found: list[Container]) -> State:
        if not found:
            return State("failed", "no container was made for this service", "container_gone")
        was_ready = self.known.get(check.service) == "ready"
        return combined([self._candidate(check, one.id).state(one, was_ready) for one in found])

    def _candidate(self, check: Check, container: str) -> Candidate:
        if container not in self.candidates:
            self.candidates[container] = Candidate(
                self.engine, container, check, self.clock, lambda _detail: self.wake.set()
            )
        return self.candidates[container]

    def unanswered(self) -> bool:
        """Return whether a first probe has not ended yet."""
        return any(candidate.unanswered() for candidate in self.candidates.values())

    def close(self) -> None:
        """Stop all probes."""
        for candidate in self.candidates.values():
            candidate.stop()
        for candidate in self.candidates.values():
            candidate.close()


def ask(engine: Engine, check: Check, found: Container, memory: Memory) -> Answer:
    """Return one probe's answer."""
    record = memory.record
    if check.kind == "http":
        return probes.ask_http(probes.targets(record, check.port), check)
    if check.kind == "tcp":
        return probes.ask_port(record, check)
    if check.kind == "container" and not found.health:
        return probes.ask_port(record, check) if probes.targets(record, check.port) else Answer(True, "running")
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
