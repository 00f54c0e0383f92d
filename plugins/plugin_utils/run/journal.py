# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a run: one JSON object a line, appended in one write, never rewritten.

What begins is on the disk before it is done, and with it all that was written before: a machine that goes down forgets
how the last step ended, and not that it began. A crash or a full disk may cut a line short. It stays as it is, and the
next entry begins a line of its own.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from . import atomic

NAME = "journal.jsonl"
TRIES = 3


def append(run_dir: Path, entry: dict[str, Any], *, synced: bool = True) -> None:
    """Add entry to the journal of run_dir; several processes may append at the same time. OSError names the journal.

    synced: it is on the disk when this returns; else it gets there with the next one that is.
    """
    text = json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    line = text.encode("utf-8", "backslashreplace")
    with atomic.naming(run_dir / NAME):
        descriptor = os.open(run_dir / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with _alone(descriptor), _all_or_nothing(descriptor):
                _write_line(descriptor, line)
            if synced:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Let no other writer come between a look at the end of the journal and the line that follows."""
    with suppress(OSError):  # not every file system has locks; without one a line may begin with an empty one
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def _all_or_nothing(descriptor: int) -> Iterator[None]:
    """Let the journal be as long as before where a line could not be written."""
    before = os.fstat(descriptor).st_size
    try:
        yield
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _write_line(descriptor: int, line: bytes) -> None:
    """Write a line behind whole ones. A disk that took only a part says why when it is asked once more."""
    for _ in range(TRIES):
        data = line if _ends_whole(descriptor) else b"\n" + line
        if os.write(descriptor, data) == len(data):
            return
    raise OSError(errno.EIO, "the line was cut short again and again")


def _ends_whole(descriptor: int) -> bool:
    """Return whether the journal ends with a whole line."""
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def read(run_dir: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a journal in order; lines cut short by a crash are left out."""
    path = run_dir / NAME
    if not path.exists():
        return
    with path.open("rb") as stream:
        for line in stream:
            entry = _entry(line)
            if entry is not None:
                yield entry


def _entry(line: bytes) -> dict[str, Any] | None:
    """Return the entry of a line, None for an empty line or a part of one."""
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
