# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.procs import Proc, Stat

TAIL = " 5 5 0 -1 4194304 9 0 0 0 0 0 0 0 20 0 {threads} 0 777 2314240 128"


@pytest.fixture
def spawn(eventually):
    """Start processes of the test's own; they are ended with it. A process has an environment a moment after exec."""
    started = []

    def start(*argv, env=None):
        process = subprocess.Popen(argv, env=env, start_new_session=True)
        started.append(process)
        eventually(lambda: procs.cmdline(process.pid) == " ".join(argv), "the command runs")
        if env:
            eventually(lambda: procs.env_mark(process.pid), "its environment is there")
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def sleeper(spawn):
    """A process that does nothing."""
    return spawn("sleep", "1000")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42 (sh) S 5" + TAIL.format(threads=1), Stat(5, 777, "S", False)),
        ("42 (a) b (c) R 5) Z 5" + TAIL.format(threads=1), Stat(5, 777, "Z", True)),
        ("42 (leader gone, thread lives) Z 5" + TAIL.format(threads=2), Stat(5, 777, "Z", False)),
        ("42 (x\n) D 5" + TAIL.format(threads=1), Stat(5, 777, "D", False)),
    ],
    ids=["plain", "brackets-in-the-name", "thread-left", "line-end-in-the-name"],
)
def test_stat_line_is_read_right(text, expected):
    assert procs.parse_stat(text) == expected


def test_process_is_itself_until_it_is_reaped(sleeper):
    proc = procs.identify(sleeper.pid)
    assert procs.alive(proc)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead and not reaped: gone for us
    assert not procs.alive(proc)
    sleeper.wait()
    assert procs.identify(sleeper.pid) is None


def test_later_process_with_the_same_number_is_not_touched_F44(sleeper):
    other = Proc(sleeper.pid, procs.identify(sleeper.pid).start - 1)
    assert not procs.alive(other)
    assert not procs.send(other, signal.SIGKILL)
    assert sleeper.poll() is None


def test_kernel_without_process_handles_is_served(sleeper, monkeypatch):
    def none(pid):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(procs.os, "pidfd_open", none)
    proc = procs.identify(sleeper.pid)
    assert not procs.send(Proc(proc.pid, proc.start + 1), signal.SIGKILL)
    assert procs.send(proc, signal.SIGKILL)
    assert sleeper.wait() == -signal.SIGKILL
    assert not procs.send(proc, signal.SIGKILL)


def test_mark_is_found_in_the_environment_a_process_was_started_with(spawn):
    process = spawn("sleep", "1000", env={"A": "1", procs.MARK: "key:run:name:nonce"})
    assert procs.env_mark(process.pid) == "key:run:name:nonce"
    assert [proc.pid for proc in procs.marked("key:run:name:nonce")] == [process.pid]
    assert procs.marked("key:run:name:other") == []


def test_only_units_of_this_root_and_run_are_ours(spawn, tmp_path):
    key = procs.root_key(tmp_path)
    tokens = [f"{key}:run-a:t:1", f"{key}:run-b:t:2", "00000000:run-a:t:3"]
    started = [spawn("sleep", "1000", env={procs.MARK: token}) for token in tokens]
    assert {found.unit for found in procs.ours(tmp_path)} == set(tokens[:2])
    assert [found.proc.pid for found in procs.ours(tmp_path, "run-a")] == [started[0].pid]
    shown = procs.ours(tmp_path, "run-a")[0].as_dict()
    assert shown["cmdline"] == "sleep 1000"
    assert (shown["run"], shown["cgroup_ours"], shown["env_mark"]) == ("run-a", False, True)


def test_absent_root_owns_nothing(tmp_path):
    assert procs.ours(tmp_path / "none") == ()


def test_end_of_a_run_is_proved(spawn, tmp_path):
    token = f"{procs.root_key(tmp_path)}:run-a:t:1"
    process = spawn("sh", "-c", "trap '' TERM; sleep 1000 & wait", env={procs.MARK: token})
    report = procs.end_ours(tmp_path, "run-a")
    assert process.pid in {proc.pid for proc in report.killed}
    assert report.survivors == ()
    assert procs.ours(tmp_path) == ()


def test_what_will_not_die_is_reported_in_bounded_time_F34(sleeper, monkeypatch):
    proc = procs.identify(sleeper.pid)
    monkeypatch.setattr(procs, "send", lambda proc, number: False)
    begun = time.monotonic()
    report = procs.kill_all(lambda: [proc], limit_s=0.2)
    assert report.survivors == (proc,)
    assert time.monotonic() - begun < 5


def test_killer_spares_itself_and_its_ancestors():
    mine = [Proc(pid, procs.read_stat(pid).start) for pid in (os.getpid(), os.getppid())]
    assert procs.kill_all(lambda: mine, limit_s=1) == procs.KillReport((), ())


def test_descendants_are_found_over_generations(spawn, eventually):
    process = spawn("sh", "-c", "sh -c 'sleep 1000 & wait' & wait")

    def names():
        return {procs.cmdline(proc.pid).split(" ")[0] for proc in procs.descendants(process.pid)}

    eventually(lambda: names() == {"sh", "sleep"}, "child and grandchild run")
    os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(("token", "run"), [("k:run:name:n", "run"), ("", ""), ("k:run", ""), ("a:b:c:d:e", "")])
def test_run_of_a_token(token, run):
    assert procs.run_of(token) == run


def test_key_of_a_root_tells_folders_apart(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert procs.root_key(tmp_path / "a") != procs.root_key(tmp_path / "b")
    assert procs.root_key(tmp_path / "a") == procs.root_key(tmp_path / "a")
