# SPDX-License-Identifier: MIT
"""No process outlives its unit, wherever the unit's control group is, or without one."""

from __future__ import annotations

import os
import sys
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import cgroup, procs

HIERARCHIES = [one.name for one in cgroup.detect()]
PLACES = ["none", "auto"]

DAEMON = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.closerange(0, 64)
os.chdir('/')
os.execve('/bin/sleep', ['sleep', sys.argv[1]], {})
"""

LEAVERS = {
    "F32-background": "sleep NAP >/dev/null 2>&1 &",
    "F32-setsid": "setsid sleep NAP >/dev/null 2>&1 &",
    "F32-nohup": "nohup sleep NAP >/dev/null 2>&1 &",
    "F32-env-i": "env -i sleep NAP >/dev/null 2>&1 &",
    "F32-env-i-setsid": "env -i setsid sleep NAP >/dev/null 2>&1 &",
    "F32-double-fork": "(sleep NAP >/dev/null 2>&1 &)",
    "F32-double-fork-env-i-setsid": "(setsid env -i setsid sleep NAP >/dev/null 2>&1 &)",
    "F32-python-daemon-without-environment": "PYTHON -c 'DAEMON' NAP",
    "F32-stopped": "sleep NAP >/dev/null 2>&1 & kill -STOP $!",
    "F32-ignores-term": "(trap '' TERM HUP INT; exec sleep NAP) >/dev/null 2>&1 &",
    "F32-many": "for i in 1 2 3 4 5 6 7 8 9 10; do (setsid sleep NAP >/dev/null 2>&1 &); done",
    "F33-holds-stdout": "sleep NAP &",
    "F33-holds-stdout-setsid": "setsid sleep NAP &",
    "F33-holds-stdout-double-fork-env-i": "(env -i setsid sleep NAP &)",
}


def _sleepers(nap: str) -> list[int]:
    """Return the processes that sleep for this unique time."""
    return [pid for pid in procs.pids() if procs.cmdline(pid) == f"sleep {nap}" and procs.identify(pid)]


@pytest.fixture
def nap() -> str:
    """A sleeping time that nobody else uses."""
    return f"9{os.getpid()}.{time.monotonic_ns()}"


def _script(leaver: str, nap: str, end: str) -> str:
    """Return a shell script that leaves something behind, says `done` and ends as told."""
    daemon = DAEMON.replace("'", '"')
    text = LEAVERS[leaver].replace("PYTHON", sys.executable).replace("DAEMON", daemon).replace("NAP", nap)
    return f"{text}\necho done\n{end}"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("leaver", LEAVERS)
def test_nothing_survives_the_end_of_the_command(cell, nap, leaver, place):
    answer, log = cell.run_unit("sh", "-c", _script(leaver, nap, "exit 0"), cgroup=place)
    assert (answer["state"], answer["exit_code"]) == ("exited", 0)
    assert log.endswith(b"done\n")
    assert _sleepers(nap) == []
    assert answer["seconds"] < 5
    assert answer["unkillable"] == []
    assert not cgroup.groups_left(cell.root)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("leaver", ["F32-env-i-setsid", "F32-python-daemon-without-environment", "F33-holds-stdout"])
def test_nothing_survives_the_time_limit(cell, nap, leaver, place):
    answer, _ = cell.run_unit("sh", "-c", _script(leaver, nap, "sleep 1000"), timeout_s=1, grace_s=1, cgroup=place)
    assert answer["state"] == "timed_out"
    assert _sleepers(nap) == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("leaver", ["F32-env-i-setsid", "F32-python-daemon-without-environment", "F33-holds-stdout"])
def test_nothing_survives_the_end_of_the_lease_F04(cell, nap, leaver, place):
    cell.run["epoch"] = cell.call("lease", action="acquire", ttl_s=0.5)["epoch"]
    cell.start("sh", "-c", _script(leaver, nap, "trap '' TERM; while :; do sleep 1; done"), grace_s=0.5, cgroup=place)
    cell.run.pop("epoch")  # an unfenced look renews nothing
    answer, _ = cell.follow()
    assert (answer["state"], answer["error_kind"]) == ("killed", "controller_died")
    assert "nobody renewed it" in answer["message"]
    assert _sleepers(nap) == []
    assert not procs.ours(cell.root)


@pytest.mark.parametrize("place", HIERARCHIES)
@pytest.mark.parametrize("leaver", ["F32-many", "F32-stopped", "F32-python-daemon-without-environment"])
def test_nothing_survives_in_any_hierarchy(cell, nap, leaver, place):
    answer, _ = cell.run_unit("sh", "-c", _script(leaver, nap, "exit 0"), cgroup=place)
    assert (answer["state"], answer["exit_code"]) == ("exited", 0)
    assert cell.status()["group"] != ""
    assert _sleepers(nap) == []
    assert not cgroup.groups_left(cell.root)


@pytest.mark.parametrize("place", PLACES)
def test_survivors_are_counted(cell, nap, place):
    script = f"for i in 1 2 3; do sleep {nap} >/dev/null 2>&1 & done; exit 0"
    answer, _ = cell.run_unit("sh", "-c", script, cgroup=place)
    assert answer["survivors_killed"] == 3


@pytest.mark.parametrize("place", PLACES)
def test_process_that_forks_without_end_is_ended(cell, nap, place):
    loop = f"n=0; while [ $n -lt 600 ]; do n=$((n+1)); setsid sleep {nap} >/dev/null 2>&1 & done"
    script = f"(trap '' TERM; {loop}; wait) & sleep 0.1"
    answer, _ = cell.run_unit("sh", "-c", script, cgroup=place)
    assert answer["state"] == "exited"
    assert answer["unkillable"] == []
    assert _sleepers(nap) == []


CHAIN = """
import os, sys, time
end = time.monotonic() + 25
while time.monotonic() < end:
    if os.fork(): os._exit(0)
    if sys.argv[1] == 'setsid': os.setsid()
"""


def _links(nap: str) -> list[int]:
    """Return the processes of a chain that carries this unique word."""
    return [pid for pid in procs.pids() if procs.cmdline(pid).endswith(nap) and procs.identify(pid)]


@pytest.mark.parametrize("place", ["none", *HIERARCHIES])
@pytest.mark.parametrize("session", ["same", "setsid"])
def test_process_that_is_never_the_same_is_ended(cell, tmp_path, nap, place, session):
    (tmp_path / "chain.py").write_text(CHAIN)
    script = f"{sys.executable} -S {tmp_path}/chain.py {session} {nap} >/dev/null 2>&1 & sleep 0.2"
    answer, _ = cell.run_unit("sh", "-c", script, cgroup=place)
    assert (answer["state"], answer["unkillable"]) == ("exited", [])
    assert answer["survivors_killed"] >= 1
    status = cell.status()
    assert status["ended_unix"] - status["started_unix"] < 15
    assert _links(nap) == []


@pytest.mark.tries(10)
@pytest.mark.parametrize("place", PLACES)
def test_children_that_hold_the_output_do_not_hold_the_step_F33(cell, nap, place):
    answer, _ = cell.run_unit("sh", "-c", f"setsid sleep {nap} & sleep {nap} & exit 3", cgroup=place)
    status = cell.status()
    assert answer["exit_code"] == 3
    assert status["ended_unix"] - status["started_unix"] - status["seconds"] < 5
    assert _sleepers(nap) == []


def test_output_of_a_child_that_ends_soon_after_the_command_is_kept(cell):
    _, log = cell.run_unit("bash", "-c", "exec > >(sleep 0.3; cat); echo through a pipe")
    assert log == b"through a pipe\n"


@pytest.mark.parametrize("place", HIERARCHIES)
def test_group_made_inside_the_group_is_ended_too(cell, nap, place):
    one = next(one for one in cgroup.detect() if one.name == place)
    where = f"{one.mount}$(sed -n 's|^[^:]*:[^:]*:\\(.*/testcell-.*\\)$|\\1|p' /proc/self/cgroup)/inner"
    script = f"mkdir {where} || exit 9; setsid sleep {nap} >/dev/null 2>&1 & echo $! > {where}/cgroup.procs || exit 8"
    answer, log = cell.run_unit("sh", "-c", script, cgroup=place)
    assert (answer["exit_code"], log) == (0, b"")
    assert _sleepers(nap) == []
    assert not cgroup.groups_left(cell.root)


def test_end_of_a_run_leaves_other_runs_alone(cell, nap):
    cell.start("sleep", nap)
    other = {**cell.run, "id": "20260102_111111"}
    mine, cell.run = cell.run, other
    cell.start("sleep", "999.25")
    assert {found.run for found in procs.ours(cell.root)} == {mine["id"], other["id"]}
    report = procs.end_ours(cell.root, mine["id"])
    assert not report.survivors
    assert {found.run for found in procs.ours(cell.root)} == {other["id"]}
    assert cell.poll()["state"] == "running"
