# SPDX-License-Identifier: MIT
"""Results in a file and on a real PostgreSQL server: the same rows, many writers at once, and migrations under two of them."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest
import remembered
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import export, migrate, schema, tables
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.errors import StoreError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store

RUN = "20260102_030405"
WRITERS, EACH = 8, 12

# A controller of its own: it opens the database, says that it is ready, and at a word writes its runs and one of everybody's.
WRITER = """
import sys
from pathlib import Path
import remembered
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store
url, folder, number, each = sys.argv[1:]
if number != "late":
    store = open_store(url, results_dir=Path(folder))
print("ready", flush=True)
sys.stdin.readline()
if number == "late":
    store = open_store(url, results_dir=Path(folder))
    number = "0"
for part in range(int(each)):
    store.put([remembered.rows(f"20270101_{int(number):02d}{part:04d}", cases=5), remembered.rows("20280101_000000", cases=5)])
store.close()
"""


def start(url, folder, number, each=EACH):
    paths = ":".join(path for path in sys.path if path)
    words = [sys.executable, "-c", WRITER, url, str(folder), str(number), str(each)]
    return subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": paths},
    )


def go(processes):
    """Let all of them go at once, and return what each said that was wrong."""
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.communicate(timeout=120)[1] for process in processes]


def counted(store, table):
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()


def test_both_databases_hold_the_same_rows(tmp_path, new_server):
    results = tmp_path / "results"
    failed = remembered.attempt("second", "a=1", 2, "fail")
    remembered.write(results, RUN, remembered.attempt(), failed)
    remembered.write(results, "20260102_030406", remembered.attempt(verdict="fail"))
    with open_store(results_dir=results) as file, open_store(new_server, results_dir=results) as server:
        assert server.sync().added == 2 and server.sync().added == 0
        assert remembered.content(server) == remembered.content(file)
        for what in export.WHAT:
            with file.read() as one, server.read() as other:
                assert sorted(export.lines(one, what, typed=True)) == sorted(export.lines(other, what, typed=True))
        before = remembered.content(server)
        server.take_in([results / RUN])
        assert remembered.content(server) == before


def test_eight_processes_that_write_at_once_lose_nothing(tmp_path, url):
    with open_store(url, results_dir=tmp_path) as store:
        assert go([start(url, tmp_path, number) for number in range(WRITERS)]) == [""] * WRITERS
        assert counted(store, schema.runs) == WRITERS * EACH + 1
        assert counted(store, schema.attempts) == 5 * (WRITERS * EACH + 1)
        assert counted(store, schema.cases) == 5 and counted(store, schema.case_labels) == 5


def test_two_controllers_that_make_the_database_at_once_make_one(tmp_path, url):
    assert go([start(url, tmp_path, "late", each=1) for _ in range(4)]) == [""] * 4
    with open_store(url, results_dir=tmp_path) as store:
        assert store.notes == [] and counted(store, schema.runs) == 2


def versions():
    script = ScriptDirectory(str(migrate.SCRIPTS))
    return [one.revision for one in script.walk_revisions()][::-1]


def test_the_last_migration_is_the_one_that_the_tables_name():
    assert versions()[-1] == tables.REVISION


@pytest.mark.parametrize("version", ["", *versions()], ids=lambda version: f"from-{version or 'nothing'}")
def test_each_earlier_version_is_brought_to_todays_tables_with_its_rows(tmp_path, url, version):
    with _begun(url) as connection:
        if version:
            migrate.upgrade(connection, version)
            connection.execute(sa.text("INSERT INTO cases (scenario, name, labels) VALUES ('s', 'n', '{}')"))
    assert go([start(url, tmp_path, "late", each=1) for _ in range(2)]) == [""] * 2
    with open_store(url, results_dir=tmp_path) as store, store.read() as connection:
        assert migrate.version(connection) == tables.REVISION
        assert compare_metadata(MigrationContext.configure(connection), schema.METADATA) == []
        kept = connection.execute(
            sa.select(sa.func.count()).where(schema.cases.c.scenario == "s", schema.cases.c.name == "n")
        )
        assert kept.scalar() == (1 if version else 0)


@contextmanager
def _begun(url):
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_a_database_of_a_later_version_is_left_alone(tmp_path, url):
    with open_store(url, results_dir=tmp_path) as store, store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="is of version '9999'") as raised:
        open_store(url, results_dir=tmp_path)
    assert raised.value.kind == "config_invalid"


def test_a_transaction_that_the_server_refuses_for_another_is_done_again(tmp_path, new_server):
    with open_store(new_server, results_dir=tmp_path) as store:
        turns = []

        def work(connection):
            turns.append(1)
            if len(turns) < 3:
                connection.execute(sa.text("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$"))
            connection.execute(sa.insert(schema.cases).values(scenario="s", name=str(len(turns)), labels="{}"))

        store.transact(work)
        assert len(turns) == 3 and counted(store, schema.cases) == 1


REFUSED = [
    ("wrong-password", lambda url: url.replace("://postgres:", "://postgres:x"), "config_invalid"),
    ("no-such-database", lambda url: url + "_no", "config_invalid"),
    ("nobody-there", lambda url: "postgresql://u:geheim@127.0.0.1:1/d", "node_unreachable"),
]


@pytest.mark.parametrize(("change", "kind"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_a_server_that_lets_nobody_in_is_named_without_the_password(tmp_path, new_server, change, kind):
    url = change(new_server)
    with pytest.raises(StoreError) as raised:
        open_store(url, results_dir=tmp_path)
    assert raised.value.kind == kind
    password = url.partition("://")[2].partition("@")[0].partition(":")[2]
    assert password not in str(raised.value) and "127.0.0.1" in str(raised.value)


def test_labels_are_brought_up_to_date(tmp_path, url):
    results = tmp_path / "results"
    remembered.write(results, RUN)
    other = remembered.attempt(labels={"model": "large"})
    remembered.write(results, "20260102_030406", other)
    with open_store(url, results_dir=results) as store:
        store.sync()
        with store.read() as connection:
            assert connection.execute(sa.select(schema.case_labels.c["key", "value"])).all() == [("model", "large")]
            assert [json.loads(row) for row in connection.execute(sa.select(schema.cases.c.labels)).scalars()] == [
                {"model": "large"}
            ]
