# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rates that many processes share: one small file, locked for each look, replaced as a whole.

A process that dies with the lock gives it back; one that dies while it writes leaves the file as it was. A file that
cannot be read, or is of another boot of the machine, begins anew: what it knew is learned again within seconds.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .rule import Pace, begin, state_of
from .settings import Settings

MODE = 0o600
MOST_KEYS = 256
MOST_BYTES = 4 * 1024 * 1024
LOCK_S = 10.0  # a look takes well below a millisecond; a lock held for longer is that of a stopped process
ASK_AGAIN_S = 0.002


class KeepError(Exception):
    """The shared rates cannot be used; the text says why."""


class Keep:
    """The file at path. clock: monotonic seconds, the same for all processes of this machine."""

    def __init__(self, path: str, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock

    @contextmanager
    def pace(self, key: str) -> Iterator[Pace]:
        """Yield the rate of a key, and keep what became of it; other processes wait meanwhile."""
        with self._locked() as descriptor:
            known = self._read(descriptor)
            if key not in known and len(known) >= MOST_KEYS:
                raise KeepError(
                    f"there are {len(known)} keys already, limit {MOST_KEYS}; does each request have its own?"
                )
            pace = self._pace_of(known.get(key))
            yield pace
            self._replace({**known, key: pace.state.as_dict()})

    def all(self) -> dict[str, Pace]:
        """Return the rates of all keys."""
        if not os.path.exists(self._path):
            return {}
        with self._locked() as descriptor:
            return {key: self._pace_of(data) for key, data in self._read(descriptor).items()}

    def _pace_of(self, data: Any) -> Pace:
        now = self._clock()
        try:
            state = state_of(data)
            usable = state.at <= now + LOCK_S
        except (TypeError, KeyError):
            usable = False
        return Pace(self._settings, state if usable else begin(self._settings, now))

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Yield the file's descriptor, locked, and still the file that has the name."""
        limit = self._clock() + LOCK_S
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
            try:
                self._lock(descriptor, limit)
                if self._has_the_name(descriptor):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _lock(self, descriptor: int, limit: float) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._clock() > limit:
                    raise KeepError(f"{self._path} was locked for {LOCK_S:g} s by another process") from None
            time.sleep(ASK_AGAIN_S * random.random())

    def _has_the_name(self, descriptor: int) -> bool:
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def _read(self, descriptor: int) -> dict[str, Any]:
        try:
            data = json.loads(os.pread(descriptor, MOST_BYTES, 0))
        except (ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}

    def _replace(self, known: dict[str, Any]) -> None:
        temporary = f"{self._path}.new"  # one name, as only who has the lock writes: one that died left it behind
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
        try:
            with os.fdopen(descriptor, "w") as stream:
                json.dump(known, stream)
            os.replace(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise
