# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoing one fault by its record, and proving that it is gone: the same for the runner, the guard and the next contact."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Container

from ..context import Context
from ..engine import Engine
from ..errors import CellError
from . import kinds, records
from .fault import Gone, Place
from .journal import UNDONE, VERIFIED, Journal, target
from .records import Record, Records


def place_of(ctx: Context, engine: Engine, record: Record) -> Place:
    """Return where the fault of a record is worked on."""
    own = Records(ctx.root, record.run).own(record.id)
    return Place(ctx, engine, own, record.id, record.expires, record.half)


def revert(
    ctx: Context, engine: Engine, run: str, name: str, journal: Journal, due: Callable[[Record], bool] = lambda _: True
) -> list[str]:
    """Undo a fault, prove it, and note both; return in words what is left of it, [] also where it was undone before.

    due: whether it is to be undone, asked when nobody else works on it any more: its beginning may have taken long.
    """
    kept = Records(ctx.root, run)
    with kept.locked(name):
        record = kept.load(name)
        if record is None or not record.open or not due(record):
            return []
        left, at = _undone(place_of(ctx, engine, record), record)
        if left:
            return left
        shutil.rmtree(kept.own(name), ignore_errors=True)  # what a kind keeps there is no part of the fault
        kept.save(records.undone(record, at))
        tell(journal, record)
    return []


def tell(journal: Journal, record: Record, said: Container[tuple[str, str]] = ()) -> None:
    """Say that a fault was undone and proved to be gone, as far as that has not been said."""
    event = {"id": record.id, "kind": record.kind, "target": target(record.service, record.container)}
    if (record.id, UNDONE) not in said:
        journal.say(event, UNDONE)
    if (record.id, VERIFIED) not in said:
        journal.say(event, VERIFIED, left=[])


def _undone(place: Place, record: Record) -> tuple[list[str], float]:
    """Undo one fault and return what is left of it, and when it was undone (seconds since boot)."""
    clock = place.ctx.clock
    try:
        fault = kinds.find(record.kind)
        fault.undo(place, record.undo)
        at = clock.boottime()
        return fault.left(place, record.undo), at
    except Gone:
        return [], clock.boottime()
    except (CellError, OSError) as exc:
        return [f"it cannot be undone: {exc}"], 0.0
    except Exception as exc:  # whatever is wrong with one fault, others must be undone
        return [f"it cannot be undone: {type(exc).__name__}: {exc}"], 0.0
