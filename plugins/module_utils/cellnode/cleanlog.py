# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit's output as it leaves the node: read by its offset like the log itself, without its secrets.

The log on the node's disk is as the command wrote it, since taking secrets out costs more than writing does and a command
must not wait for it; it lies in a private folder and goes with the run. Nobody is given a byte of it that has not passed
here. Where bytes were dropped, the broken lines on both sides go too: half a secret cannot be told from other text.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import logfile
from .logfile import Chunk, Layout, Piece
from .scrub import AHEAD, Scrubber, after_gap, before_gap


@dataclass(frozen=True)
class Wish:
    """What a reader asks for: about max_bytes from offset on. sample: the offset may lie within a line, and gaps are jumped over."""

    offset: int
    max_bytes: int
    sample: bool = False


def read(folder_fd: int, wish: Wish, scrubber: Scrubber, live: bool) -> tuple[Chunk, int]:
    """Return a chunk of the log and the number of secrets hidden in it. live: more may come, so an open line is held back."""
    chunk, hidden = logfile.retried(
        folder_fd,
        lambda view: _Reading(folder_fd, view, scrubber, live).read(wish),
        (Chunk(b"", wish.offset, wish.offset, 0), 0),
    )
    return chunk, hidden


@dataclass(frozen=True)
class _Reading:
    """One look at the log as a layout shows it."""

    folder_fd: int
    view: Layout
    scrubber: Scrubber
    live: bool

    def read(self, wish: Wish) -> tuple[Chunk, int]:
        run = next((run for run in _runs(self.view) if run[-1].end > wish.offset), None)
        if run is None:
            lost = self.view.total - wish.offset
            return self._chunk(logfile.marker(lost) if lost > 0 else b"", max(wish.offset, self.view.total)), 0
        start = max(wish.offset, run[0].start)
        data = logfile.content(self.folder_fd, run, start, wish.max_bytes + AHEAD)
        gap = start - wish.offset
        skipped = after_gap(data) if gap or (wish.sample and start) else 0
        body, at = data[skipped:], start + skipped
        head = logfile.marker(gap + skipped) if gap else b""
        whole, last = at + len(body) >= run[-1].end, run[-1].end == self.view.total
        if last or not whole:
            part = self.scrubber.part(body, wish.max_bytes, ended=whole and not self.live)
            if not part.used and (self.live or body):
                return self._chunk(b"", wish.offset), 0
            return self._chunk(head + part.clean, at + part.used), part.hidden
        kept = before_gap(body)
        part = self.scrubber.whole(body[:kept])
        if self.live and not wish.sample:
            # more will be dropped there: a gap that is told while it grows would be told again
            return self._chunk(head + part.clean, at + kept) if kept else self._chunk(b"", wish.offset), part.hidden
        beyond = self._beyond(run[-1].end)
        return self._chunk(head + part.clean + logfile.marker(beyond - at - kept), beyond), part.hidden

    def _beyond(self, gap: int) -> int:
        """Return where the first whole line after a gap begins."""
        following = next((run for run in _runs(self.view) if run[0].start > gap), None)
        if following is None:
            return self.view.total
        start = following[0].start
        return start + after_gap(logfile.content(self.folder_fd, following, start, AHEAD))

    def _chunk(self, data: bytes, offset: int) -> Chunk:
        return Chunk(data, offset, self.view.total, self.view.dropped)


def _runs(view: Layout) -> list[list[Piece]]:
    """Return the pieces in runs between which bytes were dropped."""
    runs: list[list[Piece]] = []
    for piece in view.pieces:
        if runs and runs[-1][-1].end == piece.start:
            runs[-1].append(piece)
        elif piece.size:
            runs.append([piece])
    return runs
