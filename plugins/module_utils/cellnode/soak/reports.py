# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports that services write into files: each is copied whole as it appears, with the moment at which it was written.

A file that is written anew leaves another copy. Below the limits nothing is lost; beyond them the first half of the room
keeps the first reports and the other half the newest.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase

from ..beneath import open_regular, parts, step_into
from ..context import Clock
from ..durable import WRITE_FLAGS, replace_bytes, write_all
from ..errors import CellError
from .asked import Reports
from .lines import APPEND_FLAGS

FOLDER, INDEX, TEMP = "report", "reports.jsonl", ".report.tmp"
MOST_FILES, MOST_BYTES = 20_000, 64 << 20
MOST_INDEX_BYTES = 8 << 20
MOST_SEEN = 50_000
LARGEST_BYTES = 1 << 20
RECENT = 256  # files that are looked at again; of older ones only new names are seen
STEP_S = 1.0  # a wall clock that moved by more between two looks was set
WILD = frozenset("*?[")
Signature = tuple[int, int, int]  # inode, size, time of the last change in ns


class Copies:
    """Copies of the reports of a case. scenario_fd, soak_fd: open folders, where they come from and where they go."""

    def __init__(
        self,
        scenario_fd: int,
        soak_fd: int,
        wanted: Sequence[Reports],
        clock: Clock,
        limits: tuple[int, int] = (MOST_FILES, MOST_BYTES),
    ) -> None:
        self._scenario, self._soak, self._clock = scenario_fd, soak_fd, clock
        self._wanted = [(one.service, parts(one.path)) for one in wanted]
        self._seen: dict[tuple[str, str], Signature] = {}
        self._odd: dict[tuple[str, str], Signature] = {}
        self._recent: deque[tuple[str, str]] = deque(maxlen=RECENT)
        self._kept = _Kept(soak_fd, *limits)
        self._before: tuple[float, float] | None = None  # (boottime, wall clock) of the last look
        self._lock = threading.Lock()
        self.faults: dict[str, str] = {}

    def look(self) -> None:
        """Copy what is new; faults has what could not be copied: name -> why."""
        with self._lock:
            now = self._clock.boottime(), self._clock.unix()
            faults: dict[str, str] = {}
            for service, pieces in self._wanted:
                try:
                    self._look_for(service, pieces, now, faults)
                except (OSError, CellError) as exc:
                    faults[f"reports:{service}"] = str(exc)
            self.faults, self._before = faults, now

    def _look_for(
        self, service: str, pieces: tuple[str, ...], now: tuple[float, float], faults: dict[str, str]
    ) -> None:
        fixed = next((place for place, piece in enumerate(pieces) if _is_wild(piece)), len(pieces) - 1)
        for folder_fd, path in _matches(self._scenario, pieces, ""):
            key = service, path
            if key in self._seen and key not in self._recent:
                continue
            if key not in self._seen and len(self._seen) >= MOST_SEEN:
                raise CellError("config_invalid", f"more than {MOST_SEEN} files match {'/'.join(pieces)!r}")
            try:
                why = self._take(folder_fd, key, fixed, now)
            except FileNotFoundError:  # removed meanwhile
                continue
            except (OSError, CellError) as exc:
                why = str(exc)
            if why:
                faults[f"report:{service}/{path}"] = why

    def _take(self, folder_fd: int, key: tuple[str, str], fixed: int, now: tuple[float, float]) -> str:
        """Copy a file unless that was done; return what is wrong with it once it was the same twice.

        fixed: how many folders of its path are in the path of every report, and not in the copy's name.
        """
        name = key[1].rsplit("/", 1)[-1]
        info = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        signature = info.st_ino, info.st_size, info.st_mtime_ns
        if self._seen.get(key) == signature:
            return ""
        data, why = _whole(folder_fd, name, key[1])
        if why:
            again = self._odd.get(key) == signature
            self._odd[key] = signature
            return why if again else ""
        self._odd.pop(key, None)
        label = "__".join(key[1].split("/")[fixed:])
        self._kept.add(key[0], label, data, info, self._boottime(info.st_mtime, now))
        self._seen[key] = signature
        self._recent.append(key)
        return ""

    def _boottime(self, mtime: float, now: tuple[float, float]) -> float:
        """Return when a file was written by the clock that nobody can set, for a wall clock that may have been set."""
        boottime, unix = now
        found = min(boottime, boottime - (unix - mtime))
        if self._before is None:
            return found
        was_set = abs((unix - boottime) - (self._before[1] - self._before[0])) > STEP_S
        return max(found, self._before[0]) if was_set else found


def _whole(folder_fd: int, name: str, shown: str) -> tuple[bytes, str]:
    """Return a file's bytes where they are whole JSON, else why they are not taken."""
    fd = open_regular(folder_fd, name, shown)
    with os.fdopen(fd, "rb") as stream:
        data = stream.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        return b"", f"it is over the limit of {LARGEST_BYTES} bytes"
    try:
        json.loads(data)
    except (ValueError, RecursionError) as exc:
        return b"", f"it is no whole JSON: {str(exc)[:200]}"
    return data, ""


def _is_wild(piece: str) -> bool:
    return not WILD.isdisjoint(piece)


def _matches(folder_fd: int, pieces: tuple[str, ...], before: str) -> Iterator[tuple[int, str]]:
    """Yield (open folder, path) of each file of a pattern, in order of names; links are passed over."""
    pattern, rest = pieces[0], pieces[1:]
    names = [pattern]
    if _is_wild(pattern):
        found = (name for name in os.listdir(folder_fd) if fnmatchcase(name, pattern))
        names = sorted(name for name in found if name[0] != "." or pattern[0] == ".")  # as a shell has it
    for name in names:
        if not rest:
            yield folder_fd, before + name
            continue
        try:
            inner_fd = step_into(folder_fd, name, before + name)
        except CellError:  # no folder, or not yet
            continue
        try:
            yield from _matches(inner_fd, rest, f"{before}{name}/")
        finally:
            os.close(inner_fd)


class _Kept:
    """The copies that are there, and their index: {"f": SERVICE/NAME, "b": written at, "t": the same by the wall clock}."""

    def __init__(self, soak_fd: int, most_files: int, most_bytes: int) -> None:
        self._soak, self._most_files, self._most_bytes = soak_fd, most_files, most_bytes
        self._first: list[bytes] = []  # the index's lines of those that stay for good
        self._newest: deque[tuple[str, str, int, bytes]] = deque()
        self._files = self._bytes = 0
        self._index_bytes = 0
        self._versions: dict[tuple[str, str], int] = {}

    def add(self, service: str, label: str, data: bytes, info: os.stat_result, boottime: float) -> None:
        """Put a copy in place with the time of its file, and note it; the oldest of the newest make room."""
        name = self._name(service, label)
        with _folder(self._soak, service) as folder_fd:
            fd = os.open(TEMP, WRITE_FLAGS, 0o600, dir_fd=folder_fd)
            try:
                write_all(fd, data)
                os.utime(fd, ns=(info.st_mtime_ns, info.st_mtime_ns))
            finally:
                os.close(fd)
            os.rename(TEMP, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        line = _line({"f": f"{service}/{name}", "b": round(boottime, 3), "t": round(info.st_mtime, 3)})
        is_first = self._files < self._most_files // 2 and self._bytes + len(data) <= self._most_bytes // 2
        self._files, self._bytes = self._files + 1, self._bytes + len(data)
        if is_first and not self._newest:
            self._first.append(line)
        else:
            self._newest.append((service, name, len(data), line))
        self._make_room()
        self._note(line)

    def _name(self, service: str, label: str) -> str:
        """Return the name of the next copy of a file: NAME.json, then NAME.2.json and so on."""
        stem = label[: -len(".json")] if label.endswith(".json") else label
        number = self._versions[service, label] = self._versions.get((service, label), 0) + 1
        return f"{stem}.json" if number == 1 else f"{stem}.{number}.json"

    def _make_room(self) -> None:
        while len(self._newest) > 1 and (self._files > self._most_files or self._bytes > self._most_bytes):
            service, name, size, _ = self._newest.popleft()
            self._files, self._bytes = self._files - 1, self._bytes - size
            with suppress(FileNotFoundError), _folder(self._soak, service) as folder_fd:
                os.unlink(name, dir_fd=folder_fd)

    def _note(self, line: bytes) -> None:
        """Append to the index; one that has grown too long is written anew with what is still there."""
        if self._index_bytes + len(line) > MOST_INDEX_BYTES:
            data = b"".join([*self._first, *(entry[3] for entry in self._newest)])
            replace_bytes(self._soak, INDEX, data)
            self._index_bytes = len(data)
            return
        fd = os.open(INDEX, APPEND_FLAGS, 0o600, dir_fd=self._soak)
        try:
            whole = os.fstat(fd).st_size
            write_all(fd, line)
            self._index_bytes += len(line)
        except OSError:  # a full disk may have taken a part of it; a copy that is not noted has the time of its file
            os.ftruncate(fd, whole)
        finally:
            os.close(fd)


@contextmanager
def _folder(soak_fd: int, service: str) -> Iterator[int]:
    """Give the folder of a service's copies, made where it is not there yet."""
    top_fd = step_into(soak_fd, FOLDER, FOLDER, create=True)
    try:
        folder_fd = step_into(top_fd, service, f"{FOLDER}/{service}", create=True)
    finally:
        os.close(top_fd)
    try:
        yield folder_fd
    finally:
        os.close(folder_fd)


def _line(entry: dict[str, object]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"
