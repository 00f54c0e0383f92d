# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that are either the old or the new text after any crash: temp, fsync, rename, fsync of the folder.

On a full disk, where a second file has no room, JSON is written over the old text, in the space that this has already.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
import zlib
from contextlib import suppress
from typing import Any

from .beneath import FILE_FLAGS
from .errors import CellError

FULL = (errno.ENOSPC, errno.EDQUOT)
JSON_LIMIT = 4 << 20
WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def write_all(fd: int, data: bytes) -> None:
    """Write all of data to a descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def half(name: str) -> str:
    """Return the name under which a file is written before it is put in place: what stays of a writer that was killed."""
    return f".{zlib.crc32(os.fsencode(name)):08x}.tmp"


def replace_bytes(folder_fd: int, name: str, data: bytes, mode: int = 0o600) -> None:
    """Put data in place of file name in an open folder, whole or not at all."""
    temp = half(name)
    with suppress(FileNotFoundError):
        os.unlink(temp, dir_fd=folder_fd)
    fd = os.open(temp, WRITE_FLAGS | os.O_EXCL, 0o600, dir_fd=folder_fd)
    try:
        try:
            write_all(fd, data)
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temp, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temp, dir_fd=folder_fd)
        raise
    os.fsync(folder_fd)


def replace_json(folder_fd: int, name: str, value: Any) -> None:
    """Put value as JSON in place of file name in an open folder, whole or not at all."""
    data = (json.dumps(value, sort_keys=True, allow_nan=False) + "\n").encode()
    try:
        replace_bytes(folder_fd, name, data)
    except OSError as exc:
        if exc.errno not in FULL or not _overwrite(folder_fd, name, data):
            raise


def _overwrite(folder_fd: int, name: str, data: bytes) -> bool:
    """Write JSON over that of a file in one write and return whether there was room for it; blanks fill up the rest."""
    try:
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except OSError:
        return False
    try:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode) or before.st_blocks * 512 < len(data):
            return False
        filled = data.ljust(before.st_size)
        done = os.pwrite(fd, filled, 0) == len(filled)
        os.fsync(fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    return done


def read_bytes(folder_fd: int, name: str, limit: int = JSON_LIMIT) -> bytes | None:
    """Return the bytes of a small file in an open folder, at most limit + 1, or None when it is absent."""
    try:
        fd = os.open(name, FILE_FLAGS, dir_fd=folder_fd)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as stream:
        return stream.read(limit + 1)


def read_json(folder_fd: int, name: str) -> Any:
    """Return the value of a JSON file in an open folder, or None when it is absent; raise ValueError for no JSON."""
    raw = read_bytes(folder_fd, name)
    if raw is None:
        return None
    if len(raw) > JSON_LIMIT:
        raise ValueError(f"{name} is over {JSON_LIMIT} bytes")
    return json.loads(raw.decode("utf-8"))


def take_lock(fd: int, limit_s: float, why: str, kind: str = "lock_held") -> None:
    """Take the exclusive lock of an open file within limit_s; raise an error of this kind otherwise."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise CellError(kind, f"{why}, for {limit_s:g} s now") from None
        time.sleep(0.005)
