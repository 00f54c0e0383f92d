# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One event of a schedule, from its time to the recovery of what it was aimed at, told phase by phase."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .. import lease, procs
from ..context import Context
from ..engine import Engine
from ..errors import CellError
from ..objects import Container, by_service, containers, of_case
from ..probes import Check
from ..readiness import State
from . import kinds, records, recovery
from .fault import Aim, Effect, Gone, Place
from .journal import Journal, target
from .loop import Life, Loop, Step, Wait
from .plan import Event, Plan
from .records import Record, Records
from .reverting import place_of, revert

EFFECT_S, EFFECT_PAUSE_S = 5.0, 0.1  # how long a fault may take until it is felt
INJECT_S = 30.0  # how long the beginning of a fault may take before the guard ends it
UNDO_S, UNDO_PAUSE_S = 90.0, 0.5
RECOVERY_S = 120.0  # waited for at least, whatever the plan allows
LAST_RECOVERY_S = 10.0  # once everything shall end
NEST_PAUSE_S = 0.1
LATE_S = 30.0  # an event that comes later than that would not be the one that was planned
WHOLE_NODE = frozenset({"dockerd_restart"})  # nothing on the node can be undone while one of these is open


class Refused(Exception):
    """An event that is not begun. phase: how that is told."""

    def __init__(self, phase: str, why: str) -> None:
        super().__init__(why)
        self.phase = phase


@dataclass
class Stage:
    """What all events of a case share. begun: when the load began (seconds since boot); beginning: in the order of their times."""

    ctx: Context
    engine: Engine
    plan: Plan
    journal: Journal
    kept: Records
    loop: Loop
    log: str
    begun: float
    opened: list[Happening] = field(default_factory=list)
    beginning: list[Happening] = field(default_factory=list)
    orders: Iterator[int] = field(default_factory=itertools.count)

    @property
    def now(self) -> float:
        """Return the seconds since boot."""
        return self.ctx.clock.boottime()

    @property
    def until(self) -> float:
        """Return when the load is over (seconds since boot)."""
        return self.begun + self.plan.duration_s


class Happening:
    """One event as it happens."""

    def __init__(self, stage: Stage, event: Event) -> None:
        self._stage, self._event = stage, event
        self._fault = kinds.find(event.kind)
        self._aim = Aim(event.service, "", 0, event.params)
        self._undo: dict[str, Any] = {}
        self._order = 0
        self._ends = self._expires = 0.0
        self._undoing = False

    @property
    def key(self) -> tuple[str, str]:
        """Return what it is aimed at: service and container, both "" for the node."""
        return self._aim.service, self._aim.container

    def say(self, phase: str, **more: Any) -> None:
        """Write a line about it."""
        event = {"id": self._event.id, "kind": self._event.kind, "target": target(*self.key)}
        self._stage.journal.say(event, phase, **more)

    def life(self) -> Life:
        """Happen, and tell how that ended; what nobody has foreseen ends this event only."""
        yield Wait(self._stage.begun + self._event.at_s, cut=True)
        try:
            yield from self._happen()
        except Refused as exc:
            self.say(exc.phase, why=str(exc))
        except Gone as exc:
            self.say("target_gone", why=str(exc))
        except (CellError, OSError) as exc:
            unsupported = isinstance(exc, CellError) and exc.kind == "chaos_unsupported"
            self.say("unsupported" if unsupported else "failed", why=str(exc))
        except Exception as exc:  # the record is on disk: whatever has begun is undone by the guard
            self.say("failed", why=f"{type(exc).__name__}: {exc}")
        finally:
            self._close()

    def _happen(self) -> Life:
        stage = self._stage
        if stage.loop.ending or stage.now >= stage.until:
            raise Refused("not_reached", "the soak ended before its time")
        late_s = stage.now - stage.begun - self._event.at_s
        if late_s > LATE_S:
            raise Refused("not_reached", f"its time was over for {late_s:.0f} s when the load was known to have begun")
        yield from self._in_turn()
        if self._event.kind in WHOLE_NODE:
            yield from self._come_alone()
        yield self._meet
        trouble: Exception | None = None
        try:
            yield self._begin
        except (Gone, Refused, CellError, OSError) as exc:
            trouble = exc
        stage.beginning.remove(self)
        effect = Effect(False, {}) if trouble else (yield from self._felt())
        if effect.applied and not trouble and not stage.plan.negative:
            yield Wait(self._ends, cut=True)
        yield from self._end()
        if trouble:
            raise trouble
        self._judge(effect)
        yield from self._recover()

    # -- its beginning -------------------------------------------------------------------------------------------

    def _meet(self) -> None:
        """Find the target, measure that nothing is felt yet, and put on disk what undoes the fault."""
        self._prove_lease()
        self._aim = self._found()
        self._expires = self._stage.now + INJECT_S + max(self._lasts(), EFFECT_S)
        place = self._place()
        lacking = self._fault.lacking(place, self._event.params)
        if lacking:
            raise Refused("unsupported", lacking)
        self._undo = self._fault.prepare(place, self._aim)
        before = self._fault.effect(place, self._aim, self._undo)
        self.say("control", applied=before.applied, measured=dict(before.measured))
        if before.applied:
            raise Refused("not_applied", f"it is felt before it has begun, so it could not be told: {before.why}")
        self._arm()

    def _in_turn(self) -> Life:
        """Let those of the same service begin first whose time came before: what begins last lies on the others."""
        line = self._stage.beginning
        line.append(self)
        while any(other._event.service == self._event.service for other in line[: line.index(self)]):
            yield Wait(self._stage.now + NEST_PAUSE_S)

    def _come_alone(self) -> Life:
        """Let what is being undone be undone first, and nothing else begin to be.

        An undo that is cut off in the middle by a fault of the whole node may seem done afterwards, and is not.
        """
        self._open()
        while any(other._undoing for other in self._stage.opened):
            yield Wait(self._stage.now + NEST_PAUSE_S)

    def _open(self) -> None:
        """Take one's place among the open events, once."""
        if self not in self._stage.opened:
            self._order = next(self._stage.orders)
            self._stage.opened.append(self)

    def _prove_lease(self) -> None:
        """Raise where another run has the node."""
        run, ctx = self._stage.ctx.needed_run, self._stage.ctx
        if run.epoch is None:
            return
        standing, _ = lease.claim(ctx.root, run.id, run.epoch, lease.present(ctx), carried=True)
        if standing == "other":
            raise Refused("not_reached", "another run has this node")

    def _found(self) -> Aim:
        """Return the aim at the container that the service has now."""
        event, stage = self._event, self._stage
        if not event.service:
            return self._aim
        found = by_service(containers(stage.engine, of_case(stage.ctx.needed_run))).get(event.service, [])
        if not found:
            raise Gone(f"service {event.service} has no container")
        return Aim(event.service, found[0].id, self._pid(found[0]), event.params)

    def _pid(self, container: Container) -> int:
        state = self._stage.engine.inspect(container.id).get("State") or {}
        pid = int(state.get("Pid") or 0)
        if not pid:
            raise Gone(f"container {container.name} does not run: {state.get('Status')}")
        return pid

    def _place(self) -> Place:
        return Place(
            self._stage.ctx, self._stage.engine, self._stage.kept.own(self._event.id), self._event.id, self._ends
        )

    def _arm(self) -> None:
        stage, event, ctx = self._stage, self._event, self._stage.ctx
        self._open()
        record = Record(
            id=event.id,
            kind=event.kind,
            run=ctx.needed_run.id,
            epoch=ctx.needed_run.epoch,
            boot_id=procs.boot_id(),
            state=records.ARMED,
            order=self._order,
            expires=self._expires,
            made=stage.now,
            made_unix=ctx.clock.unix(),
            service=self._aim.service,
            container=self._aim.container,
            log=stage.log,
            undo=self._undo,
        )
        stage.kept.save(record)
        self.say("record")

    def _lasts(self) -> float:
        """Return how long the fault shall last from now on: not longer than the load."""
        return max(0.0, min(self._event.duration_s, self._stage.until - self._stage.now))

    def _begin(self) -> None:
        """Inject the fault, unless the guard took it for overdue; those below it must not end before it."""
        stage, name = self._stage, self._event.id
        with stage.kept.locked(name):
            record = stage.kept.load(name)
            if record is None or not record.open or record.overdue(stage.now) or stage.loop.ending:
                raise Refused("not_reached", "its time was over before it could begin")
            if not stage.plan.negative:
                if self._event.kind in WHOLE_NODE:
                    self._hold_below(record.expires)
                record = records.begun(record)
                stage.kept.save(record)
                self._fault.inject(place_of(stage.ctx, stage.engine, record), self._aim, self._undo)
                self.say("injected")
            self._ends = stage.now + self._lasts()
            stage.kept.save(records.injected(record, max(self._ends, stage.now + EFFECT_S)))
        self._hold_below(self._ends + UNDO_S)

    def _hold_below(self, expires: float) -> None:
        """Have the guard leave those that this one lies on alone until then."""
        stage = self._stage
        for below in list(stage.opened):
            if below is not self and self._lies_on(below):
                stage.kept.change(below._event.id, partial(records.longer, expires=expires))

    # -- while it lasts ------------------------------------------------------------------------------------------

    def _felt(self) -> Generator[Step, Any, Effect]:
        """Measure until the fault is felt, or for EFFECT_S; a negative control measures once."""
        stage, began = self._stage, self._stage.now
        while True:
            effect: Effect = yield self._measured
            late = stage.plan.negative or stage.now - began >= EFFECT_S
            if effect.applied or late:
                break
            yield Wait(stage.now + EFFECT_PAUSE_S)
        self.say("effect", applied=effect.applied, measured=dict(effect.measured), why=effect.why)
        return effect

    def _measured(self) -> Effect:
        try:
            return self._fault.effect(self._place(), self._aim, self._undo)
        except (Gone, CellError, OSError) as exc:
            return Effect(False, {}, str(exc))

    def _lies_on(self, other: Happening) -> bool:
        """Return whether another open event must not be undone before this one."""
        whole, others = self._event.kind in WHOLE_NODE, other._event.kind in WHOLE_NODE
        if whole != others:
            return whole
        return self._order > other._order and (whole or self.key == other.key)

    # -- its end -------------------------------------------------------------------------------------------------

    def _end(self) -> Life:
        """Undo it, after those that lie on it, and prove that nothing is left."""
        stage = self._stage
        while any(other is not self and other._lies_on(self) for other in list(stage.opened)):
            yield Wait(stage.now + NEST_PAUSE_S)
        self._undoing = True
        deadline = stage.now + UNDO_S
        while True:
            left = yield self._reverted
            if not left:
                break
            if stage.now >= deadline:
                self.say("verified", left=left)
                raise CellError("chaos_not_reverted", "; ".join(left))
            yield Wait(stage.now + UNDO_PAUSE_S)
        self._close()

    def _reverted(self) -> list[str]:
        stage = self._stage
        return revert(stage.ctx, stage.engine, stage.ctx.needed_run.id, self._event.id, stage.journal)

    def _close(self) -> None:
        for line in (self._stage.opened, self._stage.beginning):
            if self in line:
                line.remove(self)

    def _judge(self, effect: Effect) -> None:
        """Raise unless the fault was felt, or in a negative control was not."""
        if self._stage.plan.negative:
            if effect.applied:
                raise Refused("failed", "an effect was measured although nothing was injected")
        elif not effect.applied:
            raise Refused("not_applied", effect.why or f"no effect was measured within {EFFECT_S:g} s")

    def _recover(self) -> Life:
        """Wait until the target is ready again and say how long that took from the undo."""
        stage = self._stage
        record = yield partial(stage.kept.load, self._event.id)
        undone_at = record.undone_at if record and record.undone_at is not None else stage.now
        limit = undone_at + max(RECOVERY_S, self._event.recovery_s)
        lacking = yield partial(self._await_ready, limit)
        if not lacking:
            self.say("recovered", rto_s=round(max(0.0, stage.now - undone_at), 3))
            return
        if any(state.error_kind == "container_gone" for state in lacking.values()):
            raise Gone("; ".join(sorted({state.detail for state in lacking.values()})))
        why = "; ".join(f"{name}: {state.detail or state.state}" for name, state in sorted(lacking.items()))
        raise Refused("not_recovered", why)

    def _await_ready(self, limit: float) -> dict[str, State]:
        return recovery.await_ready(self._stage.ctx, self._stage.engine, self._checks(), self._over(limit))

    def _checks(self) -> list[Check]:
        """Return the checks of the service that was aimed at; of all services where that was the node."""
        name, known = self._event.service, self._stage.plan.checks
        return [known.get(name, Check(name))] if name else list(known.values())

    def _over(self, limit: float) -> Callable[[], bool]:
        """Return what tells that waiting has been long enough: at the limit, or soon where everything shall end."""
        last: list[float] = []

        def over() -> bool:
            now = self._stage.now
            if self._stage.loop.ending and not last:
                last.append(now + LAST_RECOVERY_S)
            return now >= min([limit, *last])

        return over
