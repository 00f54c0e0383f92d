# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a tree: every regular file that the patterns match, with its digest, and all that was refused."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from . import mounts
from .beneath import FOLDER_FLAGS, kind_of, open_regular
from .context import os_error_kind
from .errors import CellError
from .patterns import Patterns, States, Step

BLOCK_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NAMES = 200_000  # names looked at in one folder


@dataclass(frozen=True)
class Limits:
    """How much a manifest may hold."""

    files: int
    size: int


@dataclass(frozen=True)
class Entry:
    """One file of a manifest; inode and links tell hard links apart and stay on the node.

    ctime_ns: nobody can set it, so it betrays a file put in place of another with the same size and time.
    """

    path: str
    size: int
    mode: int
    mtime_ns: int
    ctime_ns: int
    sha256: str
    inode: tuple[int, int]
    links: int

    def as_dict(self) -> dict[str, Any]:
        """Return the file as JSON values."""
        shown: dict[str, Any] = {"path": self.path, "size": self.size, "mode": self.mode, "sha256": self.sha256}
        return {**shown, "mtime": self.mtime_ns / 1e9, "mtime_ns": self.mtime_ns, "ctime_ns": self.ctime_ns}


def refusal(path: str, kind: str, why: str) -> dict[str, Any]:
    """Return one refused path as JSON values."""
    return {"path": path, "kind": kind, "why": why}


def file_fault(info: os.stat_result) -> str:
    """Return why an opened or listed file is no artifact, or ""."""
    if not stat.S_ISREG(info.st_mode):
        return f"it is {kind_of(info.st_mode)}, not a regular file"
    if info.st_mode & (stat.S_ISUID | stat.S_ISGID):
        return f"it is setuid or setgid (mode {stat.S_IMODE(info.st_mode):04o})"
    return ""


def same(before: os.stat_result, after: os.stat_result) -> bool:
    """Return whether a file did not change between two looks at its descriptor."""
    fields = ("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino", "st_dev")
    return all(getattr(before, field) == getattr(after, field) for field in fields)


def mounts_below(folder_fd: int) -> frozenset[str]:
    """Return the relative paths of mount points below an open folder; they are not touched, a dead one would hang."""
    base = os.readlink(f"/proc/self/fd/{folder_fd}").rstrip("/") + "/"
    return frozenset(one.point[len(base) :] for one in mounts.current() if one.point.startswith(base))


@dataclass(frozen=True)
class Place:
    """One name in an open folder; path: from the base; depth: folders between."""

    folder_fd: int
    name: str
    path: str
    depth: int


class Scan:
    """One walk over a tree; files, refused and matched are its results."""

    def __init__(self, base_fd: int, patterns: Patterns, limits: Limits) -> None:
        self.files: list[Entry] = []
        self.refused: list[dict[str, Any]] = []
        self.matched: set[int] = set()
        self._patterns, self._limits = patterns, limits
        self._mounts = mounts_below(base_fd)
        self._bytes = self._left_out = 0
        self._walk(base_fd, "", patterns.start(), 0)
        self._sort_out_hard_links()
        if self._left_out:
            why = f"over the limit of {limits.files} files; {self._left_out} more were left out"
            self.refused.append(refusal(".", "artifact_too_large", why))

    def missing(self) -> list[str]:
        """Return the patterns that matched neither a file nor anything refused."""
        return [text for index, text in enumerate(self._patterns.texts) if index not in self.matched]

    def _walk(self, folder_fd: int, prefix: str, states: States, depth: int) -> None:
        """Look at every name in an open folder, in byte order."""
        with os.scandir(folder_fd) as entries:
            names = [entry.name for entry in islice(entries, MAX_NAMES + 1)]
        if len(names) > MAX_NAMES:
            why = f"it holds over {MAX_NAMES} names; the rest was left out"
            self._refuse(prefix or ".", "artifact_too_large", why, self._patterns.matched(states))
        for name in sorted(names[:MAX_NAMES], key=os.fsencode):
            step = self._patterns.step(states, name)
            if step.states:
                self._look(Place(folder_fd, name, prefix + name, depth), step)

    def _look(self, place: Place, step: Step) -> None:
        """Take, refuse or enter one name."""
        matched = self._patterns.matched(step.states)
        if place.path in self._mounts:
            return self._refuse(place.path, "artifact_unsafe_path", "it is a mount point", matched)
        try:
            self._sort(place, step, matched)
        except CellError as exc:
            gone = exc.kind == "artifact_missing"
            self._refuse(place.path, "artifact_changed" if gone else exc.kind, exc.message, matched)
        except FileNotFoundError:
            self._refuse(place.path, "artifact_changed", "it vanished while it was looked at", matched)
        except OSError as exc:
            self._refuse(place.path, os_error_kind(exc), f"it cannot be read: {exc.strerror}", matched)
        return None

    def _sort(self, place: Place, step: Step, matched: frozenset[int]) -> None:
        """Decide by its kind what becomes of a name."""
        info = os.stat(place.name, dir_fd=place.folder_fd, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            self._enter(place, step.states, matched)
        elif stat.S_ISLNK(info.st_mode) and step.direct:
            target = os.readlink(place.name, dir_fd=place.folder_fd)
            self._refuse(place.path, "artifact_unsafe_path", f"it is a symbolic link to {target!r}", matched)
        elif matched:
            self._take(place, info, matched)

    def _enter(self, place: Place, states: States, matched: frozenset[int]) -> None:
        """Walk a folder."""
        if place.depth >= MAX_DEPTH:
            return self._refuse(place.path, "artifact_too_large", f"it is over {MAX_DEPTH} folders deep", matched)
        deeper = os.open(place.name, FOLDER_FLAGS, dir_fd=place.folder_fd)
        try:
            self._walk(deeper, place.path + "/", states, place.depth + 1)
        finally:
            os.close(deeper)
        return None

    def _take(self, place: Place, info: os.stat_result, matched: frozenset[int]) -> None:
        """Add a file, or refuse it."""
        self.matched |= matched
        fault = file_fault(info) or ("its name holds a backslash" if "\\" in place.name else "")
        if fault:
            return self._refuse(place.path, "artifact_unsafe_path", fault, matched)
        if len(self.files) >= self._limits.files:
            self._left_out += 1
            return None
        limit = self._limits.size
        if self._bytes + info.st_size > limit:
            why = f"its {info.st_size} bytes with {self._bytes} before it are over the limit of {limit} bytes"
            return self._refuse(place.path, "artifact_too_large", why, matched)
        entry = digest(place.folder_fd, place.name, place.path)
        self._bytes += entry.size
        self.files.append(entry)
        return None

    def _refuse(self, path: str, kind: str, why: str, matched: frozenset[int]) -> None:
        """Note a refused path; no more of them are listed than files are allowed."""
        self.matched |= matched
        if len(self.refused) < self._limits.files:
            self.refused.append(refusal(path, kind, why))

    def _sort_out_hard_links(self) -> None:
        """Refuse files with a name outside the manifest: their bytes are not only the test's."""
        seen = Counter(entry.inode for entry in self.files)
        for entry in [entry for entry in self.files if seen[entry.inode] < entry.links]:
            self.files.remove(entry)
            why = f"it is a hard link; {entry.links - seen[entry.inode]} of its {entry.links} names are elsewhere"
            self.refused.append(refusal(entry.path, "artifact_unsafe_path", why))


def digest(folder_fd: int, name: str, path: str) -> Entry:
    """Return a file's entry, read through one descriptor; raise artifact_changed when it was written meanwhile."""
    fd = open_regular(folder_fd, name, path)
    try:
        before = os.fstat(fd)
        total, sha256 = 0, hashlib.sha256()
        for block in blocks(fd, before.st_size):
            sha256.update(block)
            total += len(block)
        after = os.fstat(fd)
    finally:
        os.close(fd)
    if total != before.st_size or not same(before, after):
        why = f"{path!r} changed while it was read ({before.st_size} bytes before, {after.st_size} after)"
        raise CellError("artifact_changed", why, path=path)
    mode, inode = stat.S_IMODE(before.st_mode), (before.st_dev, before.st_ino)
    times = (before.st_mtime_ns, before.st_ctime_ns)
    return Entry(path, total, mode, *times, sha256.hexdigest(), inode, before.st_nlink)


def blocks(fd: int, size: int) -> Iterator[bytes]:
    """Yield size bytes of an open file from its start, fewer when it ends before."""
    at = 0
    while at < size:
        block = os.pread(fd, min(BLOCK_BYTES, size - at), at)
        if not block:
            return
        at += len(block)
        yield block
