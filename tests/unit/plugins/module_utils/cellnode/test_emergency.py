# SPDX-License-Identifier: MIT
"""What the first pass of a cleaning cannot do is tried by force, in bounded time, and what stays is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import clean, emergency, procs, verify
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.cleaning import Report
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.engine import NoEngine
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

NO_ENGINE = NoEngine("/nonexistent")
BUSY = CellError("docker_leftover", "has active endpoints")


@pytest.fixture
def context(tmp_path):
    """One case on a node root of its own, with a file in its folder."""
    found = Context(tmp_path / "root", RunRef("r1", "s"))
    found.case_dir.mkdir(parents=True)
    (found.case_dir / "file").write_text("x")
    return found


@pytest.fixture
def started():
    """Start processes; they are killed at the end."""
    running = []

    def start(*argv, **more):
        running.append(subprocess.Popen(argv, stdout=subprocess.PIPE, **more))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def unkillable(monkeypatch):
    """Let KILL have no effect, as on a process that waits inside the kernel, and let nobody wait long for it."""
    end, read = procs.end_ours, procs.read_stat
    monkeypatch.setattr(procs, "send", lambda _proc, _number: True)
    monkeypatch.setattr(procs, "end_ours", lambda root, run=None, _limit=0: end(root, run, 0.2))

    def in_kernel(pid):
        stat = read(pid)
        return stat and procs.Stat(stat.ppid, stat.start, "D", stat.gone)

    monkeypatch.setattr(procs, "read_stat", in_kernel)


def test_f34_a_process_that_ignores_kill_is_named_and_makes_the_node_dirty(context, started, unkillable):
    before = verify.look(context, NO_ENGINE, {})
    token = f"{procs.root_key(context.root)}:r1:test:1"
    stuck = started("sleep", "600", env={procs.MARK: token}, start_new_session=True)
    report = clean.clean_run(context, NO_ENGINE)
    assert report.emergency is True
    assert [error["error_kind"] for error in report.cause] == ["process_leak"]
    assert [(error["error_kind"], error["what"]) for error in report.errors] == [
        ("process_leak", f"process {stuck.pid}")
    ]
    assert report.errors[0]["error"] == "sleep 600: ignores KILL in state D"
    assert (report.removed["processes"], context.case_dir.exists()) == (0, True)
    without_engine = Context(
        context.root, context.run, engine_needed=False, environ={"DOCKER_HOST": "unix:///nonexistent"}
    )
    verdict = verify.verify(without_engine, {"before": before, "settle_s": 0})
    assert verdict["clean"] is False
    (leak,) = [entry for entry in verdict["leftovers"] if entry["type"] == "process"]
    assert (leak["name"], leak["owner"], leak["detail"]) == (str(stuck.pid), "r1", "sleep 600")
    assert leak["age_s"] is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_mount_that_is_in_use_is_taken_off_lazily_and_its_user_stays(context, started):
    place = context.case_dir / "data"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "tmpfs", str(place)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount")
    stranger = started("sh", "-c", "echo in; exec sleep 600", cwd=place)
    assert stranger.stdout.readline() == b"in\n"
    report = clean.clean_run(context, NO_ENGINE)
    assert "is still mounted" in report.cause[0]["error"]
    assert (report.emergency, report.errors, context.run_dir.exists()) == (True, [], False)
    assert stranger.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may protect a file")
def test_a_file_that_is_protected_from_removal_goes(context):
    if subprocess.run(["chattr", "+i", str(context.case_dir / "file")], check=False, capture_output=True).returncode:
        pytest.skip("this file system cannot protect a file")
    report = clean.clean_run(context, NO_ENGINE)
    assert (report.emergency, report.errors, report.removed["files"]) == (True, [], 1)


def test_loosening_touches_nothing_outside_the_folder_and_follows_no_link(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(emergency, "run", lambda argv, _env, _limit: asked.append(argv))
    monkeypatch.setattr(emergency, "which", lambda _name, _env: "/usr/bin/chattr")
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    emergency.loosen(tmp_path / "link", {})
    assert asked == []
    emergency.loosen(tmp_path / "outside", {})
    assert asked == [["chattr", "-R", "-f", "-i", "-a", "--", str(tmp_path / "outside")]]


class Engine(NoEngine):
    """Containers, and one network of ours with the ends of containers."""

    def __init__(self, ends=(), containers=()) -> None:
        super().__init__("/nonexistent")
        self.ends, self.there = list(ends), list(containers)
        self.networks_left, self.said = {"n1": "net"}, []

    def containers(self, labels=None, timeout=None):
        return [{"Id": name} for name in self.there]

    def call(self, method, path, query=None, body=None, timeout=None):
        self.said.append((method, path))
        if method == "POST":
            self.ends.remove(body["Container"])
            assert body["Force"] is True
        return {"Containers": {end: {} for end in self.ends}}

    def remove(self, kind, name, timeout=None):
        if self.ends:
            raise BUSY
        return self.networks_left.pop(name, None) is not None


def fake_clock():
    now = [0.0]
    return Clock(monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))


@pytest.mark.parametrize(
    ("ends", "there", "left", "stay"),
    [
        pytest.param(["gone"], ["other"], [], [], id="end-of-a-container-that-is-gone"),
        pytest.param(["gone", "guest"], ["guest"], ["docker_leftover"], ["guest"], id="a-guest-stays"),
    ],
)
def test_a_network_loses_the_ends_of_containers_that_are_gone(tmp_path, ends, there, left, stay):
    engine, report = Engine(ends, there), Report()
    context = Context(tmp_path, RunRef("r1"), clock=fake_clock())
    emergency.remove_named(context, engine, "networks", lambda: dict(engine.networks_left), 60.0, report)
    assert [error["error_kind"] for error in report.errors] == left
    assert engine.ends == stay
    assert report.removed["networks"] == int(not left)


def test_nothing_is_tried_after_the_time_is_over_and_what_stays_is_named(tmp_path):
    engine, report = Engine(), Report()
    context = Context(tmp_path, RunRef("r1"), clock=fake_clock())
    emergency.remove_named(context, engine, "networks", lambda: dict(engine.networks_left), -1.0, report)
    assert engine.said == []
    assert [(error["what"], error["error_kind"]) for error in report.errors] == [("network net", "docker_timeout")]


def test_an_engine_that_does_not_answer_is_named_and_the_folder_stays_as_proof(context, monkeypatch):
    def silent(self, labels=None, timeout=None):
        raise CellError("docker_timeout", "no answer")

    monkeypatch.setattr(NoEngine, "containers", silent)
    report = clean.clean_run(context, NO_ENGINE)
    assert [error["error_kind"] for error in (*report.cause, *report.errors)] == ["docker_timeout"] * 2
    assert (report.emergency, context.case_dir.exists()) == (True, True)


LEAVERS = f"""
setsid sleep NAP & (setsid env -i setsid sleep NAP &) ; env -i nohup sleep NAP & (sleep NAP &)
env -i {sys.executable} -c 'import os
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.execve("/bin/sleep", ["sleep", "NAP"], {{}})' &
sleep NAP & p=$!; until [ "$(cat /proc/$p/comm)" = sleep ]; do :; done; kill -STOP $p
(trap "" TERM HUP INT; exec sleep NAP) &
exec sleep NAP
"""
SLEEPERS = 8
LEAST, MOST_S = 3, 8.0


def _sleepers(nap):
    return [pid for pid in procs.pids() if procs.cmdline(pid) == f"sleep {nap}" and procs.identify(pid)]


def test_f32_whatever_a_test_forks_is_gone_after_cleaning_again_and_again(cell, eventually):
    """Rounds are made as long as there is time for them, and a few in any case."""
    end, rounds = time.monotonic() + MOST_S, 0
    neighbour = subprocess.Popen(["sleep", "600"], env={procs.MARK: f"{procs.root_key(cell.root)}x:r:t:1"})
    try:
        while rounds < LEAST or time.monotonic() < end:
            rounds += 1
            nap = f"8{os.getpid()}.{time.monotonic_ns()}"
            cell.run["attempt"] = rounds
            cell.start("sh", "-c", LEAVERS.replace("NAP", nap), grace_s=0)
            eventually(lambda nap=nap: len(_sleepers(nap)) == SLEEPERS, "everything was forked")
            report = cell.call("clean")
            assert (report["errors"], report["emergency"]) == ([], False)
            assert report["removed"]["processes"] >= SLEEPERS
            assert _sleepers(nap) == []
            left = cell.call("snapshot")
            assert (left["processes"], left["groups"]) == ([], [])
        assert neighbour.poll() is None
    finally:
        neighbour.send_signal(signal.SIGKILL)
        neighbour.wait()
