# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recording a run while it goes on: one thread writes what others put into its queue, in one transaction each 100 ms.

The process that is recorded forks: nothing but the thread touches the database, and it imports nothing while it works.
A database that cannot be used never stops a run. What is missing of it then lies in the run's folder, from where the next
run or `testcell results import` takes it up.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from . import errors, places, sqlite_file, syncing, texts
from . import rows as reading
from .errors import StoreError
from .put import Plain, RunRows, put, put_run
from .sqlite_file import Patience
from .tables import REVISION, TABLES

EVERY_S = 0.1
# How long the end of a run waits for the database, all in all, and what a locked one is given at a time.
END_WITHIN_S = 5.0
LOCK_WAIT_S = 0.1
CLOSE_WITHIN_S = 1.0
# When, what, and the fields that go with it.
Event = tuple[float, str, dict[str, Any]]
Queue = SimpleQueue["Event | None"]
Columns = tuple[float, str, str, str, str, "float | None", str]
ENCODE = json.JSONEncoder(default=str).encode
NAMES = TABLES["events"].given[1:]
INSERT = f"INSERT INTO events ({', '.join(TABLES['events'].given)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
MENDED = "db_corrupt"
NEXT = (
    "what is missing lies in the folders of the runs, and is taken up by the next run or by `testcell results import`"
)


class Outdated(StoreError):
    """The database has other tables than this program writes."""


class Sink(Protocol):
    """Where events go as columns. StoreError where they cannot; one of kind db_locked may be tried again.

    finish: puts the run's results, and those of other runs that the database misses. until: by the monotonic clock;
    whole: all events of the run were written, so that none is to be taken from its folder.
    """

    def write(self, rows: Sequence[Columns]) -> None: ...

    def finish(self, until: float, *, whole: bool) -> None: ...

    def close(self) -> None: ...


class Recording:
    """The recording of one run. Its queue may be filled before it starts; `end` says what could not be recorded."""

    def __init__(self, queue: Queue, make_sink: Callable[[], Sink], log: Log) -> None:
        self._queue = queue
        self._make_sink = make_sink
        self._log = log
        self._sink: Sink | None = None
        # What was there before is of a controller that may have been killed before it had written all of it.
        self._whole = not log.goes_on
        self._ending, self._done = threading.Event(), threading.Event()
        self._flowing = False
        self._wrong = ""
        self._until = float("inf")
        self._thread = threading.Thread(target=self._work, name="testcell-recording", daemon=True)

    def start(self) -> None:
        """Begin to write. Whatever the sink needs is imported by now."""
        self._thread.start()

    def end(self, within_s: float = END_WITHIN_S) -> str:
        """Write what is left and the run's results, and return why that could not be done, "" when it was."""
        self._until = time.monotonic() + within_s
        self._ending.set()
        self._queue.put(None)
        if not self._done.wait(within_s + 1.0):
            return f"the results database took longer than {within_s:g} s; {NEXT}"
        return self._wrong

    def close(self, within_s: float = CLOSE_WITHIN_S) -> None:
        """Wait, after the end, until the database is given up. That takes waits for the disk, beside which others can work."""
        self._thread.join(within_s)

    def _work(self) -> None:
        try:
            with self._given_up_if_not():
                self._sink = self._make_sink()
            self._write_all()
            self._log.close()
            if self._sink is not None:
                with self._given_up_if_not():
                    self._sink.finish(self._until, whole=self._whole)
        finally:
            self._done.set()
            if self._sink is not None:
                with suppress(sqlite3.Error, StoreError):
                    self._sink.close()

    def _write_all(self) -> None:
        """Write events until the end; those that the database cannot take now are written there with later ones."""
        write = self._sink.write if self._sink is not None else None
        waiting: list[Event] = []
        while not self._ending.is_set() or not self._queue.empty():
            events = self._gathered(waiting)
            self._log.write(events)
            if write is None:
                continue
            waiting += events
            try:
                if waiting:
                    write([_columns(event) for event in waiting])
                waiting = []
            except Exception as exc:
                # A run tells its events in its folder, too: in the end they are taken from there, and what is wrong is told.
                if not isinstance(exc, StoreError) or exc.kind != "db_locked":
                    write, waiting, self._whole = None, [], False
        self._whole = self._whole and not waiting

    def _gathered(self, waiting: Sequence[Event]) -> list[Event]:
        """Return the events of the next 100 ms. It waits for one first, unless others are to be written or just came.

        While events flow this thread wakes once each 100 ms, and whoever tells one need not wake it.
        """
        found: list[Event | None] = []
        if not waiting and not self._flowing:
            found.append(self._queue.get())
        self._ending.wait(EVERY_S)
        with suppress(Empty):
            while True:
                found.append(self._queue.get_nowait())
        self._flowing = bool(found)
        return [event for event in found if event is not None]

    @contextmanager
    def _given_up_if_not(self) -> Iterator[None]:
        """Let an error be what is told in the end, whatever it is: nobody else hears of it in this thread."""
        try:
            yield
        except Exception as exc:
            self._wrong = told(exc)


class Log:
    """The events of a run as JSON lines. done: called when the last one is written; goes_on: some were there before.

    A full disk stops nothing: the stream keeps what it could not write, and tries again with what comes.
    """

    def __init__(self, path: Path, done: Callable[[], None] = lambda: None) -> None:
        self._stream = path.open("a", encoding="utf-8")
        self.goes_on = self._stream.tell() > 0
        if self.goes_on and not _ends_whole(path):
            self._stream.write("\n")
        self._done = done

    def write(self, events: Sequence[Event]) -> None:
        """Add events in one piece."""
        text = "".join(f"{ENCODE({'t': moment, 'event': event, **fields})}\n" for moment, event, fields in events)
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()

    def close(self) -> None:
        """Write what is left, and say that this was all."""
        with suppress(OSError):
            self._stream.close()
            self._done()


def _ends_whole(path: Path) -> bool:
    """Return whether the last line of a file that has some is whole; a controller may have been killed within it."""
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"


def _columns(event: Event) -> Columns:
    """Return an event as the columns of `events` but the run's number."""
    moment, name, fields = event
    what = fields.get("task") or fields.get("name") or ""
    facts = fields.get("status", ""), fields.get("seconds"), fields.get("error_kind") or ""
    return moment, name, fields.get("host", ""), what, *facts


class FileSink:
    """The file of SQLite, written by the standard library alone."""

    def __init__(self, file: Path, run_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._run_dir = run_dir
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._run = 0

    def write(self, rows: Sequence[Columns]) -> None:
        """Add events of the run, in one transaction."""
        opened = None if self._run else reading.opened(self._run_dir, now=self._clock())
        with self._transaction() as connection:
            run = self._run if opened is None else put_run(Plain(connection), opened)
            connection.executemany(INSERT, [(run, *row) for row in rows])
        self._run = run

    def finish(self, until: float, *, whole: bool) -> None:
        """Put the run's results, and those of other runs that the database misses."""
        try:
            self._put(reading.of_run(self._run_dir, now=self._clock(), events=not whole), until)
            if self._identity != sqlite_file.identity(self._file):
                raise StoreError(MENDED, f"{self._file}: was removed or replaced while the run went on")
        except StoreError as exc:
            if exc.kind != MENDED and not isinstance(exc, Outdated):
                raise
            self.close()
            through_store(places.of_file(self._file), self._run_dir)
            return
        self._put_others(until)

    def close(self) -> None:
        """Give up the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _put(self, run: RunRows, until: float) -> None:
        while True:
            try:
                with self._transaction() as connection:
                    put(Plain(connection), run)
                return
            except StoreError as exc:
                if exc.kind != "db_locked" or time.monotonic() > until:
                    raise

    def _put_others(self, until: float) -> None:
        """Take up what earlier runs of this folder could not record."""
        with self._told():
            known = syncing.known(Plain(self._connection or self._open()), self._run_dir.parent)
        for one in syncing.look(self._run_dir.parent, known, self._clock(), ended=False).read():
            if time.monotonic() > until:
                return
            self._put(one, until)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            connection = self._connection or self._open()
            with _begun(connection):
                yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Let errors of the driver and of the system come out as StoreError."""
        try:
            yield
        except sqlite3.Error as exc:
            found = errors.of_sqlite(exc, self._file)
            if found.kind == MENDED:
                sqlite_file.suspect(self._file)
            raise found from None
        except OSError as exc:
            raise errors.of_system(exc, self._file) from None

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        wrong = sqlite_file.damage(self._file, self._clock())
        if wrong:
            raise StoreError(MENDED, f"{self._file} {wrong}")
        connection = sqlite3.connect(self._file, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            sqlite_file.set_up(connection, LOCK_WAIT_S)
            self._check_tables(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity = connection, sqlite_file.identity(self._file)
        return connection

    def _check_tables(self, connection: sqlite3.Connection) -> None:
        """Make the tables in an empty file; one with other tables is left to a program that can bring them up to date."""
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._create(connection)
        found = connection.execute(texts.VERSION).fetchall()
        if found != [(REVISION,)]:
            raise Outdated("config_invalid", f"{self._file}: has the tables of another version of this program")

    def _create(self, connection: sqlite3.Connection) -> None:
        with _begun(connection):
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for text in texts.create():
                    connection.execute(text)


@contextmanager
def _begun(connection: sqlite3.Connection) -> Iterator[None]:
    """Begin a transaction that keeps other writers out, which ends with the block: kept, or undone by an exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


class ServerSink:
    """A database server, through SQLAlchemy, which is imported where this is made."""

    def __init__(self, store: Any, run_dir: Path) -> None:
        self._store = store
        self._run_dir = run_dir
        self._ready = False
        self._run = 0

    def write(self, rows: Sequence[Columns]) -> None:
        """Add events of the run, in one transaction."""
        if not self._ready:
            if self._store.version() != REVISION:
                # To change tables takes imports, and they wait until the run's last fork is over.
                raise Outdated(
                    "config_invalid", "the results database has the tables of another version of this program"
                )
            self._ready = True
        self._run = self._store.add_events(
            self._run, self._run_dir, [dict(zip(NAMES, row, strict=True)) for row in rows]
        )

    def finish(self, until: float, *, whole: bool) -> None:
        """Put the run's results, and those of other runs that the database misses."""
        self._store.prepare()
        self._store.put([reading.of_run(self._run_dir, now=time.time(), events=not whole)])
        self._store.sync(self._run_dir.parent)

    def close(self) -> None:
        """Give up the connections."""
        self._store.close()


def of_run(run_dir: Path, url: str, queue: Queue, done: Callable[[], None] = lambda: None) -> Recording:
    """Return the recording of a run, not started yet. OSError when the run's folder takes no file.

    done: called when the last event stands in the run's folder.
    """
    return Recording(queue, _sink_of(run_dir, url), Log(run_dir / reading.EVENTS, done))


def _sink_of(run_dir: Path, url: str) -> Callable[[], Sink]:
    """Return what makes the sink in the thread; whatever that imports is imported here."""
    try:
        place = places.place(url, run_dir.parent)
        if place.file is not None:
            file = place.file
            return lambda: FileSink(file, run_dir)
        store = _stores().Store(place, run_dir.parent, time.time, Patience(1.0, 3))
    except StoreError as exc:
        wrong = exc

        def refused() -> Sink:
            raise wrong

        return refused
    return lambda: ServerSink(store, run_dir)


def through_store(place: places.Place, run_dir: Path) -> None:
    """Let SQLAlchemy put the database in order, which takes all runs up again where it was lost."""
    with _stores().Store(place, run_dir.parent, time.time, Patience(1.0, 3)) as store:
        store.prepare()
        store.put([reading.of_run(run_dir, now=time.time())])
        store.sync()


def _stores() -> Any:
    """Return the module that needs SQLAlchemy; StoreError where that is not installed."""
    try:
        from . import store  # noqa: PLC0415 - a run that is recorded into a file imports no SQLAlchemy
    except ImportError as exc:
        why = f"{exc.name} is not installed, which this database needs; pip install SQLAlchemy alembic psycopg"
        raise StoreError("config_invalid", why) from None
    return store


def told(exc: Exception) -> str:
    kind = exc.kind if isinstance(exc, StoreError) else "internal_error"
    return f"results database: {kind}: {exc}; {NEXT}"
