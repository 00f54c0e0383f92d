# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`chaos.jsonl` of a case: one line a phase of an event, written by whoever did it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..beneath import FILE_FLAGS, open_folder, parts
from ..context import Clock
from ..durable import read_bytes, write_all
from ..errors import CellError

NAME = "chaos.jsonl"
UNDONE, VERIFIED = "undone", "verified"
SYNCED = ("record", UNDONE, VERIFIED)
MOST_LINES_BYTES = 64 << 20
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
RUNNER, GUARD, CONTACT = "runner", "guard", "contact"


class Journal:
    """Appends whole lines to one file below the node root; by: runner, guard or contact.

    What cannot be written now (a full disk may be a fault of ours) is written with a later line.
    """

    def __init__(self, root: Path, log: str, by: str, clock: Clock) -> None:
        self._root, self._log, self._by, self._clock = root, log, by, clock
        self._late = b""
        self._lock = threading.Lock()

    def say(self, event: Mapping[str, Any], phase: str, **more: Any) -> None:
        """Write one line. event: {id, kind, target}. A case folder that is gone takes no lines any more."""
        times = {"t": round(self._clock.unix(), 3), "b": round(self._clock.boottime(), 3)}
        line = {**times, "id": event["id"], "phase": phase, "kind": event["kind"], "target": event["target"]}
        data = (json.dumps({**line, "by": self._by, **more}, separators=(",", ":")) + "\n").encode("ascii")
        *folders, name = parts(self._log)
        with self._lock, suppress(CellError):
            folder_fd = open_folder(self._root, tuple(folders))
            try:
                self._append(folder_fd, name, self._late + data, phase in SYNCED)
                self._late = b""
            except OSError:
                self._late += data
            finally:
                os.close(folder_fd)

    def said(self) -> set[tuple[str, str]]:
        """Return (id, phase) of the lines on disk, but of those that told of something left."""
        found = read(self._root, self._log)
        return {(str(line.get("id")), str(line.get("phase"))) for line in found if not line.get("left")}

    def _append(self, folder_fd: int, name: str, data: bytes, synced: bool) -> None:
        fd = os.open(name, APPEND, 0o644, dir_fd=folder_fd)
        try:
            write_all(fd, data if _ends_whole(folder_fd, name) else b"\n" + data)
            if synced:
                os.fsync(fd)
        finally:
            os.close(fd)


def _ends_whole(folder_fd: int, name: str) -> bool:
    """Return whether the last line of a file is whole: a writer may have died in the middle of one."""
    fd = os.open(name, FILE_FLAGS, dir_fd=folder_fd)
    try:
        size = os.fstat(fd).st_size
        return size == 0 or os.pread(fd, 1, size - 1) == b"\n"
    finally:
        os.close(fd)


def target(service: str, container: str) -> dict[str, str]:
    """Return the target as a line shows it, {} for the node itself."""
    return {"service": service, "container": container[:12]} if service else {}


def read(root: Path, log: str) -> list[dict[str, Any]]:
    """Return the whole lines of a file below the node root, of its first MOST_LINES_BYTES; [] where there is none."""
    *folders, name = parts(log)
    try:
        folder_fd = open_folder(root, tuple(folders))
    except CellError as exc:
        if exc.kind != "artifact_missing":
            raise
        return []
    try:
        return lines(read_bytes(folder_fd, name, MOST_LINES_BYTES) or b"")
    finally:
        os.close(folder_fd)


def lines(raw: bytes) -> list[dict[str, Any]]:
    """Return the lines that are whole."""
    found = []
    for line in raw.split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
