# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Minding one service: start its containers, probe them while they start, say when its state changes, start it again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from queue import Empty, SimpleQueue
from typing import Any, Union

from . import store
from .containers import start_service
from .context import Clock
from .engine import Engine
from .errors import CellError
from .objects import (
    SERVICE,
    Container,
    by_service,
    containers,
    death,
    ended,
    engine_folder,
    log_tail,
    parse_record,
    started_at,
)
from .prober import Gate
from .probes import Check, Memory
from .readiness import STARTING, Candidate, State, before_probe, combined, from_death
from .signs import Sign

LOOK = "look"
INSPECT_LIMIT_S = 10.0
# Of a service that is not ready, whoever waits hears why: after so long, and each time when twice as long has gone by.
FIRST_WORD_S = 30.0


class Order(Enum):
    """What a minder is told to do: end the service's life so far and start it again, or leave it as it is."""

    AGAIN = "again"
    LEAVE = "leave"


@dataclass(frozen=True)
class Probed:
    """A probe has succeeded. t: seconds since 1970."""

    candidate: Candidate
    detail: str
    t: float


Note = Union[Order, Probed, Sign]


@dataclass(frozen=True)
class Ward:
    """What the minders of a case share. gate: held by a probe while it asks; tell: takes their events."""

    engine: Engine
    labels: list[str]
    clock: Clock
    gate: Gate
    tell: Callable[[dict[str, Any]], None]


@dataclass
class Life:
    """One container since its last start. started: seconds since 1970."""

    found: Container
    candidate: Candidate
    started: float
    state: State


class Minder(threading.Thread):
    """One service. Its events say running, ready or failed, and now and then waiting, with what its probes were answered.

    life: which of its starts an event is about, from 1 on.

    limit_s: seconds from its start to ready, 0 for no limit.

    A death is told twice. At once as failed, as far as the engine's event goes, with complete false; and as explained,
    with all that the engine knows once it has put the container away, which takes it some tens of milliseconds: the
    last log lines above all.
    """

    def __init__(self, ward: Ward, check: Check, limit_s: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.check = check
        self._limit_s = limit_s
        self._began = 0.0
        self._deadline: float | None = None
        self._word_at: float | None = None
        self._ward = ward
        self._notes: SimpleQueue[Note] = SimpleQueue()
        self._lives: dict[str, Life] = {}
        self._minding = False
        self._was_ready = False
        self._life_number = 0
        self._engine_folder = ""

    # -- from other threads --------------------------------------------------------------------------------------

    def notice(self, note: Note) -> None:
        """Take in an order, or a sign of one of the service's containers."""
        self._notes.put(note)

    def compare(self, shown: Mapping[str, Container], engine_is_new: bool) -> None:
        """Have a look at each container that the engine's list does not show running and well, at all of a new engine.

        shown: by id.
        """
        for container in list(self._lives):
            found = shown.get(container)
            if engine_is_new or found is None or found.state != "running" or found.health == "unhealthy":
                self.notice(Sign(container, "", self.check.service, LOOK, self._ward.clock.unix()))

    def why(self) -> str:
        """Return what the probes that have not succeeded were answered last."""
        states = [life.candidate.answer() for life in list(self._lives.values())]
        return "; ".join(dict.fromkeys(answer.detail for answer in states if answer and not answer.ok))

    def last_words(self) -> tuple[str, ...]:
        """Return the last log lines of the service's containers, as far as the engine gives them."""
        lines: list[str] = []
        with suppress(CellError):
            for container in list(self._lives):
                lines += log_tail(self._ward.engine, self._ward.engine.inspect(container, INSPECT_LIMIT_S))
        return tuple(lines)

    # -- its own thread ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Start the service and mind it until told to leave."""
        again = False
        while self._live(again) is Order.AGAIN:
            again = True
        for life in self._lives.values():
            life.candidate.close()

    def _live(self, again: bool) -> Order:
        """Mind the service from a start to the next order."""
        self._lives, self._minding, self._was_ready = {}, True, False
        self._life_number += 1
        self._deadline = self._word_at = None
        self._attempt(self._start, again)
        while True:
            note = self._next_note()
            if isinstance(note, Order):
                self._rest()
                return note
            if self._minding:
                self._attempt(self._heed, note)

    def _next_note(self) -> Note | None:
        """Return the next note, None when the service should have been ready by now; say meanwhile why it is not."""
        while True:
            ends = [at for at in (self._deadline, self._word_at) if at is not None]
            if not ends or not self._minding or self._was_ready:
                return self._notes.get()
            try:
                return self._notes.get(timeout=max(0.0, min(ends) - self._ward.clock.monotonic()))
            except Empty:
                if self._deadline is not None and self._ward.clock.monotonic() >= self._deadline:
                    return None
                self._say_why()

    def _say_why(self) -> None:
        """Say what a service that is not ready waits for, and when to say it again."""
        waited_s = self._ward.clock.monotonic() - self._began
        self._word_at = self._began + 2 * waited_s
        why = self.why() or combined([life.state for life in self._lives.values()]).detail or "starting"
        self._tell("waiting", State("starting", why), self._now(), waited_s=round(waited_s, 1))

    def _attempt(self, work: Callable[[Any], None], what: Any) -> None:
        """Do work; whatever goes wrong in this thread is the service's failure, since nobody else would see it."""
        try:
            work(what)
        except Exception as exc:
            kind = exc.kind if isinstance(exc, CellError) else "internal_error"
            text = exc.message if isinstance(exc, CellError) else f"{type(exc).__name__}: {exc}"
            if self._minding:
                self._fail(State("failed", text, kind), self._now())

    def _start(self, again: bool) -> None:
        ward = self._ward
        labels = [*ward.labels, f"{SERVICE}={self.check.service}"]
        found = by_service(containers(ward.engine, labels)).get(self.check.service, [])
        fault = start_service(ward.engine, found, again)
        if fault:
            holder = {"holder": fault["holder"]} if "holder" in fault else {}
            self._fail(State("failed", fault["error"], fault["error_kind"]), self._now(), **holder)
            return
        self._tell("running", STARTING, self._now())
        self._began = ward.clock.monotonic()
        self._deadline = self._began + self._limit_s if self._limit_s else None
        self._word_at = self._began + FIRST_WORD_S
        self._lives = {container.id: self._life(container.id) for container in found}
        self._settle(self._now())

    def _life(self, container: str) -> Life:
        """Return the life of a container that has just been started, with its first state."""
        ward = self._ward
        record = ward.engine.inspect(container, INSPECT_LIMIT_S)
        self._engine_folder = engine_folder(record)
        candidate = Candidate(
            ward.engine,
            container,
            self.check,
            ward.clock,
            lambda detail: self.notice(Probed(candidate, detail, ward.clock.unix())),
            ward.gate,
            Memory(record),
        )
        found = parse_record(record)
        return Life(found, candidate, started_at(record) or 0.0, candidate.state(found))

    def _heed(self, note: Probed | Sign | None) -> None:
        """Bring the state of the container that a note is about up to date."""
        if note is None:
            self._late()
            return
        if isinstance(note, Probed):
            self._probed(note)
            return
        life = self._lives.get(note.container)
        if life is None:
            return
        if note.dead and note.t >= life.started:
            self._died(life, note)
        else:
            self._look(life)

    def _probed(self, note: Probed) -> None:
        """Take in a good probe; one of an earlier life of the container says nothing of this one."""
        for life in self._lives.values():
            if life.candidate is note.candidate:
                life.state = State("ready", note.detail)
                self._settle(note.t)

    def _died(self, life: Life, sign: Sign) -> None:
        """Take in a death as its event tells it: the engine shows it in its records tens of milliseconds later."""
        end = ended(life.found.name, sign.exit_code, sign.oom, sign.t)
        gone = replace(life.found, state="exited")
        life.state = before_probe(self.check, gone, lambda: end) or from_death(end)
        self._settle(sign.t, complete=life.state.state != "failed")
        if life.state.state == "failed":
            self._tell("explained", self._named(self._explained(life)), sign.t)

    def _explained(self, life: Life) -> State:
        """Return the state of a container whose death was told, with what the engine knows besides."""
        try:
            end = death(self._ward.engine, life.found, self._ward.clock)
        except CellError as exc:
            return replace(life.state, log_tail=(f"[testcell: {exc.message}]",))
        return life.state if end.error_kind == "container_gone" else from_death(end)

    def _late(self) -> None:
        """Give a service up that is not ready in time; its containers stay as they are."""
        text = f"not ready within {self._limit_s:g} s of its start: {self.why() or 'starting'}"
        self._fail(State("failed", text, "health_timeout", log_tail=self.last_words()), self._now())

    def _look(self, life: Life) -> None:
        """Take in how a container stands; an engine that does not answer now is asked again later."""
        try:
            record = self._ward.engine.inspect(life.found.id, INSPECT_LIMIT_S)
            life.found = parse_record(record)
        except CellError as exc:
            if exc.kind != "container_gone":
                return
            text = f"container {life.found.name} does not exist any more"
            life.state = State("failed", text, "container_gone")
        else:
            life.state = life.candidate.state(life.found, self._was_ready)
            if life.found.state == "running" and (started_at(record) or 0.0) > life.started:
                text = f"container {life.found.name} was started again, and not by this run"
                life.state = State("failed", text, "service_died")
        if life.state.state == "starting" and self._was_ready:
            text = f"container {life.found.name} is {life.state.detail}"
            life.state = replace(life.state, state="failed", error_kind="service_unhealthy", detail=text)
        self._settle(self._now())

    def _settle(self, t: float, complete: bool = True) -> None:
        """Tell the service's state if it changed. complete: nothing more is to be learnt of a failure."""
        state = combined([life.state for life in self._lives.values()])
        if state.state == "failed":
            self._fail(state, t, complete=complete)
        elif state.state == "ready" and not self._was_ready:
            self._was_ready = True
            self._tell("ready", state, t)
            self._minding = self.check.kind != "completed"

    def _fail(self, state: State, t: float, **more: Any) -> None:
        self._rest()
        self._tell("failed", self._named(state), t, **more)

    def _named(self, state: State) -> State:
        """Return a failed state; an exit of a service that had been ready is its death, one on a full disk the disk's."""
        state = store.blamed(self._engine_folder, state)
        died = self._was_ready and state.error_kind == "container_exited"
        return replace(state, error_kind="service_died") if died else state

    def _rest(self) -> None:
        """Mind nothing until the next order."""
        self._minding = False
        for life in self._lives.values():
            life.candidate.stop()

    def _now(self) -> float:
        return self._ward.clock.unix()

    def _tell(self, word: str, state: State, t: float, **more: Any) -> None:
        event: dict[str, Any] = {"service": self.check.service, "state": word, "t": round(t, 3)}
        event["life"] = self._life_number
        event.update(detail=state.detail, error_kind=state.error_kind, exit_code=state.exit_code, oom=state.oom)
        event.update(log_tail=list(state.log_tail), after_ready=self._was_ready and word != "ready", complete=True)
        self._ward.tell({**event, **more})
