# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of each fault before it begins, on disk: `<root>/chaos/<run>/<id>.json`, enough for anybody to undo it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from .. import procs
from ..beneath import open_folder
from ..context import SAFE_NAME
from ..durable import read_json, replace_json, take_lock
from ..errors import CellError

FOLDER = "chaos"
ARMED, INJECTED, UNDONE = "armed", "injected", "undone"
SUFFIX, LOCK, OWN = ".json", ".lock", ".d"
HALF = ".tmp"  # what a writer that was killed leaves beside a record
LOCK_LIMIT_S = 60.0


@dataclass(frozen=True)
class Record:
    """One fault. state: armed (it may be there), injected, undone. order: of those of a run, the later one is undone first.

    begun: somebody has set about injecting it, and may have died at that. expires, made and undone_at: seconds since boot of
    boot_id; made_unix: since 1970. service and container: "" for the node. undo: what its kind needs; log: the path of its
    chaos.jsonl below the node root.
    """

    id: str
    kind: str
    run: str
    epoch: int | None
    boot_id: str
    state: str
    order: int
    expires: float
    made: float
    made_unix: float
    service: str
    container: str
    log: str
    undo: dict[str, Any]
    undone_at: float | None = None
    begun: bool = False

    @property
    def half(self) -> bool:
        """Return whether it was begun, and nobody has said that this was done."""
        return self.begun and self.state == ARMED

    @property
    def open(self) -> bool:
        """Return whether something of it may be there."""
        return self.state != UNDONE

    def overdue(self, boottime: float, by_s: float = 0.0) -> bool:
        """Return whether it should have been undone so long ago; one of an earlier boot always should."""
        return self.open and (self.boot_id != procs.boot_id() or boottime > self.expires + by_s)

    def told(self, unix: float) -> dict[str, Any]:
        """Return what people need to know of it, as JSON values."""
        age = round(max(0.0, unix - self.made_unix), 1)
        shown = {"id": self.id, "kind": self.kind, "run": self.run, "service": self.service, "state": self.state}
        return {**shown, "container": self.container[:12], "age_s": age}


class Records:
    """The records of one run of a node root."""

    def __init__(self, root: Path, run: str) -> None:
        self._root, self._run = root, run

    @property
    def folder(self) -> Path:
        """Return where they lie."""
        return self._root / FOLDER / self._run

    def own(self, name: str) -> Path:
        """Return the folder of an event's own."""
        return self.folder / f"{name}{OWN}"

    @contextmanager
    def _opened(self, create: bool = False) -> Iterator[int]:
        fd = open_folder(self._root, (FOLDER, self._run), create)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keep everybody else from beginning or undoing this fault; whoever dies lets go."""
        with self._opened(create=True) as folder_fd:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            lock_fd = os.open(f"{_checked(name)}{LOCK}", flags, 0o600, dir_fd=folder_fd)
            try:
                take_lock(lock_fd, LOCK_LIMIT_S, f"somebody else has been working on the fault {name}", "io_error")
                yield
            finally:
                os.close(lock_fd)

    def save(self, record: Record) -> None:
        """Put a record on disk, whole or not at all; nothing may be changed on the node before."""
        with self._opened(create=True) as folder_fd:
            replace_json(folder_fd, f"{_checked(record.id)}{SUFFIX}", asdict(record))

    def load(self, name: str) -> Record | None:
        """Return a record, None where there is none; raise chaos_not_reverted for one that cannot be read."""
        try:
            with self._opened() as folder_fd:
                data = read_json(folder_fd, f"{_checked(name)}{SUFFIX}")
            return None if data is None else _parsed(data)
        except (ValueError, TypeError, AttributeError) as exc:
            path = self.folder / f"{name}{SUFFIX}"
            message = f"{path} cannot be read ({exc}); undo what fault {name} of run {self._run} did, then remove it"
            raise CellError("chaos_not_reverted", message, run=self._run, id=name) from exc
        except CellError as exc:
            if exc.kind != "artifact_missing":
                raise
            return None

    def change(self, name: str, how: Callable[[Record], Record]) -> None:
        """Put a changed record on disk while nobody else works on it; one that is undone stays as it is."""
        with self.locked(name):
            record = self.load(name)
            if record is not None and record.open:
                self.save(how(record))

    def names(self) -> list[str]:
        """Return the events that have a record; raise where it cannot be told."""
        try:
            with self._opened() as folder_fd:
                found = [entry[: -len(SUFFIX)] for entry in os.listdir(folder_fd) if entry.endswith(SUFFIX)]
        except CellError as exc:
            if exc.kind != "artifact_missing":
                raise
            return []
        return sorted(name for name in found if SAFE_NAME.match(name))

    def readable(self) -> list[Record]:
        """Return the records that can be read, the one to be undone first before the others."""
        found = []
        for name in self.names():
            with suppress(CellError):
                found.append(self.load(name))
        return _in_order(found)

    def all(self) -> list[Record]:
        """Return the records, the one to be undone first before the others; raise for one that cannot be read."""
        return _in_order(map(self.load, self.names()))

    def open(self) -> list[Record]:
        """Return those that may still be there, the one to be undone first before the others."""
        return [record for record in self.all() if record.open]

    def forget(self) -> None:
        """Remove what is known of a run of which nothing is open."""
        if not self.folder.is_dir() or self.open():
            return
        for entry in sorted(self.folder.iterdir()):
            if entry.suffix in (SUFFIX, LOCK, HALF):
                entry.unlink()
        for folder in (self.folder, self.folder.parent):
            with suppress(OSError):  # another event or run has something there
                folder.rmdir()


def _in_order(found: Iterable[Record | None]) -> list[Record]:
    """Return those that there are, the one to be undone first before the others."""
    return sorted((record for record in found if record), key=lambda record: record.order, reverse=True)


def _checked(name: str) -> str:
    if not SAFE_NAME.match(name) or name.endswith((SUFFIX, LOCK, OWN)):
        raise CellError("config_invalid", f"event {name!r} cannot be a file name; allowed: letters, digits, _.+=@,-")
    return name


def _parsed(data: dict[str, Any]) -> Record:
    known = {field.name for field in fields(Record)}
    return Record(**{key: value for key, value in data.items() if key in known})


def runs(root: Path) -> list[str]:
    """Return the runs of which something is known here."""
    top = root / FOLDER
    if not top.is_dir():
        return []
    return sorted(entry.name for entry in top.iterdir() if entry.is_dir() and SAFE_NAME.match(entry.name))


def every_open(root: Path) -> list[Record]:
    """Return all faults of this node that may still be there, of whichever run."""
    return [record for run in runs(root) for record in Records(root, run).open()]


def begun(record: Record) -> Record:
    """Return the record of a fault that is injected from now on."""
    return replace(record, begun=True)


def injected(record: Record, expires: float) -> Record:
    """Return the record of a fault that has been begun."""
    return replace(record, state=INJECTED, expires=expires)


def undone(record: Record, at: float) -> Record:
    """Return the record of a fault that is proved to be gone."""
    return replace(record, state=UNDONE, undone_at=at)


def longer(record: Record, expires: float) -> Record:
    """Return the record of a fault that ends after another one that began later."""
    return replace(record, expires=max(record.expires, expires))
