# SPDX-License-Identifier: MIT
"""Whoever is killed between two calls of the system: the same request comes again, and holds or says why not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import (
    compose,
    daemon,
    dial,
    lease,
    procs,
    programs,
    supervise,
    unit,
)
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import contact, guard, op, records
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.records import Records
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import client, package

PATIENCE_S = 20.0


@pytest.fixture
def ctx(tmp_path):
    root = tmp_path / "root"
    root.mkdir(0o700)
    yield Context(root, RunRef("r", "s", "c", 1, None))
    procs.end_ours(root)


def until(true):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- units --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['{"ok": true}', "[1]", "x"])
@pytest.mark.parametrize(
    "place",
    [
        "s/c/a1/scenario/tests/unit/api/status.json",
        "s/c/a1/work/results/unit/api/status.json",
        "s/c/a1/scenario/a1/unit/api/status.json",
        "s/a1/a1/scenario/unit/api/status.json",
    ],
)
def test_files_that_only_look_like_a_unit_keep_no_run_from_ending(ctx, place, text):
    supervise.start(ctx, {"name": "test", "argv": ["sleep", "60"], "cgroup": "none"})
    path = ctx.runs_dir / "r" / place
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert supervise.end_units(ctx, "r").units == ("test",)


@pytest.mark.parametrize("run", [RunRef("r", "s", "", 1, None), RunRef("r", "s", "a1", 12, None)])
def test_the_units_of_every_case_and_attempt_are_found(tmp_path, run):
    root = tmp_path / "root"
    root.mkdir(0o700)
    ctx = Context(root, run)
    os.close(unit.open_unit(ctx, "test", create=True))
    (ctx.case_dir / "unit" / "test" / unit.STATUS).write_text("{}")
    assert unit.units_of_run(ctx, "r") == [ctx.case_dir / "unit" / "test"]


SLOW = """
import sys, time
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import daemon, supervise
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from pathlib import Path
root, held, out = map(Path, sys.argv[1:])
real = daemon.write_status
def slow(fd, status):
    if status.state == "starting":
        held.write_text("")
        while held.exists():
            time.sleep(0.01)
    real(fd, status)
daemon.write_status = slow
args = {"name": "test", "argv": ["sh", "-c", f"echo $$ >>{out}; exec sleep 60"], "cgroup": "none"}
supervise.start(Context(root, RunRef("r", "s", "c", 1, None)), args)
"""


def test_a_unit_is_started_once_although_who_asked_first_was_killed_while_the_disk_was_slow(ctx, tmp_path):
    held, out = tmp_path / "held", tmp_path / "started"
    words = [sys.executable, "-c", SLOW, str(ctx.root), str(held), str(out)]
    first = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    until(held.exists)
    first.kill()
    first.wait()
    args = {"name": "test", "argv": ["sh", "-c", f"echo $$ >>{out}; exec sleep 60"], "cgroup": "none"}
    timer = threading.Timer(0.5, held.unlink)
    timer.start()
    assert supervise.start(ctx, args) == {"started": True, "existing": True}
    timer.join()
    until(out.exists)
    assert len(out.read_text().split()) == 1
    assert supervise.kill(ctx, {"name": "test"})["state"] == "killed"
    assert not procs.ours(ctx.root)


def test_a_unit_whose_supervisor_died_before_its_command_ran_is_started(ctx, monkeypatch):
    args = {"name": "test", "argv": ["sleep", "60"], "cgroup": "none"}
    with monkeypatch.context() as patch:
        patch.setattr(daemon.Supervisor, "_start", lambda _self: os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(CellError, match="ended before it had started the command"):
            supervise.start(ctx, args)
    assert supervise.start(ctx, args) == {"started": True, "existing": False}
    assert supervise.kill(ctx, {"name": "test"})["state"] == "killed"


def test_a_unit_that_the_system_ended_as_it_went_down_was_not_cancelled(ctx, monkeypatch):
    supervise.start(ctx, {"name": "test", "argv": ["sleep", "60"], "cgroup": "none"})
    folder_fd = unit.open_unit(ctx, "test")
    os.kill(unit.read_status(folder_fd).supervisor_pid, signal.SIGTERM)
    until(lambda: not unit.read_status(folder_fd).live)
    os.close(folder_fd)
    assert supervise.poll(ctx, {"name": "test"})["error_kind"] == "cancelled"
    monkeypatch.setattr(procs, "boot_id", lambda: "another")
    seen = supervise.poll(ctx, {"name": "test"})
    assert (seen["state"], seen["error_kind"]) == ("lost", "node_unreachable")
    assert "the node was restarted" in seen["message"]


# --- faults -------------------------------------------------------------------------------------------------------


def test_no_faults_are_begun_without_a_guard(ctx, monkeypatch):
    """F63"""
    program = ctx.root / "cellnode-000000000000.pyz"
    program.write_bytes(package.build("cellnode").content)
    monkeypatch.setattr(sys, "argv", [str(program)])
    event = {"id": "e", "kind": "kill", "at_s": 1, "duration_s": 1, "service": "db"}
    args = {"action": "begin", "schedule": [event], "checks": {}, "duration_s": 60}
    real = op._start

    def without(ctx, name, *words):
        found = real(ctx, name, *words)
        if name == op.GUARD:
            supervise.kill(ctx, {"name": name})
        return found

    monkeypatch.setattr(op, "_start", without)
    with pytest.raises(CellError, match="the guard of the faults has ended before they began"):
        op.begin(ctx, args)
    assert op.status(ctx, {})["units"][op.RUNNER] is None


def test_faults_whose_folder_cannot_be_read_are_not_taken_for_none(ctx, monkeypatch):
    """F63"""
    folder = ctx.root / records.FOLDER / "r"
    folder.parent.mkdir()
    folder.symlink_to("/nowhere")
    with pytest.raises(CellError):
        Records(ctx.root, "r").open()
    report = contact.undo(ctx, None, ["r", "other"])
    assert [one["run"] for one in report.left] == ["r"] and not report.undone
    assert report.errors()[0]["what"] == "the faults of run r"
    made = object.__new__(guard.Guard)
    made._kept = Records(ctx.root, "r")
    assert made._open() is None


def test_a_guard_may_be_asked_to_end_at_any_moment():
    """Its handler takes no lock that the moment may hold."""
    made = object.__new__(guard.Guard)
    made.end()
    assert made._asked is True


# --- leases -------------------------------------------------------------------------------------------------------


def held(root, run, action, epoch=None, **more):
    found = lease.op_lease(Context(root, RunRef(run, "s", "c", 1, epoch), owner=run), {"action": action, **more})
    return found["epoch"], found["run"]


@pytest.mark.parametrize("shared", [True, False])
def test_a_lease_is_given_back_once_whoever_has_the_node_by_then(ctx, shared):
    """The answer to a release may be lost, and the release is sent again."""
    first = held(ctx.root, "a", "acquire", shared=shared)[0]
    if shared:
        held(ctx.root, "b", "acquire", shared=True)
    held(ctx.root, "a", "release", first)
    if not shared:
        held(ctx.root, "b", "acquire")
    assert held(ctx.root, "a", "release", first)[1] == "b"
    with pytest.raises(CellError, match="leased to run 'b'"):
        held(ctx.root, "a", "renew", first)
    with pytest.raises(CellError, match="leased to run 'b'"):
        held(ctx.root, "c", "release", first + 9)


# --- compose ------------------------------------------------------------------------------------------------------


def test_containers_are_made_by_one_call_at_a_time(ctx):
    ctx.case_dir.mkdir(parents=True)
    call = compose.Call(ctx, None, None, (), {}, (), "p", ctx.clock.monotonic() + 0.3)
    busy = pytest.raises(CellError, match="made by an earlier call")
    with compose._alone(ctx, call), busy as refused, compose._alone(ctx, call):
        pass
    assert refused.value.kind == "docker_timeout"
    with compose._alone(ctx, call):
        pass


# --- the engine, answers, programs --------------------------------------------------------------------------------


def test_an_engine_that_takes_nobody_in_has_not_answered(tmp_path):
    """F29"""
    path = str(tmp_path / "sock")
    waiting = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(0)
        kinds = set()
        for _ in range(4):
            one = socket.socket(socket.AF_UNIX)
            one.settimeout(0.2)
            waiting.append(one)
            try:
                with dial.as_cell_error(path, "list"):
                    one.connect(path)
            except CellError as exc:
                kinds.add(exc.kind)
        for one in waiting:
            one.close()
    assert kinds == {"docker_timeout"}


def test_an_answer_that_was_cut_is_told_with_the_end_of_the_program():
    cut = client.Output(137, '@cell {"result":{"states":{"db"', "Killed")
    with pytest.raises(client.NodeError, match=r"gave no answer to 'ready' \(exit status 137\): Killed"):
        client._answer("ready", cut, lambda _event: None)


def test_an_installation_that_is_broken_off_leaves_what_is_known(tmp_path):
    """F25: a full disk leaves nothing; a kill leaves what is put away when it is old."""
    root = tmp_path / "root"
    name = "cellnode-0123456789ab.pyz"
    broken = client.INSTALL.replace("stream.write(program.getvalue())", "raise OSError(28, 'No space left on device')")
    content = package.build("cellnode").content
    words = [sys.executable, "-c", broken, str(root), name]
    done = subprocess.run(words, input=content, capture_output=True, check=False)
    assert b"No space left" in done.stderr and os.listdir(root) == []
    killed = client.INSTALL.replace("stream.write(program.getvalue())", "os.kill(os.getpid(), 9)")
    subprocess.run([*words[:2], killed, *words[3:]], input=content, capture_output=True, check=False)
    (left,) = os.listdir(root)
    running = root / "cellnode-ba9876543210.pyz"
    running.write_bytes(b"")
    os.utime(root / left, (0, 0))
    programs.tidy(root, running, time.time())
    assert os.listdir(root) == [running.name]


def test_a_start_beyond_a_limit_is_told_as_that_limit():
    """F13"""
    assert {daemon.LIMITS.get(number) for number in (24, 23, 11)} == {"resource_limit"}
