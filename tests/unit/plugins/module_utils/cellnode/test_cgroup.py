# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import cgroup, mounts, procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.cgroup import Group

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 31 0:31 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
35 31 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""
UNIFIED = "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
V2 = "36 31 0:33 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.mark.parametrize(
    ("text", "membership", "names", "bases"),
    [
        pytest.param(V2, "0::/user.slice/s.scope\n", ["v2"], ["/sys/fs/cgroup", "/sys/fs/cgroup/user.slice/s.scope"], id="v2"),
        pytest.param(
            V1, "9:name=systemd:/a\n8:pids:/b\n6:freezer:/\n", ["freezer", "pids", "name=systemd"],
            ["/sys/fs/cgroup/freezer"], id="v1",
        ),
        pytest.param(
            V1 + UNIFIED, "6:freezer:/docker/x\n0::/\n", ["freezer", "pids", "name=systemd", "hybrid"],
            ["/sys/fs/cgroup/freezer", "/sys/fs/cgroup/freezer/docker/x"], id="hybrid",
        ),
        pytest.param("22 1 0:20 / /proc rw - proc proc rw\n", "", [], [], id="none"),
    ],
)  # fmt: skip
def test_hierarchies_are_found_best_first(text, membership, names, bases):
    found = cgroup.hierarchies(mounts.parse(text), membership)
    assert [one.name for one in found] == names
    assert [str(base) for base in (found[0].bases if found else ())] == bases


def test_nothing_is_detected_when_groups_are_not_wanted():
    assert cgroup.detect("none") == ()


def test_version_is_that_of_the_first_writable_hierarchy():
    found = cgroup.detect()
    assert cgroup.version() in ({one.version for one in found} | {"none"})


@pytest.fixture(params=[one.name for one in cgroup.detect()])
def group(request, tmp_path):
    """A group in each hierarchy of this machine."""
    one = next(cgroup.candidates(tmp_path, "run-a:t:1", request.param))
    if not cgroup.make(one):
        pytest.skip(f"{request.param} cannot be written here")
    yield one
    assert cgroup.remove(one)


def _member(group: Group) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["sleep", "1000"])
    assert cgroup.join(group.work, process.pid)
    return process


def test_members_are_known_and_named_by_the_kernel(group, tmp_path):
    with _member(group) as process:
        assert [proc.pid for proc in cgroup.members(group.path)] == [process.pid]
        assert procs.group_mark(process.pid, procs.root_key(tmp_path)) == f"{procs.root_key(tmp_path)}:run-a:t:1"
        assert [found.in_group for found in procs.ours(tmp_path, "run-a")] == [True]
        process.kill()


def test_strike_kills_all_members_and_groups_inside(group):
    inner = group.work / "inner"
    inner.mkdir()
    members = [_member(group) for _ in range(5)]
    assert cgroup.join(inner, members[0].pid)
    cgroup.strike(group.path)
    assert [process.wait(timeout=20) for process in members] == [-9] * 5
    assert cgroup.members(group.path) == []


def test_strike_kills_all_members_where_the_kernel_has_no_kill_file(group, monkeypatch):
    real = cgroup._write
    monkeypatch.setattr(cgroup, "_write", lambda path, text: path.name != "cgroup.kill" and real(path, text))
    members = [_member(group) for _ in range(5)]
    cgroup.strike(group.path)
    assert [process.wait(timeout=20) for process in members] == [-9] * 5
    assert cgroup.members(group.path) == []


def test_group_in_use_is_not_removed_and_its_leavings_are_listed(group, tmp_path):
    with _member(group) as process:
        assert not cgroup.remove(group)
        assert cgroup.groups_left(tmp_path, "run-a") == [group]
        assert cgroup.groups_left(tmp_path, "run-b") == []
        process.kill()


def test_process_can_leave_its_group(group):
    pid = os.fork()
    if pid == 0:
        joined = cgroup.join(group.supervisor, os.getpid())
        cgroup.leave(group)
        os._exit(0 if joined and not cgroup.members(group.path) and cgroup.remove(group) else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_group_that_cannot_be_made_is_reported():
    assert not cgroup.make(Group(type(cgroup.Path())("/proc/testcell-none/x")))
