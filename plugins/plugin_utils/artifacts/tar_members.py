# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The members of an archive of a run, as a stranger may have made it: regular files at plain paths, within limits."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..run.folder import RUN_ID
from . import paths
from .claims import CORRUPT

UNSAFE, TOO_LARGE = "artifact_unsafe_path", "artifact_too_large"
# What a name may take: a path of Linux, with the blocks that a header is made of.
MAX_NAME_BYTES = 8192
SET_ID = 0o6000
LONGEST_S = 1 << 63
# Read at a time: more than a block of gzip gives, far less than the memory of any machine.
BLOCK_BYTES = 1 << 20
BUFFER_BYTES = 1 << 18
BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError, ValueError, RecursionError)


class ArchiveError(Exception):
    """An archive that is not taken. kind: an error_kind of the artifact group; member: the path in it, "" for none."""

    def __init__(self, kind: str, message: str, member: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.member = member


@dataclass(frozen=True)
class Member:
    """A file in an archive. path: below the run."""

    run_id: str
    path: str
    info: tarfile.TarInfo


class _Plain(tarfile.TarInfo):
    """A member that is a file of one piece. All else is refused at its header, before anything is read for it."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type == tarfile.GNUTYPE_LONGNAME and self.size > MAX_NAME_BYTES:
            raise ArchiveError(TOO_LARGE, f"a name of {self.size} bytes is over the limit of {MAX_NAME_BYTES}")
        if self.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.GNUTYPE_LONGNAME):
            raise ArchiveError(UNSAFE, f"it is {_kind(self.type)}, not a regular file", self.name)
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # made to be overridden
        return found


def _kind(code: bytes) -> str:
    kinds = {
        tarfile.LNKTYPE: "a hard link",
        tarfile.SYMTYPE: "a symbolic link",
        tarfile.CHRTYPE: "a device",
        tarfile.BLKTYPE: "a device",
        tarfile.DIRTYPE: "a folder",
        tarfile.FIFOTYPE: "a fifo",
        tarfile.GNUTYPE_SPARSE: "a sparse file",
    }
    return kinds.get(code, f"of the type {code!r}")


class Budget(io.RawIOBase):
    """A stream that ends the reading of more bytes than may come. left: bytes; it grows with what is known."""

    def __init__(self, stream: gzip.GzipFile, left: int) -> None:
        super().__init__()
        self._stream = stream
        self.left = left

    def read(self, size: int = -1) -> bytes:
        """Return up to size bytes; ArchiveError when more have come than may."""
        content = self._stream.read(min(size, BLOCK_BYTES) if size >= 0 else BLOCK_BYTES)
        self.left -= len(content)
        if self.left < 0:
            raise ArchiveError(TOO_LARGE, "it unpacks to more than its own manifests say; the rest was not read")
        return content


@contextmanager
def opened(path: Path, budget: int) -> Iterator[tuple[tarfile.TarFile, Budget]]:
    """Open a .tar.gz to be read once from its beginning. budget: bytes that may come unpacked before more is allowed."""
    with gzip.open(path, "rb") as packed:
        stream = Budget(packed, budget)
        try:
            with tarfile.open(
                fileobj=stream, mode="r|", bufsize=BUFFER_BYTES, tarinfo=_Plain, errors="surrogateescape"
            ) as archive:
                yield archive, stream
            while stream.read():  # to the end, where gzip has a checksum of all of it
                pass
        except BROKEN as exc:
            raise ArchiveError(CORRUPT, f"it cannot be read as .tar.gz: {exc}") from None


def members(archive: tarfile.TarFile) -> Iterator[Member]:
    """Yield the members in order; ArchiveError for one that must not be taken.

    None of them is extracted by tarfile: each is written as a file of ours, so that a filter of it has nothing to do.
    """
    run_id, seen = "", set[str]()
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]  # what has been read is not kept: there may be very many
        first, _, path = member.name.partition("/")
        if not (paths.is_plain(member.name) and paths.is_safe(path)):
            raise ArchiveError(UNSAFE, "only plain relative paths below the run are taken", member.name)
        if not RUN_ID.fullmatch(first) or first != (run_id or first):
            raise ArchiveError(CORRUPT, "all of it is expected below the id of one run", member.name)
        if member.mode & SET_ID:
            raise ArchiveError(UNSAFE, f"it is setuid or setgid (mode {member.mode:04o})", member.name)
        if path in seen or member.size < 0:
            raise ArchiveError(CORRUPT, "it is there twice, or has no size", member.name)
        if abs(member.mtime) >= LONGEST_S:
            raise ArchiveError(CORRUPT, "its time is none that a file can have", member.name)
        run_id = first
        seen.add(path)
        yield Member(run_id, path, member)
