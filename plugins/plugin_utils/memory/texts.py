# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SQL texts of the results database, made from its tables; SQLite and PostgreSQL both understand them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from .tables import REVISION, TABLES, Column, Table

_SQLITE_TYPES = {"id": "INTEGER", "int": "INTEGER", "real": "DOUBLE", "bool": "BOOLEAN", "text": "TEXT"}
# Where the number of the migration stands that a database is of; the table is Alembic's.
VERSION = "SELECT version_num FROM alembic_version"


def create() -> tuple[str, ...]:
    """Return the statements that make an empty SQLite database what the migrations make of it."""
    tables = [f"CREATE TABLE {table.name} ({', '.join(_parts(table))})" for table in TABLES.values()]
    indexes = [
        f"CREATE INDEX {name} ON {table.name} ({', '.join(columns)})"
        for table in TABLES.values()
        for name, columns in table.indexes.items()
    ]
    stamp = (
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        f"INSERT INTO alembic_version (version_num) VALUES ('{REVISION}')",
    )
    return (*tables, *indexes, *stamp)


def _parts(table: Table) -> Iterator[str]:
    yield from map(_column, table.columns)
    if table.has_id:
        yield "PRIMARY KEY (id)"
    if table.key:
        yield f"{'UNIQUE' if table.has_id else 'PRIMARY KEY'} ({', '.join(table.key)})"
    for column in table.columns:
        if column.refers:
            yield f"FOREIGN KEY ({column.name}) REFERENCES {column.refers} (id) ON DELETE CASCADE"


def _column(column: Column) -> str:
    return f"{column.name} {_SQLITE_TYPES[column.kind]}{'' if column.optional else ' NOT NULL'}"


@cache
def insert(name: str) -> str:
    """Return the text that adds a row of a table; its values are named as the columns."""
    given = TABLES[name].given
    return f"INSERT INTO {name} ({', '.join(given)}) VALUES ({', '.join(f':{column}' for column in given)})"


@cache
def upsert(name: str) -> str:
    """Return the text that adds a row, or brings the one of its key up to date."""
    table = TABLES[name]
    rest = [column for column in table.given if column not in table.key]
    news = ", ".join(f"{column} = excluded.{column}" for column in rest)
    return f"{insert(name)} ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {news}"
