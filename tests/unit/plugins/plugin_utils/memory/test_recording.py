# SPDX-License-Identifier: MIT
"""A run is recorded while it goes on: by one thread, in a process that forks, and whatever becomes of the database."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from queue import SimpleQueue

import pytest
import remembered
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import places, recording, sqlite_file, texts
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner
from small_disk import small_disk

RUN = "20260102_030405"


def event(number):
    return remembered.BEGAN + number, "result", {"host": "n1", "task": f"task {number}", "status": "ok", "seconds": 0.5}


def begun(run_dir, url=""):
    """Return a recording that goes on, and its queue."""
    (run_dir / "events.jsonl").unlink(missing_ok=True)
    queue = SimpleQueue()
    found = recording.of_run(run_dir, url, queue)
    found.start()
    return found, queue


def asked(file, text):
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(text).fetchall()


def wait_for(file, text, wanted, within_s=20):
    """Wait until a question to the database has this answer."""
    until = time.monotonic() + within_s
    while True:
        try:
            found = asked(file, text)
        except sqlite3.OperationalError as exc:  # not made yet
            found = str(exc)
        if found == wanted or time.monotonic() > until:
            assert found == wanted
            return
        time.sleep(0.01)


EVENTS = "SELECT count(*) FROM events"


@pytest.fixture
def file(tmp_path):
    return tmp_path / places.NAME


def test_events_are_there_while_the_run_goes_on_and_its_results_at_the_end(tmp_path, file):
    run_dir = remembered.write(tmp_path, RUN)
    found, queue = begun(run_dir)
    queue.put(event(0))
    wait_for(file, EVENTS, [(1,)])
    queue.put(event(1))
    queue.put(event(2))
    assert found.end() == ""
    assert asked(file, "SELECT task, seconds FROM events ORDER BY id") == [(f"task {n}", 0.5) for n in range(3)]
    with open_store(results_dir=tmp_path) as store:
        before = remembered.content(store)
        assert store.notes == [] and store.sync().added == 0
    file.unlink()
    with open_store(results_dir=tmp_path) as store:
        assert remembered.content(store) == before, "recorded by the run and made from its folder is not the same"


def test_a_run_takes_up_what_earlier_ones_could_not_record(tmp_path, file):
    for number in range(3):
        remembered.write(tmp_path, f"2026010{number + 1}_000000")
    found, _ = begun(remembered.write(tmp_path, RUN))
    assert found.end() == ""
    assert asked(file, "SELECT count(*) FROM runs") == [(4,)]


def test_the_end_of_a_run_leaves_runs_that_are_recorded_to_their_end_alone(tmp_path, file):
    run_dir = remembered.write(tmp_path, "20260101_000000")
    with open_store(results_dir=tmp_path):
        pass
    os.utime(run_dir / "summary.json")
    found, _ = begun(remembered.write(tmp_path, RUN))
    assert found.end() == ""
    with open_store(results_dir=tmp_path) as store:
        assert store.sync().added == 1, "the end of a run has read what is no news to it"


def test_a_run_that_goes_on_after_its_controller_was_killed_has_the_events_of_both(tmp_path, file):
    run_dir, queue = remembered.write(tmp_path, RUN), SimpleQueue()
    found = recording.of_run(run_dir, "", queue)
    found.start()
    queue.put(event(7))
    assert found.end() == ""
    tasks = "SELECT task FROM events ORDER BY id"
    assert asked(file, tasks) == [("task 0",), ("task 1",), ("task 2",), ("task 7",)]


@pytest.mark.parametrize(
    ("before", "lines"), [('{"t": 1.0, "ev', 2), ('{"t": 1.0, "event": "play_start"}\n', 2), ("", 1)]
)
def test_the_events_after_a_line_that_was_cut_short_have_lines_of_their_own(tmp_path, before, lines):
    path = tmp_path / "events.jsonl"
    path.write_text(before)
    log = recording.Log(path)
    log.write([event(1)])
    log.close()
    found = path.read_text().splitlines()
    assert len(found) == lines and json.loads(found[-1])["task"] == "task 1"


def test_an_event_that_the_database_refuses_is_taken_from_the_folder(tmp_path, file):
    found, queue = begun(remembered.write(tmp_path, RUN))
    queue.put((1.0, "result", {"host": "n1", "task": "\ud800", "status": "ok", "seconds": 0.5}))
    queue.put(event(1))
    assert found.end() == ""
    assert asked(file, "SELECT task FROM events ORDER BY id") == [("\\ud800",), ("task 1",)]


def test_an_error_that_nobody_has_thought_of_is_told_at_the_end(tmp_path):
    class Broken:
        def write(self, rows):
            raise RuntimeError("of the writer")

        def finish(self, until, *, whole):
            raise RuntimeError(f"of the end, whole: {whole}")

        def close(self):
            pass

    queue = SimpleQueue()
    found = recording.Recording(queue, Broken, recording.Log(tmp_path / "events.jsonl"))
    found.start()
    queue.put(event(0))
    assert "internal_error: of the end, whole: False" in found.end()
    assert (tmp_path / "events.jsonl").read_text().count("\n") == 1


def test_the_folder_of_the_database_is_made(tmp_path):
    file = tmp_path / "new" / "folder" / "cells.db"
    found, queue = begun(remembered.write(tmp_path, RUN), f"sqlite:///{file}")
    queue.put(event(0))
    assert found.end() == "" and asked(file, EVENTS) == [(1,)]


def test_forks_of_the_recorded_process_neither_write_nor_harm(tmp_path, file):
    found, queue = begun(remembered.write(tmp_path, RUN))
    for number in range(30):
        queue.put(event(number))
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    assert found.end() == ""
    assert remembered.whole(file) == "ok"


def test_f55_a_locked_database_holds_no_run_up_and_loses_nothing(tmp_path, file):
    with open_store(results_dir=tmp_path):
        pass
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found, queue = begun(remembered.write(tmp_path, RUN))
        for number in range(3):
            queue.put(event(number))
        began = time.monotonic()
        said = found.end(within_s=0.5)
        assert time.monotonic() - began < 15, "the end of the run hangs"
        other.execute("COMMIT")
    assert "db_locked" in said and recording.NEXT in said
    with open_store(results_dir=tmp_path) as store:
        assert store.sync().added == 1
    assert asked(file, EVENTS) == [(3,)]


def test_f55_a_lock_that_is_let_go_in_time_delays_the_events_only(tmp_path, file):
    with open_store(results_dir=tmp_path):
        pass
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found, queue = begun(remembered.write(tmp_path, RUN))
        queue.put(event(0))
        until = time.monotonic() + 20
        while not queue.empty() and time.monotonic() < until:  # then it has taken the event, and meets the lock with it
            time.sleep(0.01)
        other.execute("COMMIT")
    wait_for(file, EVENTS, [(1,)])
    assert found.end() == ""


def no_database(file):
    file.write_text("no database at all\n" * 300)


def other_tables(file):
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("CREATE TABLE alembic_version (version_num TEXT); CREATE TABLE other (a)")


def pages_overwritten(file):
    with open_store(results_dir=file.parent):
        pass
    content = bytearray(file.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 8] = b"\xff" * 8
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [no_database, pages_overwritten], ids=lambda damage: f"F56-{damage.__name__}")
def test_a_damaged_database_is_made_again_by_the_end_of_the_run(tmp_path, file, damage):
    remembered.write(tmp_path, "20260101_000000")
    damage(file)
    found, queue = begun(remembered.write(tmp_path, RUN, owner=owner.of_process(os.getpid())))
    queue.put(event(0))
    assert found.end(within_s=30) == ""
    assert asked(file, "SELECT count(*) FROM runs") == [(2,)] and asked(file, EVENTS) == [(4,)]
    assert list(tmp_path.glob(f"{places.NAME}.corrupt-*"))


def test_f56_a_database_removed_while_the_run_goes_on_is_made_again_at_its_end(tmp_path, file):
    remembered.write(tmp_path, "20260101_000000")
    found, queue = begun(remembered.write(tmp_path, RUN))
    queue.put(event(0))
    wait_for(file, EVENTS, [(1,)])
    for side in sqlite_file.SIDES:
        (tmp_path / f"{places.NAME}{side}").unlink(missing_ok=True)
    queue.put(event(1))
    assert found.end(within_s=30) == ""
    assert asked(file, "SELECT count(*) FROM runs") == [(2,)]


def test_a_database_of_another_version_is_brought_up_to_date_after_the_last_fork(tmp_path, file):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.commit()
    found, queue = begun(remembered.write(tmp_path, RUN))
    queue.put(event(0))
    assert found.end(within_s=30) == ""
    assert asked(file, "SELECT count(*) FROM attempts") == [(1,)]


@pytest.mark.parametrize("room", [0, 60_000], ids=lambda room: f"F57-F28-{room}-bytes-left")
def test_a_full_disk_is_told_and_the_next_run_takes_up_what_is_missing(tmp_path, room):
    with small_disk(tmp_path / "disk", "3m") as disk:
        run_dir = remembered.write(disk, RUN)
        facts = os.statvfs(disk)
        (disk / "ballast").write_bytes(bytes(max(facts.f_bavail * facts.f_frsize - room, 0)))
        found, queue = begun(run_dir)
        queue.put(event(0))
        said = found.end()
        assert "disk_full" in said and "bytes are needed there" in said
        (disk / "ballast").unlink()
        again, _ = begun(remembered.write(disk, "20260102_030406"))
        assert again.end() == ""
        assert asked(disk / places.NAME, "SELECT count(*) FROM runs") == [(2,)]
        assert remembered.whole(disk / places.NAME) == "ok"


def test_what_takes_too_long_is_left_behind(tmp_path):
    class Stuck:
        def write(self, rows):
            pass

        def finish(self, until, *, whole):
            gate.acquire()

        def close(self):
            pass

    import threading

    gate = threading.Semaphore(0)
    found = recording.Recording(SimpleQueue(), Stuck, recording.Log(tmp_path / "events.jsonl"))
    found.start()
    assert "took longer than 0.1 s" in found.end(within_s=0.1)
    gate.release()


def test_where_sqlalchemy_is_absent_a_server_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    prefix = "ansible_collections.enginelab.testcell.plugins.plugin_utils.memory"
    for name in ("store", "schema", "migrate"):
        monkeypatch.delitem(sys.modules, f"{prefix}.{name}", raising=False)
    monkeypatch.delattr(sys.modules[prefix], "store", raising=False)
    found, queue = begun(tmp_path, "postgresql://u@h/d")
    queue.put(event(0))
    assert "sqlalchemy is not installed" in found.end()
    assert (tmp_path / "events.jsonl").read_text().count("\n") == 1


def test_a_file_is_recorded_without_sqlalchemy(tmp_path):
    code = f"import sys; import {recording.__name__}; print(sorted(n for n in sys.modules if n.partition('.')[0] in ('sqlalchemy', 'alembic')))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.stdout == "[]\n"


# A controller that is killed: each event it tells is in the database 100 ms later.
KILLED = """
import sys, time
from pathlib import Path
from queue import SimpleQueue
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import recording
queue = SimpleQueue()
found = recording.of_run(Path(sys.argv[1]), "", queue)
found.start()
number = 0
while True:
    for _ in range(20):
        queue.put((time.time(), "result", {"host": "n1", "task": str(number), "status": "ok", "seconds": 0.5}))
        number += 1
    time.sleep(0.005)
"""


def test_a_killed_controller_loses_its_last_moments_at_most(tmp_path, file):
    run_dir = remembered.write(tmp_path, RUN, finished=False)
    process = subprocess.Popen([sys.executable, "-c", KILLED, run_dir], env={"PYTHONPATH": ":".join(sys.path)})
    try:
        wait_for(file, "SELECT count(*) > 2000 FROM events", [(1,)])
    finally:
        process.send_signal(signal.SIGKILL)
        killed = time.time()
        process.wait()
    assert remembered.whole(file) == "ok"
    tasks = [int(task) for (task,) in asked(file, "SELECT task FROM events ORDER BY id")]
    assert tasks == list(range(len(tasks))), "events are missing between others"
    # 100 ms of gathering, and what a loaded machine takes to write them and to end the process.
    assert killed - asked(file, "SELECT max(t) FROM events")[0][0] < 1.0


def test_the_texts_of_the_writer_fit_the_tables():
    assert recording.INSERT.count("?") == len(texts.insert("events").split("VALUES")[1].split(","))
