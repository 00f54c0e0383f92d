# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file of a results database before anybody works with it: whether it is whole, and where it goes when it is not."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import NamedTuple

from . import errors
from .errors import StoreError

MAGIC = b"SQLite format 3\x00"
HEADER_BYTES = 100
CHECK_EVERY_S = 3600.0
# A check of the whole file goes at some 200 MB/s; what is over after this time is left to `results db --check`.
CHECK_FOR_S = 0.2
STEPS_BETWEEN_LOOKS = 20_000
SWITCH_PAUSE_S = 0.02
PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON")
SIDES = ("", "-wal", "-shm")


class Patience(NamedTuple):
    """How long a locked database is waited for: wait_s at a time, so many tries."""

    wait_s: float = 5.0
    tries: int = 6

    @property
    def seconds(self) -> float:
        """Return the time of all tries together."""
        return self.wait_s * self.tries


def set_up(connection: sqlite3.Connection, wait_s: float) -> None:
    """Set a new connection up. wait_s: how long others are waited for; SQLite itself waits for nobody when a file becomes a WAL one."""
    until = time.monotonic() + wait_s
    for pragma in PRAGMAS:
        while not _took(connection, pragma, last=time.monotonic() >= until):
            time.sleep(SWITCH_PAUSE_S)


def _took(connection: sqlite3.Connection, pragma: str, *, last: bool) -> bool:
    try:
        connection.execute(f"PRAGMA {pragma}")
    except sqlite3.OperationalError as exc:
        if last or not errors.is_busy(exc):
            raise
        return False
    return True


def damage(path: Path, now: float, *, whole: bool = False) -> str:
    """Return what is wrong with a database file, "" when nothing is or there is none.

    Its head and length are looked at each time, all pages once an hour and after an unclean end, for a limited time.
    whole: look at all pages, however long that takes; so it is for a file that is suspect.
    Nobody in this process may have the database open: whoever closes a descriptor of a file takes all locks away that the
    process has on it (https://www.sqlite.org/howtocorrupt.html, section 2.2), and another process that closes the database
    then removes the write-ahead log under the connection.
    OSError and sqlite3.Error when it cannot be looked at now.
    """
    try:
        head, size = _head(path)
    except FileNotFoundError:
        return ""
    whole = whole or os.path.exists(_mark(path))
    unclean = _size(path.with_name(f"{path.name}-wal")) > 0
    if size == 0:
        return ""
    if not head.startswith(MAGIC):
        return "is no SQLite database"
    if not unclean and size < _bytes_of(head):
        return f"is cut short: {size} of {_bytes_of(head)} bytes"
    try:
        found = _pages(path, now, whole=whole, unclean=unclean)
        if whole and not found:
            _trust(path)
        return found
    except sqlite3.DatabaseError as exc:
        if errors.of_sqlite(exc, path).kind == "db_corrupt":
            return str(exc)
        raise


def _head(path: Path) -> tuple[bytes, int]:
    """Return the beginning of a file and its length; what is none is refused before it can keep anybody waiting."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return stream.read(HEADER_BYTES), facts.st_size


def suspect(path: Path) -> None:
    """Let the next one who opens a database look at all of it, since in use it has shown damage."""
    with suppress(OSError):
        os.close(os.open(_mark(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _trust(path: Path) -> None:
    with suppress(OSError):
        os.unlink(_mark(path))


def _mark(path: Path) -> str:
    return f"{path}.suspect"


def _bytes_of(head: bytes) -> int:
    """Return the length that the head of a database tells, 0 when it tells none that counts."""
    if head[24:28] != head[92:96]:  # written by a program too old to keep it
        return 0
    page = int.from_bytes(head[16:18], "big")
    return (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")


def size_of(path: Path) -> int:
    """Return the bytes of a database with those that are written and not folded into its file yet."""
    return _size(path) + _size(path.with_name(f"{path.name}-wal"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _pages(path: Path, now: float, *, whole: bool, unclean: bool) -> str:
    """Look at the pages where that is due. The time of the last look, in minutes, is the file's `user_version`."""
    with closing(sqlite3.connect(path, timeout=0.1, isolation_level=None)) as connection:
        (looked,) = connection.execute("PRAGMA user_version").fetchone()
        if not (whole or unclean) and 0 <= now - 60.0 * looked < CHECK_EVERY_S:
            return ""
        found = _quick_check(connection, None if whole else time.monotonic() + CHECK_FOR_S)
        if not found:
            with suppress(sqlite3.OperationalError):  # somebody writes: then the next one looks again
                connection.execute(f"PRAGMA user_version = {int(now // 60)}")
        return found


def _quick_check(connection: sqlite3.Connection, until: float | None) -> str:
    if until is not None:
        connection.set_progress_handler(lambda: int(time.monotonic() > until), STEPS_BETWEEN_LOOKS)
    try:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return ""
    finally:
        connection.set_progress_handler(None, 0)
    return "" if said == "ok" else " ".join(str(said).split())


def set_aside(path: Path, now: float) -> Path:
    """Rename a damaged database, with what SQLite keeps beside it, and return its new name; it is kept for a person."""
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(now))
    for number in range(1, 1000):
        kept = path.with_name(f"{path.name}.corrupt-{stamp}{'' if number == 1 else f'_{number}'}")
        if not os.path.lexists(kept):
            break
    for side in SIDES:
        with suppress(FileNotFoundError):
            os.rename(f"{path}{side}", f"{kept}{side}")
    _trust(path)
    return kept


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name, None when there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


@contextmanager
def alone(path: Path, patience: Patience, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Let nobody else make, check or replace the database at path; StoreError db_locked when somebody does for too long."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise errors.of_system(exc, path) from None
    try:
        _lock(descriptor, path, patience, sleep)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, patience: Patience, sleep: Callable[[float], None]) -> None:
    until = time.monotonic() + patience.seconds
    while True:
        try:
            return flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise StoreError("db_locked", f"{path}: another process makes it or puts it in order") from None
        sleep(0.02)
