# SPDX-License-Identifier: MIT
"""One table of columns stands behind the schema, the plain texts and the migrations: they must make the same database."""

from __future__ import annotations

import re
import sqlite3

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import migrate, schema, tables, texts


@pytest.fixture
def migrated(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/migrated.db")
    with engine.begin() as connection:
        assert migrate.upgrade(connection)
        yield connection
    engine.dispose()


def shape(ask):
    """Return what SQLite knows of each table: columns, keys, references and indexes, whatever words made them."""
    found = {}
    for (name,) in ask("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
        columns = [tuple(row)[1:] for row in ask(f"PRAGMA table_info({name})")]
        references = {tuple(row)[2:7] for row in ask(f"PRAGMA foreign_key_list({name})")}
        indexes = set()
        for _, index, unique, origin, _ in ask(f"PRAGMA index_list({name})"):
            parts = tuple(part for _, _, part in ask(f"PRAGMA index_info({index})"))
            indexes.add((index if origin == "c" else "", unique, origin, parts))
        found[name] = (columns, references, indexes)
    return found


def test_migrations_make_what_the_schema_says(migrated):
    assert compare_metadata(MigrationContext.configure(migrated), schema.METADATA) == []
    assert migrate.version(migrated) == tables.REVISION


def test_plain_texts_make_what_the_migrations_make(tmp_path, migrated):
    plain = sqlite3.connect(tmp_path / "plain.db")
    for text in texts.create():
        plain.execute(text)
    assert shape(plain.execute) == shape(lambda text: migrated.exec_driver_sql(text).fetchall())
    assert plain.execute(texts.VERSION).fetchall() == [(tables.REVISION,)]
    plain.close()


@pytest.mark.parametrize("name", tables.TABLES)
def test_texts_name_the_columns_of_the_schema(name):
    given = [column.name for column in schema.METADATA.tables[name].columns if column.name != "id"]
    assert re.findall(r":(\w+)", texts.insert(name)) == given


def test_a_migration_that_is_made_already_changes_nothing(migrated):
    assert not migrate.upgrade(migrated)
