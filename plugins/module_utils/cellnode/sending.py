# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One stream on its way: each file is opened, read, digested and sent once, provided that it stays what the walk saw."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import digests, frames
from .beneath import FILE_FLAGS
from .beside import Beside
from .context import os_error_kind
from .errors import CellError
from .placing import Placing, shared
from .squeeze import Squeeze
from .walk import Folders, Found, Walk, file_fault, refusal, same

NAME_BYTES = 6  # of JSON for one letter of a name, at most
FIGURES_BYTES = 256  # of JSON for the rest of an entry
PLACED_BYTES = 64 << 20  # are told of at the latest: who waits hears something, and a cut stream has them proved
# What opening or reading says of a file, or of a folder on its way, that is gone or of another kind by now.
REPLACED = frozenset((errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO))


class Changed(Exception):
    """A file that is not (any more) what the walk saw."""


@dataclass(frozen=True)
class Order:
    """What the receiver wants of a walk; see send.Wanted. placing: where files are put instead of into the stream."""

    have: dict[str, frames.Entry] = field(default_factory=dict)
    partial: dict[str, Any] = field(default_factory=dict)
    at_most: int = 0
    placing: Placing | None = None

    def same(self, found: Found, proved: bool) -> frames.Entry | None:
        """Return the receiver's entry of a file that it has as it is. proved: only one with a digest counts."""
        row = self.have.get(found.path)
        known = (
            row is not None
            and [row[0], row[1], row[3], row[4]] == _identity(found)
            and row[2] == stat.S_IMODE(found.info.st_mode)
            and bool(row[5] or not proved)
        )
        return row if known else None

    def begun(self, found: Found) -> int:
        """Return how many bytes of a file the receiver holds, which it has not proved yet."""
        keys = ("path", "size", "mtime_ns", "ctime_ns")
        if not self.partial or [self.partial.get(key) for key in keys] != _identity(found):
            return 0
        offset = self.partial.get("offset")
        return offset if isinstance(offset, int) and 0 < offset <= found.info.st_size else 0


class Tally:
    """The sums of the last frame."""

    def __init__(self, new: digests.Factory | None) -> None:
        self.files = self.bytes = 0
        self._manifest = new() if new else None

    def add(self, entries: Sequence[frames.Entry]) -> None:
        """Count entries that were sent."""
        self.files += len(entries)
        self.bytes += sum(entry[1] for entry in entries)
        if self._manifest:
            self._manifest.update(frames.lines_of(entries))

    def as_dict(self) -> dict[str, Any]:
        """Return the sums as JSON values."""
        digest = self._manifest.hexdigest() if self._manifest else ""
        return {"files": self.files, "bytes": self.bytes, "manifest": digest}


class Sending:
    """Sends one walk. prove: full, size, or off, where a file that is written meanwhile is taken as it is."""

    def __init__(self, out: frames.Outlet, algorithm: str, prove: str, compress: str) -> None:
        self._out, self._algorithm, self._strict = out, algorithm, prove != "off"
        self._new = digests.factory(algorithm)
        self._tally = Tally(self._new)
        self._squeeze = Squeeze(compress, out)
        self._begin = time.monotonic()
        self._raw = 0
        self._more = False
        self._told = self._new() if self._new else None
        self._refused: list[dict[str, Any]] = []
        self._heads: list[frames.Entry] = []
        self._contents: list[bytes] = []
        self._held = self._head_bytes = 0
        self._placing: Placing | None = None
        self._beside = Beside()
        self._rooms: list[memoryview] = []

    def nothing(self, patterns: Sequence[str]) -> None:
        """Send the stream of a base that is absent."""
        self._plan(0, 0, 0)
        self._close([], patterns)

    def run(self, base_fd: int, walk: Walk, order: Order) -> None:
        """Send what a walk below an open folder has found."""
        self._placing = order.placing
        here, todo = self._sorted(walk.files, order)
        size = sum(found.info.st_size - order.begun(found) for found in todo)
        self._plan(len(walk.files), size, len(here))
        self._out.values(frames.SAME, here)
        self._tally.add(here)
        folders = Folders(base_fd)
        try:
            self._all(folders, todo, order)
        finally:
            folders.close()
            self._beside.end()
        self._close(walk.refused + self._refused, walk.missing())

    def _sorted(self, files: Sequence[Found], order: Order) -> tuple[list[frames.Entry], list[Found]]:
        """Return the entries of what the receiver has, and the other files."""
        here, todo = [], []
        for found in files:
            row = order.same(found, self._new is not None) if order.have else None
            if row is None:
                todo.append(found)
            else:
                here.append(row)
        return here, todo

    def _plan(self, files: int, size: int, same_files: int) -> None:
        plan = {"files": files, "bytes": size, "algorithm": self._algorithm, "same": same_files}
        self._tell([self._out.value(frames.PLAN, plan)])

    def _close(self, refused: Sequence[dict[str, Any]], missing: Sequence[str]) -> None:
        """Send what is no file, and the end."""
        self._tell(self._out.values(frames.REFUSED, refused))
        self._tell(self._out.values(frames.MISSING, missing))
        self._end()

    def _end(self) -> None:
        took = {"sent": self._out.sent, "raw": self._raw, "seconds": round(time.monotonic() - self._begin, 6)}
        last = {**self._tally.as_dict(), "more": self._more, **took}
        self._tell([frames.packed(last)])
        check = self._told.hexdigest() if self._told else ""
        self._out.value(frames.END, {**last, "check": check})

    def _tell(self, payloads: Sequence[bytes]) -> None:
        """Add to the digest of what is told beside the files."""
        for payload in payloads:
            if self._told:
                self._told.update(payload)

    def _all(self, folders: Folders, todo: Sequence[Found], order: Order) -> None:
        """Send files until the limit of this stream is reached."""
        for found in todo:
            size = found.info.st_size
            large = size > frames.SMALL_BYTES
            if order.at_most and self._raw and self._raw + (1 if large else size) > order.at_most:
                self._more = True
            if self._more:
                break
            self._try(folders, found, order)
        self._flush()

    def _try(self, folders: Folders, found: Found, order: Order) -> None:
        """Send one file, or note why not."""
        try:
            if self._placing:
                self._place(folders, found, self._placing)
            elif found.info.st_size <= frames.SMALL_BYTES:
                self._small(folders, found)
            else:
                self._flush()
                self._large(folders, found, order)
        except Changed as exc:
            self._refuse(found, "artifact_changed", str(exc))
        except OSError as exc:
            if exc.errno in REPLACED:
                self._refuse(found, "artifact_changed", f"it vanished or was replaced meanwhile: {exc.strerror}")
            else:
                self._refuse(found, os_error_kind(exc), f"it cannot be read: {exc.strerror}")

    def _refuse(self, found: Found, kind: str, why: str) -> None:
        self._refused.append(refusal(found.path, kind, why))

    def _hold_against(self, found: Found, info: os.stat_result, done: int) -> None:
        """Raise Changed where a file is not what the walk saw. done: how many of its bytes were read."""
        if done == found.info.st_size and same(found.info, info):
            return
        fault = file_fault(info)
        if fault:
            raise Changed(f"it changed while it was fetched: {fault}")
        if done != found.info.st_size or self._strict:
            sizes = f"{found.info.st_size} bytes before, {info.st_size} after"
            raise Changed(f"it changed while it was fetched ({sizes})")

    def _small(self, folders: Folders, found: Found) -> None:
        """Add a file to the bundle."""
        fd = os.open(found.name, FILE_FLAGS, dir_fd=folders.at(found.prefix))
        try:
            content = _whole(fd, found.info.st_size)
            info = os.fstat(fd)
        finally:
            os.close(fd)
        self._hold_against(found, info, len(content))
        if self._held + len(content) > frames.BLOCK_BYTES or self._head_bytes > frames.HEAD_BYTES:
            self._flush()
        self._contents.append(content)
        self._held += len(content)
        self._raw += len(content)
        self._head(found, self._new(content).hexdigest() if self._new else "")

    def _head(self, found: Found, digest: str) -> None:
        self._heads.append(_entry(found, digest))
        self._head_bytes += NAME_BYTES * len(found.path) + FIGURES_BYTES

    def _flush(self) -> None:
        """Send the bundle."""
        if not self._heads:
            return
        packed = self._squeeze.packed(self._contents)
        flags = frames.PLACED if self._placing else frames.ZLIB if packed is not None else 0
        self._out.bundle(frames.packed(self._heads), self._contents if packed is None else [packed], flags)
        self._tally.add(self._heads)
        self._heads, self._contents = [], []
        self._held = self._head_bytes = 0

    def _large(self, folders: Folders, found: Found, order: Order) -> None:
        """Send a file by blocks, all of it or as far as this stream's limit."""
        fd = os.open(found.name, FILE_FLAGS, dir_fd=folders.at(found.prefix))
        try:
            self._hold_against(found, os.fstat(fd), found.info.st_size)
            offset, size = order.begun(found), found.info.st_size
            end = min(size, offset + order.at_most - self._raw) if order.at_most else size
            entry = _entry(found, "")
            self._out.value(frames.BEGIN, [*entry[:5], offset])
            self._more = end < size
            self._body(fd, found, offset, end)
        finally:
            os.close(fd)

    def _body(self, fd: int, found: Found, offset: int, end: int) -> None:
        """Send the bytes from offset to end of an open file, and its end with the digest of all of it."""
        digest = self._new() if self._new and not self._more else None
        try:
            done = self._blocks(fd, 0, offset, digest, send=False) if digest else offset
            done = self._blocks(fd, done, end, digest, send=True)
            self._hold_against(found, os.fstat(fd), found.info.st_size if done == end else done)
        except (Changed, OSError) as exc:
            self._more = False
            why = str(exc) if isinstance(exc, Changed) else f"it cannot be read: {exc.strerror}"
            self._out.value(frames.FILE_END, {"changed": why})
            raise
        if not self._more:
            name = digest.hexdigest() if digest else ""
            self._out.value(frames.FILE_END, {"digest": name})
            self._tally.add([_entry(found, name)])

    def _blocks(self, fd: int, begin: int, end: int, digest: Any, send: bool) -> int:
        """Read an open file from begin to end, digest and send it; return how far it goes."""
        if not self._rooms:
            length = frames.HEADER.size + frames.BLOCK_BYTES
            self._rooms = [memoryview(bytearray(length)) for _ in range(2)]
        at = begin
        while at < end:
            self._rooms.reverse()  # the digest of the block before may still be made
            room = self._rooms[0]
            body = room[frames.HEADER.size :]
            got = os.preadv(fd, [body[: end - at]], at)
            if not got:
                break
            if digest:
                self._beside.start(digest.update, body[:got])
            if send:
                self._data(room, body[:got])
            at += got
        self._beside.wait()
        return at

    def _data(self, room: memoryview, content: memoryview) -> None:
        packed = self._squeeze.packed([content])
        if packed is None:
            self._out.data(room, len(content))
        else:
            self._out.frame(frames.DATA, packed, frames.ZLIB)
        self._raw += len(content)

    def _place(self, folders: Folders, found: Found, placing: Placing) -> None:
        """Put a file into the folder of this machine."""
        fd = os.open(found.name, FILE_FLAGS, dir_fd=folders.at(found.prefix))
        try:
            self._hold_against(found, os.fstat(fd), found.info.st_size)
            digest = self._copied(fd, found, placing)
        except CellError as exc:
            if exc.kind != "artifact_unsafe_path":
                raise
            return self._refuse(found, exc.kind, exc.message)
        finally:
            os.close(fd)
        self._head(found, digest)
        self._held += found.info.st_size
        if self._held >= PLACED_BYTES or self._head_bytes > frames.HEAD_BYTES:
            self._flush()
        return None

    def _copied(self, fd: int, found: Found, placing: Placing) -> str:
        """Copy an open file and return the digest of the copy."""
        digest = self._new() if self._new else None
        target_fd = placing.create(found)
        try:
            if shared(fd, target_fd):
                done = self._blocks(target_fd, 0, found.info.st_size, digest, send=False)
                os.ftruncate(target_fd, done)  # of a file that has grown, more was shared
            else:
                done = self._copy(fd, target_fd, found.info.st_size, digest)
            self._hold_against(found, os.fstat(fd), done)
        except (Changed, OSError):
            placing.remove(found)
            raise
        finally:
            os.close(target_fd)
        return digest.hexdigest() if digest else ""

    def _copy(self, fd: int, target_fd: int, size: int, digest: Any) -> int:
        """Copy an open file through memory, so that what is digested is what is written; return how far it goes."""
        at = 0
        while at < size:
            block = os.pread(fd, min(frames.BLOCK_BYTES, size - at), at)
            if not block:
                break
            if digest:
                self._beside.start(digest.update, block)
            _write(target_fd, block, at)
            at += len(block)
        self._beside.wait()
        return at


def _entry(found: Found, digest: str) -> frames.Entry:
    info = found.info
    return [found.path, info.st_size, stat.S_IMODE(info.st_mode), info.st_mtime_ns, info.st_ctime_ns, digest]


def _identity(found: Found) -> list[Any]:
    """Return what tells one state of a file from another; nobody can set the ctime."""
    return [found.path, found.info.st_size, found.info.st_mtime_ns, found.info.st_ctime_ns]


def _whole(fd: int, size: int) -> bytes:
    """Return the contents of an open file, fewer than size bytes where it has shrunk."""
    content = os.read(fd, size)
    while 0 < len(content) < size:
        more = os.read(fd, size - len(content))
        if not more:
            break
        content += more
    return content


def _write(fd: int, block: bytes, at: int) -> None:
    """Write a block to the copy; what fails there is no fault of the file that is copied."""
    rest = memoryview(block)
    try:
        while rest:
            count = os.pwrite(fd, rest, at)
            at += count
            rest = rest[count:]
    except OSError as exc:
        raise CellError(os_error_kind(exc), f"the copy cannot be written: {exc.strerror}", errno=exc.errno) from exc
