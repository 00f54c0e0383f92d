# SPDX-License-Identifier: MIT
"""The results database as a whole: what it takes up, and what becomes of one that is locked, full, lost or damaged."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
import remembered
import sqlalchemy as sa
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import places, schema, sqlite_file, tables
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.errors import StoreError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.sqlite_file import Patience
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal, owner
from small_disk import small_disk

RUNS = [f"20260102_0304{second:02d}" for second in range(5, 9)]
HOUR_LATER = time.time() + 3_601


def filled(results):
    """Write some runs, record them, and return the database's file with what it holds."""
    for number, run_id in enumerate(RUNS):
        verdict = "fail" if number % 3 else "pass"
        remembered.write(
            results, run_id, remembered.attempt(verdict=verdict), remembered.attempt("second", f"c={number}")
        )
    with open_store(results_dir=results) as store:
        assert store.sync().unchanged == len(RUNS)
        return results / places.NAME, remembered.content(store)


def checked(results):
    """Record runs as `filled` does, in a database whose pages were looked at just now."""
    found = filled(results)
    with open_store(results_dir=results) as store:
        assert store.notes == []
    return found


def count(store, table=schema.runs):
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()


def test_what_is_recorded_again_changes_nothing(tmp_path):
    _, before = filled(tmp_path)
    with open_store(results_dir=tmp_path) as store:
        with store.read() as connection:
            numbers = connection.execute(sa.select(schema.attempts.c.id)).all()
        found = store.take_in([tmp_path, tmp_path / RUNS[0]])
        assert (found.added, found.unchanged) == (0, len(RUNS) + 1)
        connection = sqlite3.connect(tmp_path / places.NAME)
        with connection:
            connection.execute("UPDATE runs SET digest = ''")
        connection.close()
        assert store.sync().added == len(RUNS)
        assert remembered.content(store) == before
        with store.read() as connection:
            assert connection.execute(sa.select(schema.attempts.c.id)).all() == numbers


def test_sync_takes_what_is_new_and_what_is_otherwise_and_notes_what_is_gone(tmp_path):
    filled(tmp_path)
    shutil.rmtree(tmp_path / RUNS[0])
    path = tmp_path / RUNS[1] / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "verdict": "flaky"}))
    remembered.write(tmp_path, "20260103_000000")
    with open_store(results_dir=tmp_path) as store:
        found = store.sync()
        assert (found.added, found.gone, found.unchanged) == (2, 1, len(RUNS) - 2)
        with store.read() as connection:
            runs = {row.run_id: row for row in connection.execute(sa.select(schema.runs))}
    assert len(runs) == len(RUNS) + 1
    assert (runs[RUNS[0]].path, runs[RUNS[0]].verdict) == ("", "pass")
    assert runs[RUNS[1]].verdict == "flaky" and runs["20260103_000000"].state == "finished"


def test_a_run_that_goes_on_is_brought_up_to_date_when_it_ends(tmp_path):
    remembered.write(tmp_path, RUNS[0], finished=False)
    with open_store(results_dir=tmp_path) as store:
        with store.read() as connection:
            assert connection.execute(sa.select(schema.runs.c["state", "verdict"])).all() == [("running", "")]
        shutil.rmtree(tmp_path / RUNS[0])
        remembered.write(tmp_path, RUNS[0])
        assert store.sync().added == 1
        with store.read() as connection:
            assert connection.execute(sa.select(schema.runs.c["state", "verdict"])).all() == [("finished", "pass")]
        assert count(store, schema.events) == 3


def test_a_run_that_goes_on_is_read_again_only_when_it_has_written_or_has_died(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as controller:
        remembered.write(tmp_path, RUNS[0], finished=False, owner=owner.of_process(controller.pid))
        with open_store(results_dir=tmp_path) as store:
            assert (store.made_again.added, store.sync().added) == (1, 0)
            journal.append(tmp_path / RUNS[0], {"step": "test"})
            assert (store.sync().added, store.sync().added) == (1, 0)
            controller.kill()
            controller.wait()
            assert (store.sync().added, store.sync().added) == (1, 0)
            with store.read() as connection:
                assert connection.execute(sa.select(schema.runs.c.state)).all() == [("unfinished",)]


def test_the_events_of_a_run_are_left_to_its_controller_while_that_lives(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as controller:
        remembered.write(tmp_path, RUNS[0], owner=owner.of_process(controller.pid))
        with open_store(results_dir=tmp_path) as store:
            assert (store.made_again.added, count(store, schema.events)) == (1, 0)
            controller.kill()
            controller.wait()
            assert (store.sync().added, count(store, schema.events), store.sync().added) == (1, 3, 0)


def test_of_a_run_whose_folder_is_gone_nobody_says_that_it_goes_on(tmp_path):
    remembered.write(tmp_path, RUNS[0], finished=False, owner=owner.of_process(os.getpid()))
    with open_store(results_dir=tmp_path) as store:
        shutil.rmtree(tmp_path / RUNS[0])
        assert store.sync().gone == 1
        with store.read() as connection:
            assert connection.execute(sa.select(schema.runs.c["state", "path"])).all() == [("unfinished", "")]


def test_what_is_known_of_a_run_stays_while_its_files_cannot_be_read(tmp_path):
    _, before = filled(tmp_path)
    for path in (tmp_path / RUNS[0]).iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with open_store(results_dir=tmp_path) as store:
        found = store.sync()
        assert (found.added, found.unchanged, found.gone) == (0, len(RUNS), 0)
        assert remembered.content(store) == before


def test_two_runs_of_one_name_from_two_folders_are_two_runs(tmp_path):
    remembered.write(tmp_path / "a", RUNS[0])
    other = remembered.write(tmp_path / "b", RUNS[0])
    plan = json.loads((other / "plan.json").read_text())
    (other / "plan.json").write_text(json.dumps({**plan, "started_at": plan["started_at"] + 3600}))
    shutil.copytree(tmp_path / "a", tmp_path / "copy_of_a")
    with open_store(results_dir=tmp_path / "a") as store:
        store.take_in([tmp_path / "b", tmp_path / "copy_of_a", tmp_path / "b"])
        assert count(store) == 2


def test_a_broken_run_is_named_and_the_others_are_taken(tmp_path):
    bad = remembered.write(tmp_path, RUNS[0])
    (bad / "summary.json").write_text('{"run_id": "20260102_030405", "verdict": ')
    remembered.write(tmp_path, RUNS[1])
    (tmp_path / "20260102_999999").mkdir()
    with open_store(results_dir=tmp_path / "db") as store:
        found = store.take_in([tmp_path])
        assert found.added == 2 and [problem.file for problem in found.problems] == [str(bad / "summary.json")]


def test_an_exception_undoes_a_transaction_and_stays_what_it_is(tmp_path):
    with open_store(results_dir=tmp_path) as store:
        with pytest.raises(ValueError, match="of the caller"), store.write() as connection:
            connection.execute(sa.insert(schema.cases).values(scenario="s", name="", labels="{}"))
            raise ValueError("of the caller")
        with pytest.raises(BrokenPipeError), store.read():
            raise BrokenPipeError
        assert count(store, schema.cases) == 0


# F55: a process holds the lock. The waits are shorter than in earnest, and what is decided by them is the same.

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


class Holder:
    """Another process that holds the lock of a database until it is let go."""

    def __init__(self, file):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "held\n"

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.let_go()

    def let_go(self):
        self.process.communicate("\n" if self.process.returncode is None else None, timeout=20)


def connections(file):
    """Return how many descriptors of this process are of a file."""
    there = (os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
    return sum(os.path.exists(one) and os.path.samefile(one, file) for one in there)


def test_nobody_has_the_database_open_while_its_file_is_read_past_sqlite(tmp_path, monkeypatch):
    """To close that file takes SQLite's locks away, and another process then removes the log under a connection."""
    file, _ = filled(tmp_path)
    head, seen = sqlite_file._head, []

    def looked(path):
        seen.append(connections(path))
        return head(path)

    monkeypatch.setattr(sqlite_file, "_head", looked)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        for name in ("attempt_revisions", "scenario_changes", "upkeep_steps", "upkeep_runs", "upkeep_rounds"):
            connection.execute(f"DROP TABLE {name}")
        connection.execute("DROP INDEX attempts_by_case")
    connection.close()
    with open_store(results_dir=tmp_path) as store:
        assert store.version() == tables.REVISION and connections(file)
        assert store.check() == ""
    assert seen == [0] * len(seen) and len(seen) >= 3


def test_f55_a_lock_that_is_held_for_longer_than_all_waits_is_db_locked(tmp_path):
    file, before = filled(tmp_path)
    patience = Patience(0.1, 3)
    with open_store(results_dir=tmp_path, patience=patience) as store, Holder(file):
        began = time.monotonic()
        with pytest.raises(StoreError, match="database is locked") as raised:
            store.put([remembered.rows("20270101_000000")])
        assert raised.value.kind == "db_locked"
        assert time.monotonic() - began >= patience.seconds, "it has not waited its time"
    with open_store(results_dir=tmp_path) as store:
        assert remembered.content(store) == before


def test_f55_ten_thousand_writes_lose_nothing_to_locks_that_come_and_go(tmp_path):
    with open_store(results_dir=tmp_path, patience=Patience(5.0, 6)) as store:
        file = tmp_path / places.NAME
        ended = threading.Event()

        def disturb():
            with closing(sqlite3.connect(file, isolation_level=None, timeout=20)) as other:
                while not ended.is_set():
                    other.execute("BEGIN IMMEDIATE")
                    ended.wait(0.02)
                    other.execute("COMMIT")
                    ended.wait(0.005)

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            for part in range(100):
                store.put([remembered.rows(f"20270101_{part:06d}", cases=99)])
        finally:
            ended.set()
            thread.join()
        assert (count(store), count(store, schema.attempts)) == (100, 9_900), "a write was lost"
    assert remembered.whole(file) == "ok"


# F56: a database that is damaged, of the wrong kind, or gone is made again from the runs' folders.


def middle_overwritten(file):
    with file.open("r+b") as stream:
        stream.seek(4096 * 3)
        stream.write(b"\xa5" * 4096 * 8)


def truncated(file):
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2 // 4096 * 4096)


def no_database(file):
    file.write_text("this is a note that somebody saved under the wrong name\n" * 40)


def zeroed(file):
    file.write_bytes(bytes(file.stat().st_size))


def wrong_in_a_page(file):
    content = bytearray(file.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 8] = b"\xff" * 8
    file.write_bytes(content)


DAMAGES = [middle_overwritten, truncated, no_database, zeroed, wrong_in_a_page]


@pytest.mark.parametrize("damage", DAMAGES, ids=[f"F56-{one.__name__}" for one in DAMAGES])
def test_a_damaged_database_is_kept_aside_and_made_again_whole(tmp_path, damage):
    file, before = filled(tmp_path)
    damage(file)
    damaged = file.read_bytes()
    with open_store(results_dir=tmp_path, clock=lambda: HOUR_LATER) as store:
        (note,) = store.notes
        assert note.startswith(f"db_corrupt: {file} ")
        assert remembered.content(store) == before
    (kept,) = tmp_path.glob(f"{places.NAME}.corrupt-*")
    assert kept.read_bytes() == damaged and kept.name in note
    with open_store(results_dir=tmp_path) as store:
        assert store.notes == [] and store.sync().added == 0


def test_f56_damage_between_two_checks_is_found_by_a_whole_look_and_mended(tmp_path):
    file, before = checked(tmp_path)
    middle_overwritten(file)
    with open_store(results_dir=tmp_path) as store:
        assert store.notes == []
        assert store.check() != ""
        assert remembered.content(store) == before
        assert store.check() == ""


def test_f56_damage_that_shows_in_use_is_mended_at_the_next_start(tmp_path):
    file, before = checked(tmp_path)
    remembered.spoil(file, "metrics")
    with pytest.raises(StoreError, match="malformed") as raised, open_store(results_dir=tmp_path) as store:
        remembered.content(store)
    assert raised.value.kind == "db_corrupt"
    with open_store(results_dir=tmp_path) as store:
        assert store.notes and remembered.content(store) == before
    with open_store(results_dir=tmp_path) as store:
        assert store.notes == []
    assert not file.with_name(f"{file.name}.suspect").exists()


def test_f56_an_unclean_end_is_reason_enough_to_look_at_the_pages(tmp_path):
    file, before = filled(tmp_path)
    wal = file.with_name(f"{file.name}-wal")
    with closing(sqlite3.connect(file)) as writer:
        with writer:
            writer.execute("UPDATE runs SET verdict = 'flaky'")
        shutil.copy(file, tmp_path / "copy")
        shutil.copy(wal, tmp_path / "copy-wal")
    middle_overwritten(tmp_path / "copy")
    shutil.move(tmp_path / "copy", file)
    shutil.move(tmp_path / "copy-wal", wal)
    with open_store(results_dir=tmp_path) as store:
        assert store.notes and remembered.content(store) == before


@pytest.mark.parametrize("kept", [0, 32, 4_000, 0.5, 0.9], ids=lambda kept: f"F56-wal-cut-at-{kept}")
def test_what_a_cut_wal_loses_is_taken_up_again(tmp_path, kept):
    results, copy = tmp_path / "a", tmp_path / "b"
    file, before = filled(results)
    file.unlink()
    with closing(sqlite3.connect(file, isolation_level=None)) as keeper, open_store(results_dir=results) as store:
        # While another connection is open the log is not folded into the file.
        assert keeper.execute("PRAGMA wal_autocheckpoint = 0").fetchone() == (0,)
        assert remembered.content(store) == before
        shutil.copytree(results, copy)
    wal = copy / f"{places.NAME}-wal"
    assert wal.stat().st_size > 10_000, "there was nothing to cut"
    with wal.open("r+b") as stream:
        stream.truncate(int(kept * wal.stat().st_size) if isinstance(kept, float) else kept)
    with open_store(results_dir=copy) as store:
        store.sync()
        found = remembered.content(store)
        assert [line.replace(str(copy), str(results)) for line in found["attempts"]] == before["attempts"]
        assert {name: len(lines) for name, lines in found.items()} == {
            name: len(lines) for name, lines in before.items()
        }
    assert remembered.whole(copy / places.NAME) == "ok"


def test_f56_a_database_that_is_removed_while_it_is_open_is_told_and_made_again(tmp_path):
    _, before = filled(tmp_path)
    with open_store(results_dir=tmp_path) as store:
        for path in tmp_path.glob(f"{places.NAME}*"):
            path.unlink()
        with pytest.raises(StoreError, match="was removed or replaced while it was open") as raised:
            store.put([remembered.rows("20270101_000000")])
        assert raised.value.kind == "db_corrupt"
    with open_store(results_dir=tmp_path) as store:
        assert remembered.content(store) == before


def test_f56_a_file_system_that_is_read_only_is_db_readonly(tmp_path):
    with small_disk(tmp_path / "disk", "4m") as disk:
        filled(disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(StoreError, match="cannot be written to") as raised, open_store(results_dir=disk) as store:
            store.put([remembered.rows("20270101_000000")])
        assert raised.value.kind == "db_readonly" and str(disk / places.NAME) in str(raised.value)
        with pytest.raises(StoreError) as raised:
            open_store(results_dir=disk / "new")
        assert raised.value.kind == "db_readonly"


NO_FILES = {
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link-to-itself": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("make", NO_FILES.values(), ids=[f"F56-{name}" for name in NO_FILES])
def test_what_is_no_file_keeps_nobody_waiting_and_is_db_readonly(tmp_path, make):
    make(tmp_path / places.NAME)
    with pytest.raises(StoreError, match=r"cannot be written to .*; give this user the file and its folder") as raised:
        open_store(results_dir=tmp_path)
    assert raised.value.kind == "db_readonly"


def test_f56_a_damaged_database_behind_a_link_is_kept_where_it_is_and_the_link_stays(tmp_path):
    elsewhere, results = tmp_path / "elsewhere", tmp_path / "results"
    elsewhere.mkdir()
    file, before = filled(results)
    file.rename(elsewhere / "cells.db")
    file.symlink_to(elsewhere / "cells.db")
    wrong_in_a_page(elsewhere / "cells.db")
    with open_store(results_dir=results, clock=lambda: HOUR_LATER) as store:
        assert store.notes and remembered.content(store) == before
    assert file.is_symlink() and len(list(elsewhere.glob("cells.db.corrupt-*"))) == 1


# F57, and F28's database: a full disk.


@pytest.mark.parametrize("room", [0, 40_000, 400_000], ids=lambda room: f"F57-F28-{room}-bytes-left")
def test_on_a_full_disk_nothing_is_half_written_and_the_path_and_the_need_are_named(tmp_path, room):
    with small_disk(tmp_path / "disk", "6m") as disk:
        with open_store(results_dir=disk) as store:
            store.put([remembered.rows("20260101_000000")])
            free = shutil.disk_usage(disk).free
            (disk / "ballast").write_bytes(bytes(max(free - room, 0)))
            done = 0
            with pytest.raises(StoreError) as raised:
                for number in range(100):
                    store.put([remembered.rows(f"20270101_{number:06d}", cases=200)])
                    done += 1
            assert raised.value.kind == "disk_full"
            assert str(disk / places.NAME) in str(raised.value) and "bytes are needed there" in str(raised.value)
            assert (count(store), count(store, schema.attempts)) == (1 + done, 1 + 200 * done)
        assert remembered.whole(disk / places.NAME) == "ok"
        (disk / "ballast").unlink()
        with open_store(results_dir=disk) as store:
            assert store.notes == [] and store.put([remembered.rows("20270101_999999", cases=200)]) == 1


def test_f57_where_no_database_can_be_made_for_want_of_room_that_is_said(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))
        with pytest.raises(StoreError) as raised:
            open_store(results_dir=disk)
        assert raised.value.kind == "disk_full"


URLS = [
    ("mysql://u:geheim@h/d", "database_url is of no known form"),
    ("postgresql://u:geheim@h:no/d", "a port that is no number"),
    ("sqlite://", "database_url names no file"),
    ("sqlite:///:memory:", "database_url names no file"),
    ("results.db", "database_url is of no known form"),
]


@pytest.mark.parametrize(("url", "said"), URLS)
def test_a_url_of_no_known_form_is_refused_without_its_password(tmp_path, url, said):
    with pytest.raises(StoreError, match=said) as raised:
        open_store(url, results_dir=tmp_path)
    assert raised.value.kind == "config_invalid" and "geheim" not in str(raised.value)


def test_a_place_never_shows_its_password():
    found = places.place("postgresql://anna:geheim@db.example:5433/cells", results_dir=None)
    assert found.shown == "postgresql://db.example:5433/cells"
    assert "geheim" not in repr(found)


@pytest.mark.parametrize("name", ["a b.db", "50%41.db", "what?.db", "übung.db"])
def test_odd_names_of_a_file_are_that_file(tmp_path, name):
    from urllib.parse import quote

    with open_store(f"sqlite:///{tmp_path}/{quote(name)}", results_dir=tmp_path) as store:
        assert count(store) == 0
    assert (tmp_path / name).is_file()
