# SPDX-License-Identifier: MIT
"""A unit's life through the operation `supervise`."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import cgroup, procs, supervise
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context

PLACES = ["none", "auto"]


@pytest.mark.parametrize(
    ("script", "code", "number", "kind", "word"),
    [
        pytest.param("exit 0", 0, None, "", "", id="zero"),
        pytest.param("exit 3", 3, None, "test_failed", "exit status 3", id="three"),
        pytest.param("exit 126", 126, None, "test_failed", "could not be executed", id="126"),
        pytest.param("no-such-command-here", 127, None, "test_failed", "not found", id="127"),
        pytest.param("kill -SEGV $$", None, signal.SIGSEGV, "test_failed", "SIGSEGV", id="segv"),
        pytest.param("kill -KILL $$", None, signal.SIGKILL, "test_failed", "out of memory?", id="killed-by-others"),
    ],
)
def test_end_of_the_command_is_told_as_it_was(cell, script, code, number, kind, word):
    answer, _ = cell.run_unit("sh", "-c", script)
    assert (answer["state"], answer["exit_code"], answer["signal"]) == ("exited", code, number)
    assert answer["error_kind"] == kind
    assert word in answer["message"]


def _make(work: Path, name: str, text: bytes, mode: int) -> None:
    work.mkdir(parents=True, exist_ok=True)
    (work / name).write_bytes(text)
    (work / name).chmod(mode)


@pytest.mark.parametrize(
    ("argv0", "text", "mode", "word"),
    [
        pytest.param("./test.sh", b"#!/bin/sh\n", 0o644, "not executable (mode 0644)", id="not-executable"),
        pytest.param("./test.sh", b"echo hi\n", 0o755, "no `#!` line", id="no-shebang"),
        pytest.param("./test.sh", b"#!/no/such/shell\n", 0o755, "'/no/such/shell' was not found", id="no-interpreter"),
        pytest.param("./test.sh", b"#!/bin/sh\r\necho\r\n", 0o755, "carriage return", id="crlf"),
        pytest.param("./other.sh", b"", 0o755, "No such file", id="absent"),
        pytest.param("../work", b"", 0o755, "not a regular file", id="folder"),
        pytest.param("test.sh", b"#!/bin/sh\n", 0o755, "a file needs `./` before it", id="without-slash"),
    ],
)
def test_command_that_cannot_be_executed_is_refused_with_the_reason(cell, argv0, text, mode, word):
    _make(cell.case_dir / "work", "test.sh", text, mode)
    error = cell.fail("supervise", action="start", name="test", argv=[argv0], cwd_rel="work")
    assert error["kind"] == "config_invalid"
    assert word in error["message"]
    assert cell.poll()["state"] == "exited"
    assert not procs.ours(cell.root)


def test_unit_that_never_ran_can_be_started_again(cell):
    cell.fail("supervise", action="start", name="test", argv=["./late.sh"], cwd_rel="work", dirs_rel=["work"])
    _make(cell.case_dir / "work", "late.sh", b"#!/bin/sh\necho now\n", 0o755)
    answer, log = cell.run_unit("./late.sh")
    assert (answer["state"], log) == ("exited", b"now\n")


@pytest.mark.parametrize("kind", ["absent", "link", "file"])
def test_working_folder_that_cannot_be_used_is_named(cell, tmp_path, kind):
    cell.case_dir.mkdir(parents=True)
    if kind == "link":
        (cell.case_dir / "scenario").symlink_to(tmp_path)
    if kind == "file":
        (cell.case_dir / "scenario").write_text("")
    error = cell.fail("supervise", action="start", name="test", argv=["true"], cwd_rel="scenario")
    assert error["kind"] == "work_dir_error"
    assert "'scenario'" in error["message"]


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ({"argv": []}, "args.argv"),
        ({"argv": ["a\0b"]}, "args.argv"),
        ({"argv": ["true"], "timeout_s": -1}, "args.timeout_s"),
        ({"argv": ["true"], "env": {"1A": "x"}}, "args.env"),
        ({"argv": ["true"], "env": {"A": 5}}, "args.env.A"),
        ({"argv": ["true"], "env": {procs.MARK: "x"}}, "args.env"),
        ({"argv": ["true"], "log_cap_bytes": 1}, "args.log_cap_bytes"),
        ({"argv": ["true"], "name": "../x"}, "args.name"),
        ({"argv": ["true"], "cwd_rel": "../x"}, "../x"),
    ],
)
def test_bad_start_request_is_refused_and_named(cell, args, word):
    error = cell.fail("supervise", action="start", **{"name": "test", **args})
    assert error["kind"] in ("config_invalid", "artifact_unsafe_path", "work_dir_error")
    assert word in error["message"]


def test_command_gets_its_own_environment_and_nothing_secret_of_the_caller(cell, monkeypatch):
    monkeypatch.setenv("NODE1_PASSWORD", "secret")
    monkeypatch.setenv("HOME", "/somewhere")
    _, log = cell.run_unit("env", env={"TESTCELL_CASE": "c", "PATH": os.environ["PATH"]})
    seen = dict(line.split("=", 1) for line in log.decode().splitlines())
    assert (seen["TESTCELL_CASE"], seen["HOME"]) == ("c", "/somewhere")
    assert seen[procs.MARK] == cell.status()["token"]
    assert "NODE1_PASSWORD" not in seen


def test_command_has_no_terminal_no_input_and_default_signals(cell):
    script = "cat; grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; ls /proc/self/fd"
    _, log = cell.run_unit("sh", "-c", script)
    lines = log.decode().split()
    assert lines[:6:2] == ["SigBlk:", "SigIgn:", "SigCgt:"]
    libc_own = 0b11 << 31  # signals 32 and 33 belong to the C library, which lets nobody change them
    assert [int(word, 16) & ~libc_own for word in lines[1:4:2]] == [0, 0]
    assert lines[6:] == ["0", "1", "2", "3"]  # 3 is the listing's own


def test_same_start_again_changes_nothing(cell):
    args = ("sh", "-c", "echo x >> ran; sleep 0.2")
    assert cell.start(*args) == {"started": True, "existing": False}
    assert cell.start(*args) == {"started": True, "existing": True}
    cell.follow()
    assert cell.start(*args) == {"started": True, "existing": True}
    assert (cell.case_dir / "work" / "ran").read_text() == "x\n"


def test_another_request_for_the_same_unit_is_refused(cell):
    cell.run_unit("true")
    error = cell.fail("supervise", action="start", name="test", argv=["false"])
    assert error["kind"] == "duplicate_task"


def test_of_many_starts_at_once_one_runs(cell):
    args = {
        "action": "start",
        "name": "test",
        "argv": ["sh", "-c", "echo x >> ran"],
        "dirs_rel": ["work"],
        "cwd_rel": "work",
    }
    started = [cell.begin("supervise", **args) for _ in range(8)]
    answers = [cell.answer(process)["result"] for process in started]
    cell.follow()
    assert sum(not answer["existing"] for answer in answers) == 1
    assert (cell.case_dir / "work" / "ran").read_text() == "x\n"


def test_check_mode_starts_nothing(cell):
    cell.check = True
    assert cell.start("true") == {"started": False, "existing": False}
    assert not cell.case_dir.exists()


def test_poll_of_a_unit_that_was_never_started_is_an_error(cell):
    assert cell.fail("supervise", action="poll", name="test")["kind"] == "artifact_missing"


def _wait_for(name: str) -> str:
    """Return shell text that goes on once a file exists."""
    return f"until [ -e {name} ]; do sleep 0.01; done"


def test_long_poll_ends_at_the_first_byte_and_at_the_end(cell):
    cell.start("sh", "-c", f"{_wait_for('one')}; echo out; {_wait_for('two')}; exit 4")
    polling = cell.begin("supervise", action="poll", name="test", offset=0, wait_s=100)
    begun = time.monotonic()
    (cell.case_dir / "work" / "one").touch()
    first = cell.answer(polling)["result"]
    assert base64.b64decode(first["log_b64"]) == b"out\n"
    polling = cell.begin("supervise", action="poll", name="test", offset=first["offset"], wait_s=100)
    (cell.case_dir / "work" / "two").touch()
    last = cell.answer(polling)["result"]
    assert (last["state"], last["exit_code"], last["log_b64"]) == ("exited", 4, "")
    assert time.monotonic() - begun < 20


def test_poll_without_news_waits_as_long_as_asked(cell):
    cell.start("sleep", "60")
    answer = cell.poll(wait_s=0.3)
    assert (answer["state"], answer["offset"], answer["log_bytes"]) == ("running", 0, 0)
    assert answer["seconds"] >= 0.3


def test_output_is_read_in_parts_by_offset(cell):
    cell.run_unit("printf", "0123456789")
    parts = [cell.poll(offset=offset, max_bytes=4) for offset in (0, 4, 8)]
    assert [base64.b64decode(part["log_b64"]) for part in parts] == [b"0123", b"4567", b"89"]
    assert [part["offset"] for part in parts] == [4, 8, 10]


@pytest.mark.parametrize("place", PLACES)
def test_time_limit_asks_first(cell, place):
    script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"
    answer, log = cell.run_unit("sh", "-c", script, timeout_s=0.5, grace_s=20, cgroup=place)
    assert (answer["state"], answer["error_kind"]) == ("timed_out", "test_timeout")
    assert (answer["exit_code"], log[:3], log[-4:]) == (7, b"up\n", b"bye\n")
    assert "0.5 s" in answer["message"]
    assert answer["seconds"] < 15


@pytest.mark.tries(10)
@pytest.mark.parametrize("place", PLACES)
def test_command_that_ignores_term_is_killed_after_the_grace_F31(cell, place):
    script = "trap '' TERM; (trap '' TERM; while :; do sleep 0.05; done) & while :; do sleep 0.05; done"
    answer, _ = cell.run_unit("sh", "-c", script, timeout_s=0.3, grace_s=0.5, cgroup=place)
    assert (answer["state"], answer["signal"]) == ("timed_out", signal.SIGKILL)
    assert "by KILL after 0.5 s of grace" in answer["message"]
    status = cell.status()
    assert status["ended_unix"] - status["started_unix"] < 0.3 + 0.5 + 5
    assert answer["seconds"] < 0.3 + 0.5 + 5
    assert not procs.ours(cell.root)


@pytest.mark.parametrize("place", PLACES)
def test_kill_ends_a_unit_and_says_so(cell, place):
    cell.start("sh", "-c", "sleep 1000 & sleep 1000", cgroup=place)
    answer = cell.call("supervise", action="kill", name="test")
    assert (answer["state"], answer["error_kind"]) == ("killed", "cancelled")
    assert not procs.ours(cell.root)
    again = cell.call("supervise", action="kill", name="test")
    assert again == answer


def test_kill_of_an_ended_unit_keeps_its_end(cell):
    cell.run_unit("sh", "-c", "exit 5")
    assert cell.call("supervise", action="kill", name="test")["exit_code"] == 5


@pytest.mark.parametrize("place", PLACES)
def test_units_of_a_run_are_ended_in_order_and_others_go_on(cell, place):
    script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"
    cell.start("sh", "-c", script, cgroup=place)
    assert cell.poll(wait_s=20)["log_bytes"] > 0
    run, cell.run = cell.run, {**cell.run, "id": "20260102_111111"}
    cell.start("sleep", "1000", cgroup=place)
    report = supervise.end_units(Context(cell.root), run["id"])
    assert (report.units, report.survivors) == (("test",), ())
    assert {found.run for found in procs.ours(cell.root)} == {cell.run["id"]}
    assert cell.poll()["state"] == "running"
    cell.run = run
    answer, log = cell.follow()
    assert (answer["state"], answer["exit_code"], log[-4:]) == ("killed", 7, b"bye\n")
    assert supervise.end_units(Context(cell.root), run["id"]) == supervise.EndReport((), 0, ())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("asked", ["poll", "kill"])
def test_unit_of_a_dead_supervisor_is_lost_and_still_ended(cell, place, asked, eventually):
    cell.start("sh", "-c", "setsid sleep 1000 & sleep 1000", cgroup=place)
    status = cell.status()
    eventually(lambda: len(procs.marked(status["token"])) == 3, "the command and its children run")
    os.kill(status["supervisor_pid"], signal.SIGKILL)
    eventually(lambda: not procs.alive(procs.Proc(status["supervisor_pid"], status["supervisor_start"])), "it is dead")
    answer = cell.poll() if asked == "poll" else cell.call("supervise", action="kill", name="test")
    assert (answer["state"], answer["error_kind"], answer["survivors_killed"]) == ("lost", "internal_error", 3)
    assert f"its supervisor (pid {status['supervisor_pid']}) died" in answer["message"]
    assert not procs.marked(status["token"])
    assert not cgroup.groups_left(cell.root)
    again = cell.poll()
    assert (again["state"], again["survivors_killed"]) == ("lost", 3)
    assert again["seconds"] == cell.poll()["seconds"]


def test_unit_of_an_earlier_boot_is_lost_F44(cell):
    cell.run_unit("true")
    status = (cell.unit_dir() / "status.json").read_text()
    status = status.replace(procs.boot_id(), "0" * 36).replace('"state": "exited"', '"state": "running"')
    (cell.unit_dir() / "status.json").write_text(status)
    answer = cell.poll()
    assert (answer["state"], answer["error_kind"]) == ("lost", "node_unreachable")
    assert "restarted" in answer["message"]


@pytest.fixture
def stranger():
    """A process of somebody else."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


PROMISES = {  # what a status file says of a unit that was cut short, when a stranger has its number now
    "F44-another-boot": {"boot_id": "0" * 36},
    "the-number-was-used-again": {"shift": -1},
}


@pytest.mark.parametrize("row", PROMISES)
@pytest.mark.parametrize("asked", ["poll", "kill", "end"])
def test_process_with_the_number_of_a_lost_one_is_never_touched(cell, stranger, row, asked):
    cell.run_unit("true")
    start = procs.read_stat(stranger.pid).start + PROMISES[row].get("shift", 0)
    numbers = {"pid": stranger.pid, "pid_start": start, "supervisor_pid": stranger.pid, "supervisor_start": start}
    changed = {"state": "running", "ended_unix": None, "boot_id": PROMISES[row].get("boot_id", procs.boot_id())}
    (cell.unit_dir() / "status.json").write_text(json.dumps({**cell.status(), **numbers, **changed}))
    if asked == "end":
        assert supervise.end_units(Context(cell.root), cell.run["id"]).survivors == ()
    else:
        assert cell.call("supervise", action=asked, name="test")["state"] == "lost"
    assert stranger.poll() is None
    assert cell.poll()["state"] == cell.status()["state"] == "lost"


def test_broken_status_file_is_an_error_with_its_name(cell):
    cell.run_unit("true")
    (cell.unit_dir() / "status.json").write_text("{")
    error = cell.fail("supervise", action="poll", name="test")
    assert error["kind"] == "internal_error"
    assert "status.json" in error["message"]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_of_an_ended_unit_stays_on_the_node(cell, place, eventually):
    cell.run_unit("sh", "-c", "echo x", cgroup=place)
    status = cell.status()
    eventually(lambda: procs.identify(status["supervisor_pid"]) is None, "the supervisor is gone")
    assert not cgroup.groups_left(cell.root)
    assert not procs.ours(cell.root)
    files = set(os.listdir(cell.unit_dir())) - {"bin"}  # where docker is, a command of that name
    assert files == {"lock", "log", "log.json", "status.json"}


def test_unit_outlives_the_session_that_started_it_and_the_program_file(cell, tmp_path):
    program = tmp_path / "gone.pyz"
    program.write_bytes(cell.program.read_bytes())
    args = {"action": "start", "name": "test", "argv": ["sh", "-c", f"{_wait_for('go')}; echo alive"]}
    request = {"op": "supervise", "root": str(cell.root), "run": cell.run, "owner": "", "check": False, "args": args}
    session = f"{sys.executable} -I -S -E {program}; kill -HUP 0"
    command = ["setsid", "--wait", "sh", "-c", session]
    subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, timeout=60, check=False)
    program.unlink()
    (cell.case_dir / "go").touch()
    answer, log = cell.follow()
    assert (answer["state"], log) == ("exited", b"alive\n")


def test_removed_folder_ends_the_work(cell, eventually):
    cell.start("sleep", "1000")
    token = cell.status()["token"]
    cell.case_dir.rename(cell.root / "old")
    subprocess.run(["rm", "-r", str(cell.root / "old")], check=True)
    eventually(lambda: not procs.marked(token) and not procs.ours(cell.root), "the work ended")


def _lease(cell, **args):
    taken = cell.call("lease", action="acquire", **args)
    cell.run["epoch"] = taken["epoch"]
    return taken


def test_work_ends_when_nobody_renews_its_lease_F04(cell):
    _lease(cell, ttl_s=1.0)
    cell.start("sleep", "1000")
    cell.run.pop("epoch")  # an unfenced look renews nothing
    answer, _ = cell.follow()
    assert (answer["state"], answer["error_kind"]) == ("killed", "controller_died")
    assert 1.0 <= answer["seconds"] < 15
    assert not procs.ours(cell.root)


def test_work_goes_on_while_its_lease_is_renewed(cell):
    _lease(cell, ttl_s=1.0)
    cell.start("sleep", "4")
    answer, _ = cell.follow(wait_s=0.2)  # each poll renews
    assert (answer["state"], answer["exit_code"]) == ("exited", 0)


def test_work_ends_when_another_run_took_the_node_F10(cell, eventually):
    _lease(cell, ttl_s=0.2)
    cell.start("sleep", "1000")
    first, cell.run = cell.run, {**cell.run, "id": "20260102_999999", "epoch": None}
    eventually(
        lambda: "result" in cell.answer(cell.begin("lease", action="acquire", ttl_s=600)), "the node is taken over"
    )
    cell.run = {**first, "epoch": None}
    answer, _ = cell.follow()
    assert (answer["state"], answer["error_kind"]) == ("killed", "controller_died")
    assert answer["message"] == "test was stopped: another lease holds this node now"


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted")
def test_full_disk_loses_output_but_neither_the_command_nor_its_status_F26(cell):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", cell.root], check=False)
    if mounted.returncode:
        pytest.skip("mounts are not allowed here")
    try:
        answer, _ = cell.run_unit("sh", "-c", "head -c 9000000 /dev/zero; exit 6", log_cap_bytes=64 << 20)
        assert (answer["state"], answer["exit_code"]) == ("exited", 6)
        assert answer["log_error"].startswith("disk_full")
        assert answer["log_bytes"] > 0
    finally:
        procs.end_ours(cell.root)
        subprocess.run(["umount", "-l", cell.root], check=True)
