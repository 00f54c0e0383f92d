# SPDX-License-Identifier: MIT
"""Events that happen by a clock of the test's own, with a kind of fault that is a table."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import (
    happening,
    kinds,
    plan,
    records,
    recovery,
)
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.fault import Effect
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.journal import Journal
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.loop import Loop
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.readiness import State

BEGUN = 1000.0


class Time(Clock):
    """Clocks that stand still until somebody rests; each can be set by itself."""

    def __init__(self) -> None:
        super().__init__(unix=lambda: self.wall, monotonic=lambda: self.now, sleep=self.go)
        object.__setattr__(self, "now", BEGUN)
        object.__setattr__(self, "wall", 5e9)

    def boottime(self) -> float:
        return self.now

    def go(self, seconds: float) -> None:
        object.__setattr__(self, "now", self.now + seconds)
        object.__setattr__(self, "wall", self.wall + seconds)

    def turn(self, seconds: float) -> None:
        """Set the wall clock."""
        object.__setattr__(self, "wall", self.wall + seconds)


class Hands:
    """Do everything at once, and let time pass at rest. at: moment -> what happens then."""

    def __init__(self, clock: Time) -> None:
        self.clock = clock
        self.at: dict[float, Any] = {}

    def do(self, work, done) -> None:
        try:
            result = work()
        except Exception as exc:
            done(None, exc)
        else:
            done(result, None)

    def rest(self, seconds: float) -> None:
        self.clock.go(max(seconds, 0.001))
        for moment in sorted(at for at in self.at if at <= self.clock.now):
            self.at.pop(moment)()

    def wake(self) -> None:
        pass


class LastFirst(Hands):
    """What was begun last is done first, when time passes."""

    def __init__(self, clock: Time) -> None:
        super().__init__(clock)
        self.begun: list[Any] = []

    def do(self, work, done) -> None:
        self.begun.append((work, done))

    def rest(self, seconds: float) -> None:
        begun, self.begun = self.begun, []
        for work, done in reversed(begun):
            super().do(work, done)
        super().rest(0.0 if begun else seconds)


@dataclass
class Fake:
    """A kind of fault on a world that is a set of words. said: what it was asked, in order."""

    world: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    faults: dict[str, Any] = field(default_factory=dict)
    kind: str = "kill"

    def _ask(self, what: str, name: str) -> None:
        self.said.append(f"{what} {name}")
        found = self.faults.get(what)
        if callable(found):
            found = found()
        if isinstance(found, Exception):
            raise found

    def lacking(self, place, params):
        return self.faults.get("lacking", "")

    def prepare(self, place, aim):
        self._ask("prepare", place.id)
        return {"word": place.id}

    def inject(self, place, aim, undo):
        self._ask("inject", place.id)
        self.world.append(undo["word"])

    def effect(self, place, aim, undo):
        self._ask("effect", place.id)
        felt = self.faults.get("felt", lambda: bool(undo) and undo["word"] in self.world)()
        return Effect(felt, {"words": len(self.world)}, "" if felt else "nothing is felt")

    def undo(self, place, undo):
        self._ask("undo", place.id)
        if undo["word"] in self.world:
            self.world.remove(undo["word"])

    def left(self, place, undo):
        self._ask("left", place.id)
        return [f"{undo['word']} is there"] if undo["word"] in self.world or "left over" in self.world else []


@dataclass
class Scene:
    """One case and its faults."""

    ctx: Context
    clock: Time
    hands: Hands
    fake: Fake
    ready: list[dict[str, State]]
    loop: Loop | None = None

    @property
    def kept(self) -> records.Records:
        return records.Records(self.ctx.root, self.ctx.needed_run.id)

    def play(self, *events: dict[str, Any], duration_s: float = 100.0, **more: Any) -> Loop:
        """Let the events happen to their ends."""
        base = {"kind": "kill", "at_s": 1.0, "duration_s": 10.0, "service": ""}
        parsed = plan.parse({"schedule": [{**base, **one} for one in events], "duration_s": duration_s, **more})
        loop = Loop(self.clock, self.hands)
        log = plan.log_of(self.ctx)
        journal = Journal(self.ctx.root, log, "runner", self.clock)
        stage = happening.Stage(self.ctx, None, parsed, journal, self.kept, loop, log, BEGUN)
        self.loop = loop
        for event in parsed.events:
            loop.add(happening.Happening(stage, event).life())
        loop.run()
        return loop

    def end(self) -> None:
        """Ask for the end of all."""
        assert self.loop is not None
        self.loop.end()

    def lines(self, event: str = "e") -> list[dict[str, Any]]:
        path = self.ctx.case_dir / "soak" / "chaos.jsonl"
        return [line for line in map(json.loads, path.read_text().splitlines()) if line["id"] == event]

    def phases(self, event: str = "e") -> list[str]:
        return [line["phase"] for line in self.lines(event)]

    def line(self, phase: str, event: str = "e") -> dict[str, Any]:
        return next(line for line in self.lines(event) if line["phase"] == phase)


@pytest.fixture
def last_first(scene) -> Scene:
    """The scene with threads of which the one that began last comes to its end first."""
    scene.hands = LastFirst(scene.clock)
    return scene


@pytest.fixture
def scene(tmp_path: Path, monkeypatch) -> Scene:
    """A case whose faults are fakes and whose clock is the test's."""
    clock = Time()
    ctx = Context(tmp_path, RunRef("r1", "s"), clock=clock)
    (ctx.case_dir / "soak").mkdir(parents=True)
    made = Scene(ctx, clock, Hands(clock), Fake(), [])
    monkeypatch.setattr(kinds, "find", lambda kind: made.fake)

    def answer(_ctx, _engine, _checks, over):
        while not over():
            clock.go(1.0)
            if len(made.ready) <= 1:
                return made.ready[0] if made.ready else {}
            made.ready.pop(0)
        return made.ready[0] if made.ready else {}

    monkeypatch.setattr(recovery, "await_ready", answer)
    return made


@pytest.fixture
def record():
    """The function that returns a record."""
    orders = itertools.count()

    def make(name="e", **more):
        base = {
            "id": name, "kind": "kill", "run": "r1", "epoch": None, "boot_id": procs.boot_id(), "state": "injected",
            "order": next(orders), "expires": BEGUN, "made": BEGUN - 10, "made_unix": 5e9 - 10, "service": "web",
            "container": "ab" * 32, "log": "runs/r1/s/a1/soak/chaos.jsonl", "undo": {"word": name},
        }  # fmt: skip
        return records.Record(**{**base, **more})

    return make
