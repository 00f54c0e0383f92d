# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A walk over a tree by names and lstat alone: the regular files that patterns match, and all that was refused."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from . import mounts
from .beneath import FOLDER_FLAGS, kind_of
from .context import os_error_kind
from .patterns import Patterns, States, Step

DEFAULT_FILES, DEFAULT_BYTES = 20_000, 16 << 30
NOT_PLAIN = 0o170000 | stat.S_ISUID | stat.S_ISGID  # the bits that tell a plain file
MAX_DEPTH = 64
MAX_NAMES = 200_000  # names looked at in one folder
MAX_PATH_BYTES = 3 << 10  # a system takes 4,095, and where files go there is the path of a folder before them


@dataclass(frozen=True)
class Limits:
    """How many files are taken, and of how many bytes together."""

    files: int
    size: int


class Found(NamedTuple):
    """One file. path: from the base; prefix: that of its folder with a slash behind, "" for the base; info: its lstat."""

    path: str
    prefix: str
    name: str
    info: os.stat_result


def refusal(path: str, kind: str, why: str) -> dict[str, Any]:
    """Return one refused path as JSON values."""
    return {"path": path, "kind": kind, "why": why}


def file_fault(info: os.stat_result) -> str:
    """Return why an opened or listed file is no artifact, or ""."""
    if info.st_mode & NOT_PLAIN == stat.S_IFREG:
        return ""
    if not stat.S_ISREG(info.st_mode):
        return f"it is {kind_of(info.st_mode)}, not a regular file"
    return f"it is setuid or setgid (mode {stat.S_IMODE(info.st_mode):04o})"


def same(before: os.stat_result, after: os.stat_result) -> bool:
    """Return whether a file did not change between two looks at it."""
    return (
        before.st_size == after.st_size
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
        and before.st_ino == after.st_ino
        and before.st_dev == after.st_dev
        and before.st_mode == after.st_mode
        and before.st_nlink == after.st_nlink
    )


def mounts_below(folder_fd: int) -> frozenset[str]:
    """Return the relative paths of mount points below an open folder; they are not touched, a dead one would hang."""
    base = os.readlink(f"/proc/self/fd/{folder_fd}").rstrip("/") + "/"
    return frozenset(one.point[len(base) :] for one in mounts.current() if one.point.startswith(base))


class Walk:
    """One walk; files (folder by folder, names in byte order), refused and matched patterns are its results."""

    def __init__(self, base_fd: int, patterns: Patterns, limits: Limits) -> None:
        self.files: list[Found] = []
        self.refused: list[dict[str, Any]] = []
        self.matched: set[int] = set()
        self._patterns, self._limits = patterns, limits
        self._mounts = mounts_below(base_fd)
        self._bytes = self._left_out = 0
        self._enter(base_fd, "", patterns.start(), 0)
        self._sort_out_hard_links()
        if self._left_out:
            why = f"over the limit of {limits.files} files; {self._left_out} more were left out"
            self.refused.append(refusal(".", "artifact_too_large", why))

    def missing(self) -> list[str]:
        """Return the patterns that matched neither a file nor anything refused."""
        return [text for index, text in enumerate(self._patterns.texts) if index not in self.matched]

    def refuse(self, path: str, kind: str, why: str, matched: Iterable[int] = ()) -> None:
        """Note a refused path; no more of them are listed than files are allowed."""
        self.matched.update(matched)
        if len(self.refused) < self._limits.files:
            self.refused.append(refusal(path, kind, why))

    def _enter(self, folder_fd: int, prefix: str, states: States, depth: int) -> None:
        """Look at every name in an open folder, in byte order."""
        with os.scandir(folder_fd) as listing:
            entries = list(islice(listing, MAX_NAMES + 1))
        if len(entries) > MAX_NAMES:
            why = f"it holds over {MAX_NAMES} names; the rest was left out"
            self.refuse(prefix or ".", "artifact_too_large", why, self._patterns.matched(states))
            del entries[MAX_NAMES:]
        settled = self._patterns.settled(states)
        for entry in sorted(entries, key=lambda entry: os.fsencode(entry.name)):
            step = settled or self._patterns.step(states, entry.name)
            if step.states:
                self._look(folder_fd, prefix, entry, step, depth)

    def _look(self, folder_fd: int, prefix: str, entry: os.DirEntry[str], step: Step, depth: int) -> None:
        """Take, refuse or enter one name."""
        path, matched = prefix + entry.name, step.matched
        if path in self._mounts:
            return self.refuse(path, "artifact_unsafe_path", "it is a mount point", matched)
        try:
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                self._go_down(folder_fd, path, step.states, matched, depth)
            elif stat.S_ISLNK(info.st_mode) and step.direct:
                target = os.readlink(entry.name, dir_fd=folder_fd)
                self.refuse(path, "artifact_unsafe_path", f"it is a symbolic link to {target!r}", matched)
            elif matched:
                self._take(Found(path, prefix, entry.name, info), matched)
        except FileNotFoundError:
            self.refuse(path, "artifact_changed", "it vanished while it was looked at", matched)
        except OSError as exc:
            self.refuse(path, os_error_kind(exc), f"it cannot be read: {exc.strerror}", matched)
        return None

    def _go_down(self, folder_fd: int, path: str, states: States, matched: frozenset[int], depth: int) -> None:
        """Walk a folder."""
        if depth >= MAX_DEPTH:
            return self.refuse(path, "artifact_too_large", f"it is over {MAX_DEPTH} folders deep", matched)
        deeper = os.open(path.rpartition("/")[2], FOLDER_FLAGS, dir_fd=folder_fd)
        try:
            self._enter(deeper, path + "/", states, depth + 1)
        finally:
            os.close(deeper)
        return None

    def _take(self, found: Found, matched: frozenset[int]) -> None:
        """Add a file, or refuse it."""
        self.matched |= matched
        info = found.info
        fault = file_fault(info) or ("its name holds a backslash" if "\\" in found.path else "")
        if fault:
            return self.refuse(found.path, "artifact_unsafe_path", fault)
        if len(found.path) > MAX_PATH_BYTES // 4 and len(os.fsencode(found.path)) > MAX_PATH_BYTES:
            why = f"its path is over the limit of {MAX_PATH_BYTES} bytes"
            return self.refuse(found.path, "artifact_too_large", why)
        if len(self.files) >= self._limits.files:
            self._left_out += 1
            return None
        limit = self._limits.size
        if self._bytes + info.st_size > limit:
            why = f"its {info.st_size} bytes with {self._bytes} before it are over the limit of {limit} bytes"
            return self.refuse(found.path, "artifact_too_large", why)
        self._bytes += info.st_size
        self.files.append(found)
        return None

    def _sort_out_hard_links(self) -> None:
        """Refuse files with a name outside the walk: their bytes are not only the test's."""
        linked = [found for found in self.files if found.info.st_nlink > 1]
        seen = Counter((found.info.st_dev, found.info.st_ino) for found in linked)
        elsewhere = set()
        for found in linked:
            links, here = found.info.st_nlink, seen[found.info.st_dev, found.info.st_ino]
            if here < links:
                elsewhere.add(id(found))
                why = f"it is a hard link; {links - here} of its {links} names are elsewhere"
                self.refuse(found.path, "artifact_unsafe_path", why)
        if elsewhere:
            self.files = [found for found in self.files if id(found) not in elsewhere]


class Folders:
    """Folders below an open base, opened again one component at a time; those on the way to the last one stay open.

    make: those that are absent are made.
    """

    def __init__(self, base_fd: int, make: bool = False) -> None:
        self._open: list[tuple[str, int]] = [("", base_fd)]
        self._make = make

    def at(self, prefix: str) -> int:
        """Return the descriptor of a folder, which holds until the next call; OSError when it is gone or a link."""
        begun, folder_fd = self._open[-1]
        if begun == prefix:
            return folder_fd
        while not prefix.startswith(begun):
            os.close(self._open.pop()[1])
            begun, folder_fd = self._open[-1]
        for name in prefix[len(begun) :].split("/")[:-1]:
            begun += name + "/"
            folder_fd = self._enter(folder_fd, name)
            self._open.append((begun, folder_fd))
        return folder_fd

    def close(self) -> None:
        """Close all of them but the base, which is the caller's."""
        while len(self._open) > 1:
            os.close(self._open.pop()[1])

    def _enter(self, folder_fd: int, name: str) -> int:
        if self._make:
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=folder_fd)
        return os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
