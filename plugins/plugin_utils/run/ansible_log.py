# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's own log (`log_path`): while its disk has room runs go on; a line that it refuses is told once, not each time."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from . import limits, reserve

# Far more than one case writes at the verbosity that people use.
ROOM_BYTES = 1 << 20


def files(handlers: Iterable[logging.Handler]) -> list[Path]:
    """Return the files that handlers write to; what is no file, such as a pipe, needs no room."""
    places = [Path(handler.baseFilename) for handler in handlers if isinstance(handler, logging.FileHandler)]
    return [place for place in places if place.is_file()]


def no_room(logs: Iterable[Path]) -> str:
    """Return the words for the first log whose disk lacks room, "" when there is none."""
    full = (log for log in logs if reserve.free_bytes(log.parent) < ROOM_BYTES)
    return next((reserve.shortage(log, ROOM_BYTES) for log in full), "")


def tell_once(handlers: Iterable[logging.Handler], tell: Callable[[str], None]) -> None:
    """Have each handler tell in one sentence of the first line that its file refuses, in place of a traceback a line."""
    for handler in handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = _Teller(Path(handler.baseFilename), tell)  # type: ignore[method-assign]


class _Teller:
    """Takes the place of a handler's handleError."""

    def __init__(self, log: Path, tell: Callable[[str], None]) -> None:
        self._log, self._tell = log, tell
        self._told = False

    def __call__(self, record: logging.LogRecord) -> None:
        exc = sys.exc_info()[1]
        if self._told or exc is None:
            return
        self._told = True  # what is told is logged as well
        room = f"; {reserve.shortage(self._log, ROOM_BYTES)}" if limits.kind_of(exc) == "disk_full" else ""
        self._tell(f"{limits.told(limits.named(exc, self._log))}; lines of this log are lost{room}")
