# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit `chaos`: it makes the faults of a case happen on this node by the time since boot, and undoes every one of them.

It needs no controller. Asked to end, it undoes what is open, proves it, and ends.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

from .. import procs
from ..context import Context
from ..engine import connect
from . import plan as plans
from .happening import Happening, Stage
from .journal import RUNNER, Journal, target
from .loop import Life, Loop, Step, Threads, Wait
from .plan import Plan
from .records import Records

LOOK_S = 0.1  # how often the load's begin is looked for
CALL_S = 60.0


class Runner:
    """The events of one case on this node."""

    def __init__(self, ctx: Context, plan: Plan, loop: Loop) -> None:
        self._ctx, self._plan, self._loop = ctx, plan, loop
        self._log = plans.log_of(ctx)
        self._journal = Journal(ctx.root, self._log, RUNNER, ctx.clock)

    def run(self) -> None:
        """Return when every event is over."""
        for event in self._plan.events:
            self._say(event, "planned", at_s=event.at_s, duration_s=event.duration_s, service=event.service,
                      recovery_s=event.recovery_s, expected=event.expected, params=dict(event.params),
                      negative_control=self._plan.negative)  # fmt: skip
        self._loop.add(self._life())
        self._loop.run()

    def _say(self, event: plans.Event, phase: str, **more: object) -> None:
        shown = {"id": event.id, "kind": event.kind, "target": target(event.service, "")}
        self._journal.say(shown, phase, **more)

    def _life(self) -> Life:
        """Wait for the load to begin, then let each event come."""
        begun = yield from self._begun()
        if begun is None:
            for event in self._plan.events:
                self._say(event, "not_reached", why="the load never began")
            return
        ctx = self._ctx
        kept = Records(ctx.root, ctx.needed_run.id)
        engine = connect(ctx.environ, CALL_S)
        stage = Stage(ctx, engine, self._plan, self._journal, kept, self._loop, self._log, begun)
        for event in self._plan.events:
            self._loop.add(Happening(stage, event).life())

    def _begun(self) -> Generator[Step, Any, float | None]:
        """Return when the load began (seconds since boot), None where everything ended before."""
        while not self._loop.ending:
            found = plans.begun(self._ctx)
            if found is not None and found.get("boot_id") == procs.boot_id():
                return float(found["b"])
            yield Wait(self._ctx.clock.boottime() + LOOK_S, cut=True)
        return None


def main(path: Path) -> None:
    """Run a request that was written."""
    ctx, plan = plans.read(path)
    hands = Threads()
    loop = Loop(ctx.clock, hands)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.end())
    try:
        Runner(ctx, plan, loop).run()
    finally:
        hands.close()
