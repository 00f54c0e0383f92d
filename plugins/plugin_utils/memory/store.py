# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results database, open: reading, writing in whole transactions, and taking up what lies in the results folder.

A file that is lost or damaged is made again from the runs' folders; the damaged one is kept beside it. Errors are
StoreError with a kind of the taxonomy: db_locked, db_corrupt, db_readonly, disk_full, ...
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from . import errors, migrate, places, rows, sqlite_file, syncing
from .errors import StoreError
from .put import Database, Plain, Row, RunRows, put, put_events, put_run
from .sqlite_file import Patience
from .syncing import Synced
from .tables import REVISION, TABLES

T = TypeVar("T")
Clock = Callable[[], float]
# So many runs are written in one transaction: others get their turn between two.
RUNS_AT_ONCE = 50
CONNECT_WITHIN_S = 5
WRITES = "testcell_writes"


def open_store(
    url: str = "",
    *,
    results_dir: Path,
    clock: Clock = time.time,
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> Store:
    """Return the results database at url, made or brought to today's tables where it is not; "" is the file in results_dir.

    StoreError when it cannot be used. `Store.notes` says what was put in order.
    """
    store = Store(places.place(url, results_dir), results_dir, clock, patience)
    try:
        store.prepare()
    except BaseException:
        store.close()
        raise
    return store


class Store:
    """A results database. notes: sentences on what had to be put in order, for a person; made_again: runs taken up for that."""

    def __init__(self, place: places.Place, results_dir: Path, clock: Clock, patience: Patience) -> None:
        self.place = place
        self.results_dir = results_dir
        self.clock = clock
        self.notes: list[str] = []
        self._patience = patience
        self._engine = _engine(place, patience)
        self._file: tuple[int, int] | None = None
        self.made_again = Synced()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one state of the database."""
        with self._told(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a connection in one immediate transaction, which ends with the block: kept, or undone by an exception."""
        self._same_file()
        with self._told(), self._begun() as connection:
            yield connection
        self._same_file()

    def transact(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what work returns, done in one transaction; it is done again as a whole where others come between."""
        for turn in range(self._patience.tries):
            try:
                with self.write() as connection:
                    return work(connection)
            except StoreError as exc:
                if exc.kind != "db_locked" or turn == self._patience.tries - 1 or self.place.file is not None:
                    raise
            time.sleep(random.uniform(0, 0.05 * 2**turn))
        raise AssertionError("the last try returns or raises")

    def put(self, runs: Iterable[RunRows]) -> int:
        """Add runs, or bring them up to date, and return how many; doing so twice changes nothing."""
        count, waiting = 0, iter(runs)
        while batch := list(islice(waiting, RUNS_AT_ONCE)):
            self.transact(lambda connection, batch=batch: [put(database(connection), one) for one in batch])  # type: ignore[misc]
            count += len(batch)
        return count

    def add_events(self, run: int, run_dir: Path, events: Sequence[Row]) -> int:
        """Add events of a run that goes on, and return its number. run: that number, 0 where it is not known yet."""

        def add(connection: sa.Connection) -> int:
            number = run or put_run(database(connection), rows.opened(run_dir, now=self.clock()))
            put_events(database(connection), number, events)
            return number

        return self.transact(add)

    def sync(self, results_dir: Path | None = None) -> Synced:
        """Take up the runs of a results folder that are not in the database, or otherwise; quick when nothing is new.

        ResultsError when the folder cannot be listed.
        """
        folder = (results_dir or self.results_dir).absolute()
        with self.read() as connection:
            known = syncing.known(database(connection), folder)
        return self._take_up(syncing.look(folder, known, self.clock()))

    def take_in(self, folders: Iterable[Path]) -> Synced:
        """Take up runs from anywhere: each folder is that of a run, or holds those of several."""
        total = Synced()
        for folder in folders:
            if syncing.is_run(folder):
                with self.read() as connection:
                    known = syncing.known(database(connection), folder.absolute().parent)
                total += self._take_up(syncing.look_at(folder.absolute(), known, self.clock()))
            else:
                total += self.sync(folder)
        return total

    def take_in_for_good(self, run_dir: Path) -> Synced:
        """Take up a run whose folder is about to go."""
        found = rows.of_run(run_dir, now=self.clock())
        self.put([found._replace(run={**found.run, "path": ""})])
        return Synced(added=1, problems=found.problems)

    def _take_up(self, found: syncing.Found) -> Synced:
        self.put(found.read())
        if found.gone:
            self.transact(lambda connection: syncing.forget_paths(database(connection), found.gone))
        return found.told()

    def prepare(self) -> None:
        """Make the database usable: check the file, replace a damaged one, bring the tables to today's."""
        if self.place.file is None:
            self.transact(migrate.upgrade)
            return
        if self._is_ready(self.place.file):
            self._file = sqlite_file.identity(self.place.file)
            return
        with sqlite_file.alone(self.place.file, self._patience):
            self._put_in_order(self.place.file)

    def check(self) -> str:
        """Look at the whole file and return what was wrong, "" for nothing; what is damaged is made again at once.

        A server looks after its own.
        """
        wrong = self._damage(self.place.file, whole=True) if self.place.file is not None else ""
        if wrong:
            self.close()
            self._file = None
            self.prepare()
        return wrong

    def counts(self) -> dict[str, int]:
        """Return how many rows each table has."""
        with self.read() as connection:
            ask = database(connection).ask
            return {name: int(ask(f"SELECT count(*) FROM {name}", {})[0][0]) for name in TABLES}

    def size(self) -> int | None:
        """Return the bytes of the file, None for a server."""
        return sqlite_file.size_of(self.place.file) if self.place.file is not None else None

    def version(self) -> str:
        """Return the migration that the database is of."""
        with self.read() as connection:
            return migrate.version(connection)

    def _is_ready(self, file: Path) -> bool:
        """Decide whether the file is there, whole and of today's tables, so that nothing is to be done."""
        try:
            return os.path.exists(file) and not self._damage(file) and self.version() == REVISION
        except StoreError as exc:
            if exc.kind != "db_corrupt":
                raise
            self.close()
            return False

    def _put_in_order(self, file: Path) -> None:
        wrong = self._damage(file)
        if wrong:
            kept = sqlite_file.set_aside(file, self.clock())
            self.notes.append(
                f"db_corrupt: {file} {wrong}; it is kept as {kept.name}, and made again from the runs' folders"
            )
        lost = not self.version()
        self.transact(migrate.upgrade)
        self._file = sqlite_file.identity(file)
        if lost:
            self.made_again = self.sync()

    def _same_file(self) -> None:
        """Raise db_corrupt when the file that is open is not the one of its name any more: what is written to it is lost."""
        if (
            self._file is not None
            and self.place.file is not None
            and sqlite_file.identity(self.place.file) != self._file
        ):
            self._engine.dispose()
            raise StoreError(
                "db_corrupt", f"{self.place.file}: was removed or replaced while it was open; open it again"
            )

    @contextmanager
    def _begun(self) -> Iterator[sa.Connection]:
        """Give a connection in a transaction that keeps other writers out; a file that is locked is asked for again."""
        with self._engine.connect().execution_options(**{WRITES: True}) as connection:
            for turn in range(self._patience.tries):
                try:
                    transaction = connection.begin()
                    break
                except DBAPIError as exc:
                    if not errors.is_busy(exc.orig) or turn == self._patience.tries - 1:
                        raise
            with transaction:
                yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Let errors of the drivers come out as StoreError."""
        try:
            yield
        except DBAPIError as exc:
            raise self._error(exc.orig if exc.orig is not None else exc) from None
        except sqlite3.Error as exc:
            raise self._error(exc) from None

    def _error(self, exc: BaseException) -> StoreError:
        file = self.place.file
        if file is None:
            return errors.of_server(exc, self.place.shown)
        found = (
            errors.of_sqlite(exc, file) if isinstance(exc, sqlite3.Error) else StoreError("internal_error", str(exc))
        )
        if found.kind == "db_corrupt":
            sqlite_file.suspect(file)
        return found

    def _damage(self, file: Path, *, whole: bool = False) -> str:
        """Return what is wrong with the file, "" for nothing. All connections are given up before; see sqlite_file.damage."""
        self.close()
        try:
            with self._told():
                wrong = sqlite_file.damage(file, self.clock(), whole=whole)
        except OSError as exc:
            raise errors.of_system(exc, file) from None
        if wrong:
            sqlite_file.suspect(file)
        return wrong


class _Bound:
    """A connection of SQLAlchemy as a Database."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def run(self, text: str, values: Row) -> None:
        self._connection.execute(sa.text(text), values)

    def many(self, text: str, values: Sequence[Row]) -> None:
        if values:
            self._connection.execute(sa.text(text), list(values))

    def ask(self, text: str, values: Row) -> Sequence[Sequence[Any]]:
        return self._connection.execute(sa.text(text), values).fetchall()


def database(connection: sa.Connection) -> Database:
    """Return a connection as the writer of rows takes it; that of a file without what is between, since it writes most."""
    if connection.dialect.name == places.SQLITE:
        return Plain(connection.connection.driver_connection)  # type: ignore[arg-type]  # SQLite's is sqlite3's
    return _Bound(connection)


def _engine(place: places.Place, patience: Patience) -> sa.Engine:
    if place.file is None:
        return _server(place)
    engine = sa.create_engine(
        sa.URL.create(places.SQLITE, database=str(place.file)),
        connect_args={"timeout": patience.wait_s, "check_same_thread": False},
    )
    sa.event.listen(engine, "connect", lambda connection, _record: _set_up(connection, patience))
    sa.event.listen(engine, "begin", _begin)
    return engine


def _server(place: places.Place) -> sa.Engine:
    try:
        return sa.create_engine(place.url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_WITHIN_S})
    except ImportError as exc:
        why = f"the driver of {place.shown} is not installed ({exc.name}); pip install 'testcell[postgres]'"
        raise StoreError("config_invalid", why) from None
    except sa.exc.ArgumentError:
        raise StoreError("config_invalid", f"database_url of {place.dialect} is no URL that can be read") from None


def _set_up(connection: sqlite3.Connection, patience: Patience) -> None:
    # Transactions are begun by us alone: the driver's own way has no BEGIN IMMEDIATE.
    connection.isolation_level = None
    sqlite_file.set_up(connection, patience.seconds)


def _begin(connection: sa.Connection) -> None:
    writes: Mapping[str, Any] = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes.get(WRITES) else "BEGIN")
