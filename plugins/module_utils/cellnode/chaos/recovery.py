# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When services are ready again after a fault, by their own checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..context import Context
from ..engine import Engine
from ..errors import CellError
from ..objects import of_case
from ..prober import CEILING_S, FLOOR_S
from ..probes import Check
from ..readiness import GROWTH, Board, State

GONE_S = 5.0  # how long a service without a container is waited for: it may be made anew
AFRESH_S = 2.0  # a service that has failed may be started again, by another event or by its own script


def await_ready(ctx: Context, engine: Engine, checks: Sequence[Check], over: Callable[[], bool]) -> dict[str, State]:
    """Return {} as soon as all are ready; how each of the others stands once over() is true, or their containers stay away."""
    waiting, pause, seen = list(checks), FLOOR_S, ctx.clock.monotonic()
    while waiting:
        try:
            lacking = _ready_in_a_while(ctx, engine, waiting, over)
        except CellError as exc:
            lacking = {check.service: State("starting", exc.message) for check in waiting}
        waiting = [check for check in waiting if check.service in lacking]
        now = ctx.clock.monotonic()
        if not all(state.error_kind == "container_gone" for state in lacking.values()):
            seen = now
        if waiting and (over() or now - seen >= GONE_S):
            return lacking
        ctx.clock.sleep(pause if waiting else 0.0)
        pause = min(pause * GROWTH, CEILING_S)
    return {}


def _ready_in_a_while(ctx: Context, engine: Engine, checks: list[Check], over: Callable[[], bool]) -> dict[str, State]:
    """Return those that are not ready once it is over, or AFRESH_S after one has failed."""
    board, began, pause = Board(engine, of_case(ctx.needed_run), checks, ctx.clock), ctx.clock.monotonic(), FLOOR_S
    try:
        while True:
            board.wake.clear()
            states = board.look()
            lacking = {name: state for name, state in states.items() if state.state != "ready"}
            failed = any(state.state == "failed" for state in lacking.values())
            if not lacking or over() or (failed and ctx.clock.monotonic() - began >= AFRESH_S):
                return lacking
            board.wake.wait(pause)
            pause = min(pause * GROWTH, CEILING_S)
    finally:
        board.close()
