# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit `chaos-guard`, the runner's dead man's switch: whatever fault of the run is past its time is undone by it.

It is a process of its own, so that the end of the runner, by whatever, leaves no fault behind. Asked to end, it ends as soon
as nothing is open; what the runner does not undo then, it does.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from .. import procs, supervise, unit
from ..context import Context
from ..engine import connect
from ..errors import CellError
from . import kinds
from . import plan as plans
from .journal import GUARD, Journal
from .plan import Plan
from .records import ARMED, Record, Records
from .reverting import revert

UNIT, RUNNER_UNIT = "chaos-guard", "chaos"
LOOK_S = 0.25
LATE_S = 2.0  # the runner itself undoes a fault at its time
CALL_S = 60.0


class Guard:
    """Looks after the records of one run."""

    def __init__(self, ctx: Context, plan: Plan) -> None:
        self._ctx, self._plan = ctx, plan
        self._kept = Records(ctx.root, ctx.needed_run.id)
        self._engine = connect(ctx.environ, CALL_S)
        self._asked = False
        for event in plan.events:
            kinds.find(event.kind)  # while the program is there to be read

    def end(self) -> None:
        """Have it end; may be called by a signal's handler, and so takes no lock."""
        self._asked = True

    def run(self) -> None:
        """Look again and again until the soak is over and nothing is open."""
        while True:
            for record in self._open() or ():
                if self._is_due(record):
                    self._undo(record)
            if (self._asked or self._is_over()) and self._open() == []:
                return
            self._ctx.clock.sleep(LOOK_S)

    def _open(self) -> list[Record] | None:
        """Return the open records that can be read; one that cannot is found by the next contact. None: it cannot be told."""
        try:
            return [record for record in self._kept.readable() if record.open]
        except (CellError, OSError):
            return None

    def _undo(self, record: Record) -> None:
        journal = Journal(self._ctx.root, record.log, GUARD, self._ctx.clock)
        try:
            revert(self._ctx, self._engine, record.run, record.id, journal, self._is_due)
        except (CellError, OSError):
            return  # it is tried again at the next look

    def _is_due(self, record: Record) -> bool:
        """Return whether nobody else will undo a fault in time."""
        return record.overdue(self._ctx.clock.boottime(), LATE_S) or self._is_forsaken(record)

    def _is_forsaken(self, record: Record) -> bool:
        """Return whether the runner is gone without whom the end of this fault is not known, or must not be waited for."""
        return (record.state == ARMED or self._asked) and not self._runner_lives()

    def _runner_lives(self) -> bool:
        try:
            folder_fd = unit.open_unit(self._ctx, RUNNER_UNIT)
        except CellError:
            return False
        try:
            return supervise.current(folder_fd).live
        except CellError:
            return False
        finally:
            os.close(folder_fd)

    def _is_over(self) -> bool:
        """Return whether the load has ended by the time since boot."""
        found = plans.begun(self._ctx)
        if found is None:
            return False
        same = found.get("boot_id") == procs.boot_id()
        return not same or self._ctx.clock.boottime() > float(found["b"]) + self._plan.duration_s


def main(path: Path) -> None:
    """Guard a request that was written."""
    guard = Guard(*plans.read(path))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: guard.end())
    guard.run()
