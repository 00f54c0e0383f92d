# SPDX-License-Identifier: MIT

"""A private folder for the files of one job of Ansible, and an end to those that killed calls have left: they hold secrets."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "testcell-job-"
# A folder is made a moment before it is locked.
YOUNG_S = 60.0


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder that is locked as long as this process lives; whoever is given it puts it away."""
    tidy(Path(tempfile.gettempdir()), time.time())
    place = Path(tempfile.mkdtemp(prefix=PREFIX))
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield place
    finally:
        os.close(descriptor)


@contextmanager
def brief_folder() -> Iterator[Path]:
    """Give such a folder that is put away at the end."""
    with folder() as place:
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def tidy(above: Path, now: float) -> list[Path]:
    """Remove this user's folders in above that no process has locked, and return them. now: seconds since 1970."""
    return [place for place in sorted(above.glob(f"{PREFIX}*")) if _is_left(place, now) and _removed(place)]


def _is_left(place: Path, now: float) -> bool:
    with suppress(OSError):
        found = place.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and now - found.st_mtime > YOUNG_S
    return False


def _removed(place: Path) -> bool:
    """Remove a folder unless a process has it; return whether it is gone."""
    with suppress(OSError):
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place)
            return True
        finally:
            os.close(descriptor)
    return False
