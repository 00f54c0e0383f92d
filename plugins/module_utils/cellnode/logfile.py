# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit's output on disk: head and tail kept under a cap, read by the offset in the whole stream.

While the command runs the kept bytes lie in `log.<start>` files, start being the offset of their first byte in the
stream. At the end they become one file `log`, with a marker line at each gap, and `log.json` says what lies where.
Offsets given to readers always count the bytes that the command wrote, dropped ones included.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from .beneath import FILE_FLAGS
from .durable import WRITE_FLAGS, read_json, replace_json, write_all

SEALED, LAYOUT = "log", "log.json"
MIN_CAP_BYTES = 4096
COPY_BYTES = 1 << 20
RETRY_S = 1.0  # after a write error (a full disk), try again this much later
T = TypeVar("T")


@dataclass(frozen=True)
class Piece:
    """Kept bytes start..start+size of the stream; they lie in file name from position at."""

    start: int
    size: int
    name: str
    at: int = 0

    @property
    def end(self) -> int:
        """Return the offset after the last byte."""
        return self.start + self.size


@dataclass(frozen=True)
class Layout:
    """The pieces in order and the length of the whole stream, dropped bytes included."""

    pieces: tuple[Piece, ...]
    total: int

    @property
    def dropped(self) -> int:
        """Return the number of bytes that were not kept."""
        return self.total - sum(piece.size for piece in self.pieces)


@dataclass(frozen=True)
class Chunk:
    """A part of the stream. data: with marker lines for gaps; offset: where to read next."""

    data: bytes
    offset: int
    total: int
    dropped: int


def marker(dropped: int) -> bytes:
    """Return the line that stands for dropped bytes."""
    return f"\n[testcell: {dropped} bytes of output dropped here]\n".encode()


class CappedLog:
    """Writes a stream into pieces: the first half of the cap is kept, then at least the last quarter."""

    def __init__(self, folder_fd: int, cap_bytes: int, now: Callable[[], float] = time.monotonic) -> None:
        self.total = 0
        self.error: OSError | None = None
        self._folder, self._now = folder_fd, now
        self._head = cap_bytes // 2
        self._segment = max(1, (cap_bytes - self._head) // 2)
        self._pieces: list[Piece] = []
        self._fd = -1
        self._retry_at = 0.0

    def write(self, data: bytes) -> None:
        """Take bytes of the stream; never raise and never wait: what cannot be kept is counted as dropped."""
        view = memoryview(data)
        while view:
            taken = self._put(view)
            view = view[taken:]

    def _put(self, view: memoryview) -> int:
        """Keep or drop a first part of view and return its length, at least 1."""
        if self._now() < self._retry_at:
            self.total += len(view)
            return len(view)
        try:
            room = self._room()
            taken = os.write(self._fd, view[:room])
        except OSError as exc:
            self.error = self.error or exc
            self._retry_at = self._now() + RETRY_S
            self._close_piece()
            return self._put(view)
        last = self._pieces[-1]
        self._pieces[-1] = Piece(last.start, last.size + taken, last.name)
        self.total += taken
        return taken

    def _room(self) -> int:
        """Return how many bytes the open piece still takes, at least 1; open the next piece when it is full."""
        if self._fd >= 0 and self._limit() > self._pieces[-1].size:
            return self._limit() - self._pieces[-1].size
        self._close_piece()
        name = f"log.{self.total}"
        self._fd = os.open(name, WRITE_FLAGS, 0o600, dir_fd=self._folder)
        self._pieces.append(Piece(self.total, 0, name))
        self._forget_old()
        return self._limit()

    def _limit(self) -> int:
        """Return the size that the open piece may reach."""
        return self._head if self._pieces[-1].start == 0 else self._segment

    def _forget_old(self) -> None:
        """Delete the oldest pieces of the tail while the younger ones hold enough; an empty piece goes too."""
        tail = [piece for piece in self._pieces[:-1] if piece.start > 0]
        while len(tail) > 1 or (tail and tail[0].size == 0):
            self._pieces.remove(tail[0])
            with suppress(OSError):
                os.unlink(tail.pop(0).name, dir_fd=self._folder)

    def _close_piece(self) -> None:
        """Close the open piece."""
        if self._fd >= 0:
            try:
                os.close(self._fd)
            except OSError as exc:  # some file systems tell only now that they have not kept what was written
                self.error = self.error or exc
            self._fd = -1

    def seal(self) -> Layout:
        """Close the stream, make its pieces one file and return its layout; a disk error leaves the pieces."""
        self._close_piece()
        try:
            return seal(self._folder, self.total)
        except OSError as exc:
            self.error = self.error or exc
            return live_layout(self._folder)


def live_layout(folder_fd: int) -> Layout:
    """Return the layout of a stream that is still written, or whose supervisor died."""
    pieces = []
    for name in os.listdir(folder_fd):
        match = re.fullmatch(r"log\.(\d+)", name)
        if match:
            with suppress(FileNotFoundError):
                info = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
                pieces.append(Piece(int(match.group(1)), info.st_size, name))
    pieces.sort(key=lambda piece: piece.start)
    return Layout(tuple(pieces), pieces[-1].end if pieces else 0)


def layout(folder_fd: int) -> Layout:
    """Return where the kept bytes lie now."""
    if not _exists(folder_fd, SEALED):
        return live_layout(folder_fd)
    data = read_json(folder_fd, LAYOUT)
    return Layout(tuple(Piece(start, size, SEALED, at) for start, size, at in data["pieces"]), data["total"])


def _exists(folder_fd: int, name: str) -> bool:
    """Return whether a name is there."""
    try:
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def seal(folder_fd: int, total: int | None = None) -> Layout:
    """Make the pieces one file `log` and return its layout; doing it again changes nothing."""
    live = live_layout(folder_fd)
    if _exists(folder_fd, SEALED):
        _drop_pieces(folder_fd, live)
        return layout(folder_fd)
    live = Layout(live.pieces, max(live.total, total or 0))
    temp = ".log.tmp"
    fd = os.open(temp, WRITE_FLAGS, 0o600, dir_fd=folder_fd)
    try:
        placed = list(_copy_pieces(folder_fd, fd, live))
        os.fsync(fd)
    except OSError:
        os.unlink(temp, dir_fd=folder_fd)
        raise
    finally:
        os.close(fd)
    replace_json(folder_fd, LAYOUT, {"total": live.total, "pieces": placed})
    os.rename(temp, SEALED, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    os.fsync(folder_fd)
    _drop_pieces(folder_fd, live)
    return layout(folder_fd)


def _drop_pieces(folder_fd: int, live: Layout) -> None:
    """Delete the pieces that the sealed file holds."""
    for piece in live.pieces:
        with suppress(FileNotFoundError):
            os.unlink(piece.name, dir_fd=folder_fd)


def _copy_pieces(folder_fd: int, out_fd: int, live: Layout) -> Iterator[tuple[int, int, int]]:
    """Copy the pieces and markers to a file and yield (start, size, position) of each piece."""
    at = end = 0
    for piece in live.pieces:
        at += _put_marker(out_fd, piece.start - end)
        for data in _blocks(folder_fd, piece):
            write_all(out_fd, data)
        yield piece.start, piece.size, at
        at, end = at + piece.size, piece.end
    _put_marker(out_fd, live.total - end)


def _put_marker(out_fd: int, dropped: int) -> int:
    """Write the marker line for a gap and return its length; nothing for no gap."""
    line = marker(dropped) if dropped > 0 else b""
    write_all(out_fd, line)
    return len(line)


def _blocks(folder_fd: int, piece: Piece) -> Iterator[bytes]:
    """Yield a piece's bytes in blocks."""
    fd = os.open(piece.name, FILE_FLAGS, dir_fd=folder_fd)
    try:
        done = 0
        while done < piece.size:
            data = os.pread(fd, min(COPY_BYTES, piece.size - done), piece.at + done)
            if not data:
                return
            done += len(data)
            yield data
    finally:
        os.close(fd)


def read(folder_fd: int, offset: int, max_bytes: int) -> Chunk:
    """Return up to max_bytes of the stream from offset on; a gap gives its marker line and is then jumped over."""
    nothing = Chunk(b"", offset, offset, 0)
    return retried(folder_fd, lambda view: _read_once(folder_fd, view, offset, max_bytes), nothing)


def retried(folder_fd: int, look: Callable[[Layout], T], nothing: T) -> T:
    """Return what look makes of the layout; again where a piece was dropped or the log was sealed in between."""
    for _ in range(8):
        with suppress(FileNotFoundError):
            return look(layout(folder_fd))
    return nothing


def content(folder_fd: int, pieces: Sequence[Piece], start: int, max_bytes: int) -> bytes:
    """Return up to max_bytes of the stream from start on, as far as these pieces hold it without a gap."""
    out, pos, left = [], start, max_bytes
    for piece in pieces:
        if piece.start <= pos < piece.end and left > 0:
            size = min(left, piece.end - pos)
            part = b"".join(_blocks(folder_fd, Piece(pos, size, piece.name, piece.at + pos - piece.start)))
            out.append(part)
            pos, left = pos + len(part), left - len(part)
    return b"".join(out)


def _read_once(folder_fd: int, view: Layout, offset: int, max_bytes: int) -> Chunk:
    """Return a chunk as the given layout shows it."""
    out, pos, left = [], offset, max_bytes
    for piece in view.pieces:
        if piece.end <= pos or left <= 0:
            continue
        if piece.start > pos:
            out.append(marker(piece.start - pos))
            pos = piece.start
        part = content(folder_fd, [piece], pos, left)
        out.append(part)
        pos, left = pos + len(part), left - len(part)
    if left > 0 and pos < view.total:
        out.append(marker(view.total - pos))
        pos = view.total
    return Chunk(b"".join(out), pos, view.total, view.dropped)
