# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where files from a node wait until all are there and proved: nothing leaves this folder but by `publish`.

Files are made below open folders, one component at a time, so that no name and no link leads anywhere else.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...module_utils.cellnode.beside import Beside
from ...module_utils.cellnode.walk import Folders
from ..run import atomic
from . import durable, paths, tree
from .errors import ArtifactError, corrupt
from .frames import Entry

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MORE_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
OWNER_BITS, ALL_BITS = 0o600, 0o777
BLOCK_BYTES = 1 << 20
# Past the page cache go files that would fill it: their bytes are on the disk when the last one has come.
DIRECT_BYTES = 8 << 20
PAGE_BYTES = 4096
# So many bytes are worth a look at the disk: fewer at a time keep it from other work, more are waited for at the end.
SETTLE_BYTES = 12 << 20


class NameTaken(Exception):
    """A name that the file system of the staging folder holds for that of another file."""


@lru_cache(maxsize=4096)  # a path is split when it is checked, and again when its file is made
def split(path: str) -> tuple[str, str]:
    """Return folder ("" or with a slash behind) and name of a relative path; ArtifactError when it could lead elsewhere."""
    if not paths.is_safe(path):
        said = f"the node offers the path {path!r}; only plain relative paths are taken"
        raise ArtifactError("artifact_unsafe_path", said, [path])
    prefix, slash, name = path.rpartition("/")
    return prefix + slash, name


class Staging:
    """A folder that is filled with files. proved: path -> entry of those that are whole.

    partial: {path, size, mtime_ns, ctime_ns, offset} of the file that was being received when a stream ended, or None.
    Given are those that an earlier Staging has left in the folder; whatever else there is in it is removed.
    """

    def __init__(self, folder: Path, proved: Iterable[Entry] = (), partial: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.proved = {one.path: one for one in proved}
        self.partial = dict(partial) if partial else None
        self._settling = Beside()
        self._unsettled = 0  # bytes of small files since the disk was last asked for
        with atomic.naming(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._base = os.open(folder, FOLDER_FLAGS)
            self._folders = Folders(self._base, make=True)
            self._umask = _umask()
            self._take_up()

    def put(self, entry: Entry, content: memoryview | bytes) -> None:
        """Write a whole and proved file."""
        mode = self._mode(entry)
        fd = self._create(entry, mode)
        try:
            _write(fd, content)
            self._finish(fd, entry, mode)
        finally:
            os.close(fd)
        self.proved[entry.path] = entry
        self._unsettled += entry.size
        if self._unsettled >= SETTLE_BYTES:
            self.settle()

    def take(self, entry: Entry) -> None:
        """Take a file that somebody else has put here as whole and proved; artifact_corrupt where it is not that file."""
        fd = self._there(entry.path, MORE_FLAGS)
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode) or info.st_size != entry.size:
                raise corrupt(f"{entry.path!r} was put in place, and is no file of {entry.size} bytes", entry.path)
            os.fchmod(fd, self._mode(entry))
            self._finish(fd, entry, self._mode(entry))
        finally:
            os.close(fd)
        self.proved[entry.path] = entry

    def begin(self, entry: Entry) -> Large:
        """Return a new file that is written in pieces, in place of the one that was received in part before."""
        self.drop_partial()
        return Large(self._create(entry, self._mode(entry)), entry, 0)

    def go_on(self, entry: Entry, offset: int) -> Large:
        """Return the file that was received in part, to be written on from offset."""
        if self.partial != _part(entry, offset):
            raise corrupt(f"{entry.path!r} goes on at byte {offset}, and that is not what is here", entry.path)
        fd = self._there(entry.path, MORE_FLAGS)
        os.ftruncate(fd, offset)
        self.partial = None
        return Large(fd, entry, offset)

    def nowhere(self, entry: Entry) -> Large:
        """Return what takes the bytes of a file that cannot be here."""
        return Large(-1, entry, 0)

    def end(self, large: Large, entry: Entry) -> None:
        """Take a file that was written in pieces as whole and proved."""
        self._finish(large.fd, entry, self._mode(entry))
        large.close()
        self.proved[entry.path] = entry

    def keep(self, large: Large) -> None:
        """Hold what has come of a file, to be gone on with."""
        if large.fd >= 0:
            large.close()
            self.partial = _part(large.entry, large.offset)

    def abandon(self, large: Large) -> None:
        """Remove what has come of a file."""
        if large.fd >= 0:
            large.close()
            self._drop(large.entry.path)

    def forget_others(self, paths: Container[str]) -> None:
        """Remove the proved files that are not among paths: the node has them no more."""
        for path in [path for path in self.proved if path not in paths]:
            self._drop(path)

    def drop_partial(self) -> None:
        """Remove what there is of a file that was received in part."""
        if self.partial is not None:
            path, self.partial = self.partial["path"], None
            self._drop(path)

    def move(self, path: str, to: str) -> None:
        """Give a whole file another path in this folder."""
        if path == to:
            return
        prefix, name = split(to)
        os.rename(self.folder / split(path)[0] / split(path)[1], name, dst_dir_fd=self._folder(prefix))
        self.proved[to] = self.proved.pop(path)._replace(path=to)

    def settle(self) -> None:
        """Begin to bring what is here to the disk while other things are done, so that `publish` has less to wait for.

        What the disk says is raised by the next call or by `publish`: it says so once.
        """
        if self._settling.idle():
            self._unsettled = 0
            self._settling.start(durable.at_once, self._base, len(self.proved))

    def publish(self, destination: Path) -> None:
        """Put all files in place, durably: by one rename where the destination is absent, else file by file.

        What there is of a file that was received in part is removed.
        """
        self.drop_partial()
        with atomic.naming(destination):
            os.fchmod(self._base, ALL_BITS & ~self._umask)
            self._settling.wait()
            durable.sync(self._base, len(self.proved))
            destination.parent.mkdir(parents=True, exist_ok=True)
            if destination.exists():
                self._move_each(destination)
            else:
                os.rename(self.folder, destination)
            atomic.sync_folder(destination.parent)
        self.close()

    def discard(self) -> None:
        """Remove the folder with all that is in it."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Let go of the open folders."""
        self._settling.end()
        self._folders.close()
        if self._base >= 0:
            os.close(self._base)
            self._base = -1

    def _take_up(self) -> None:
        """Remove what is in the folder beside the files that are known; forget of these what is not as it was left."""
        known = set(self.proved) | ({self.partial["path"]} if self.partial else set())
        there = tree.clear(self._base, known)
        self.proved = {path: one for path, one in self.proved.items() if there.get(path) == (one.size, one.mtime_ns)}
        part = self.partial
        if part and there.get(part["path"], (-1, 0))[0] < part["offset"]:
            self.partial = None
        keep = set(self.proved) | ({part["path"]} if self.partial and part else set())
        if keep != set(there):
            tree.clear(self._base, keep)

    def _create(self, entry: Entry, mode: int) -> int:
        """Return the descriptor of a new file in place of an earlier one of ours."""
        if entry.path in self.proved:
            self._drop(entry.path)
        try:
            return self._there(entry.path, FILE_FLAGS, mode)
        except FileExistsError:
            raise NameTaken(entry.path) from None

    def _there(self, path: str, flags: int, mode: int = 0) -> int:
        """Open a file of a path that is safe."""
        prefix, name = split(path)
        return os.open(name, flags, mode, dir_fd=self._folder(prefix))

    def _folder(self, prefix: str) -> int:
        try:
            return self._folders.at(prefix)
        except OSError as exc:
            if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            said = f"the node offers files below {prefix!r}, which is a file of its own"
            raise ArtifactError("artifact_unsafe_path", said, [prefix]) from None

    def _mode(self, entry: Entry) -> int:
        return (entry.mode & ALL_BITS) | OWNER_BITS

    def _finish(self, fd: int, entry: Entry, mode: int) -> None:
        """Give a written file its mode and time."""
        if mode & self._umask:
            os.fchmod(fd, mode)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def _drop(self, path: str) -> None:
        """Remove a file."""
        self.proved.pop(path, None)
        prefix, name = split(path)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._folder(prefix))

    def _move_each(self, destination: Path) -> None:
        """Move every file into a folder that is there; folders on the way that are links are not followed."""
        base = os.open(destination, FOLDER_FLAGS)
        targets = Folders(base, make=True)
        try:
            for path in sorted(self.proved):
                prefix, name = split(path)
                os.replace(name, name, src_dir_fd=self._folder(prefix), dst_dir_fd=targets.at(prefix))
            durable.sync_names(base, self.proved)
        finally:
            targets.close()
            os.close(base)
        shutil.rmtree(self.folder)


class Large:
    """A file that is written in pieces. offset: how much of it there is; fd: -1 where it goes nowhere."""

    def __init__(self, fd: int, entry: Entry, offset: int) -> None:
        self.fd, self.entry, self.offset = fd, entry, offset
        self._direct = fd >= 0 and entry.size - offset >= DIRECT_BYTES and _set_direct(fd, True)

    def write(self, piece: memoryview) -> None:
        """Write the next piece."""
        rest = piece
        while rest and self.fd >= 0:
            if self._direct and (len(rest) % PAGE_BYTES or self.offset % PAGE_BYTES):
                self._through_the_cache()
            try:
                count = os.pwrite(self.fd, rest, self.offset)
            except OSError as exc:
                if not self._direct or exc.errno != errno.EINVAL:
                    raise
                self._through_the_cache()
                continue
            self.offset += count
            rest = rest[count:]
        self.offset += len(rest)

    def blocks(self) -> Iterator[bytes]:
        """Yield what is in the file from its beginning."""
        self._through_the_cache()  # else what is read would have to be whole pages of memory
        at = 0
        while at < self.offset:
            block = os.pread(self.fd, BLOCK_BYTES, at)
            if not block:
                return
            at += len(block)
            yield block

    def _through_the_cache(self) -> None:
        """Let the file be read and written through the page cache from here on."""
        self._direct = self._direct and not _set_direct(self.fd, False)

    def close(self) -> None:
        """Let go of the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _part(entry: Entry, offset: int) -> dict[str, Any]:
    known = {"path": entry.path, "size": entry.size, "mtime_ns": entry.mtime_ns, "ctime_ns": entry.ctime_ns}
    return {**known, "offset": offset}


def _set_direct(fd: int, on: bool) -> bool:
    """Let writes go past the page cache or not; return whether that could be set."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT if on else flags & ~os.O_DIRECT)
    except OSError:
        return False
    return True


def _write(fd: int, content: memoryview | bytes) -> None:
    count = os.write(fd, content)
    while count < len(content):
        content = memoryview(content)[count:]
        count = os.write(fd, content)


def _umask() -> int:
    """Return this process's file mode mask; to set and restore it would be seen by other threads."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return ALL_BITS
