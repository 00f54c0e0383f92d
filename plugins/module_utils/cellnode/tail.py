# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit has written since its caller looked last, as it may leave the node, and how the unit is."""

from __future__ import annotations

import base64
import os
from contextlib import closing
from typing import Any

from . import cleanlog, logfile, supervise, unit
from .context import Context
from .params import integer, number, text
from .request import flag
from .scrub import Scrubber
from .unit import Status

MAX_CHUNK_BYTES = 8 << 20


class Tail:
    """What a caller has not seen yet of a unit; close it at the end.

    args: name, offset (what it has seen), max_bytes, sample (the offset may lie within a line), raw (secrets are kept).
    """

    def __init__(self, ctx: Context, args: dict[str, Any]) -> None:
        offset, limit = integer(args, "offset", 0, 0, 1 << 62), integer(args, "max_bytes", 1 << 18, 1, MAX_CHUNK_BYTES)
        self._wish = cleanlog.Wish(offset, limit, flag(args, "sample", False))
        self._scrubber = None if flag(args, "raw", False) else Scrubber(ctx.secrets)
        self._ctx = ctx
        self._folder_fd = unit.open_unit(ctx, text(args, "name"))
        self._looked_at = offset
        self._found: tuple[logfile.Chunk, int] | None = None

    def ended(self) -> bool:
        """Return whether the unit has ended."""
        return not supervise.current(self._folder_fd).live

    def new(self) -> bool:
        """Return whether there is output to give after the offset, or the unit has ended."""
        if self.ended():
            return True
        total = logfile.layout(self._folder_fd).total
        if total == self._looked_at:
            return False
        self._looked_at = total
        self._found = self._read(live=True)
        return self._found[0].offset > self._wish.offset

    def answer(self) -> dict[str, Any]:
        """Return the unit's state and what is new of its output; what is left of a unit that nobody watches is ended."""
        status = supervise.current(self._folder_fd)
        if not self._ctx.check:
            status = supervise.ended_if_lost(self._ctx, self._folder_fd, status)
        found = self._found if self._found and self._found[0].data else self._read(status.live)
        return _answer(self._ctx, status, *found)

    def _read(self, live: bool) -> tuple[logfile.Chunk, int]:
        """Return the next of the output and how many secrets were hidden in it."""
        if self._scrubber is None:
            return logfile.read(self._folder_fd, self._wish.offset, self._wish.max_bytes), 0
        return cleanlog.read(self._folder_fd, self._wish, self._scrubber, live)

    def close(self) -> None:
        """Let go of the unit's folder."""
        os.close(self._folder_fd)


def poll(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Return a unit's state and new output; wait up to wait_s for output after offset or for the end."""
    deadline, pause = (
        ctx.clock.monotonic() + number(args, "wait_s", 0.0, 0.0, supervise.MAX_WAIT_S),
        supervise.POLL_FIRST_S,
    )
    with closing(Tail(ctx, args)) as tail:
        while not tail.new():
            left = deadline - ctx.clock.monotonic()
            if left <= 0:
                break
            ctx.clock.sleep(min(pause, left))
            pause = supervise.next_pause(pause)
        return tail.answer()


def _answer(ctx: Context, status: Status, chunk: logfile.Chunk, hidden: int) -> dict[str, Any]:
    """Return the answer of a poll."""
    return {
        **supervise.summary(status),
        "seconds": supervise.age(ctx, status) if status.seconds is None else status.seconds,
        "log_b64": base64.b64encode(chunk.data).decode("ascii"),
        "offset": chunk.offset,
        "log_bytes": chunk.total,
        "truncated": chunk.dropped > 0,
        "dropped_bytes": chunk.dropped,
        "hidden": hidden,
    }
