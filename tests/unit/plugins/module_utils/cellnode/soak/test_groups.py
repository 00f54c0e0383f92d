# SPDX-License-Identifier: MIT
"""Control groups of containers, in recorded trees of v1, of v2 and of both side by side."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import mounts
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import groups
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak.groups import Group

ID = "ab" * 32
V1_STAT = "cache 4096\nrss 100\nswap 1\ntotal_cache 8192\ntotal_rss 1298432\ntotal_swap 512\n"
V2_STAT = "anon 2097152\nfile 4096\nkernel 100\n"
V1 = {
    "memory": {"memory.stat": V1_STAT, "memory.usage_in_bytes": "5000000\n", "cgroup.procs": "11\n12\n"},
    "cpuacct": {"cpuacct.usage": "1500000000\n", "cgroup.procs": "11\n12\n"},
    "pids": {"pids.current": "7\n", "cgroup.procs": "11\n12\n"},
}
V2 = {
    "memory.stat": V2_STAT,
    "memory.current": "6000000\n",
    "memory.swap.current": "256\n",
    "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
    "pids.current": "9\n",
    "cgroup.procs": "21\n0\n22\n",
}
WANTED_V1 = {"memory_bytes": 5000000, "anon_bytes": 1298432, "swap_bytes": 512, "threads": 7, "cpu_s": 1.5}
WANTED_V2 = {"memory_bytes": 6000000, "anon_bytes": 2097152, "swap_bytes": 256, "threads": 9, "cpu_s": 2.5}


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.fixture
def v1(tmp_path):
    for controller, files in V1.items():
        put(tmp_path / controller / "docker" / ID, files)
    table = "".join(f"{n} 1 0:{n} / {tmp_path}/{name} rw - cgroup cgroup rw,{name}\n" for n, name in enumerate(V1, 40))
    member = "".join(f"{n}:{name}:/docker/{ID}\n" for n, name in enumerate(V1))
    return table, member


@pytest.fixture
def v2(tmp_path):
    put(tmp_path / "unified" / "system.slice" / f"docker-{ID}.scope", V2)
    return f"50 1 0:50 / {tmp_path}/unified rw - cgroup2 cgroup2 rw\n", f"0::/system.slice/docker-{ID}.scope\n"


def found(tree):
    table, member = tree
    return groups.folders(member, groups.points(mounts.parse(table)))


def test_v1_counts_what_lies_inside_as_well(v1):
    group = Group(found(v1))
    assert (group.counts(), group.pids()) == (WANTED_V1, [11, 12])


def test_v2_has_it_all_in_one_folder(v2):
    group = Group(found(v2))
    assert (group.counts(), group.pids()) == (WANTED_V2, [21, 22])


def test_an_empty_v2_beside_v1_counts_nothing(v1, tmp_path):
    table, member = v1
    put(tmp_path / "both" / "docker" / ID, {"cgroup.procs": ""})
    tree = f"{table}60 1 0:60 / {tmp_path}/both rw - cgroup2 cgroup2 rw\n", f"{member}0::/docker/{ID}\n"
    group = Group(found(tree))
    assert (group.counts(), group.pids()) == (WANTED_V1, [11, 12])


def test_a_part_of_the_hierarchy_is_found_in_which_the_path_begins_later(v2):
    table, _ = v2
    inside = f"0::/docker/{'cd' * 32}/system.slice/docker-{ID}.scope\n"
    assert Group(found((table, inside))).counts() == WANTED_V2


def test_processes_of_groups_that_a_container_has_made_inside_count(v2, tmp_path):
    put(tmp_path / "unified" / "system.slice" / f"docker-{ID}.scope" / "inner", {"cgroup.procs": "23\n"})
    assert Group(found(v2)).pids() == [21, 22, 23]


def test_what_is_not_counted_is_left_out(v2, tmp_path):
    place = tmp_path / "unified" / "system.slice" / f"docker-{ID}.scope"
    (place / "memory.swap.current").unlink()
    (place / "pids.current").write_text("max\n")
    assert Group(found(v2)).counts().keys() == {"memory_bytes", "anon_bytes", "cpu_s"}


def test_a_group_that_is_made_anew_is_read_anew(v2, tmp_path):
    group = Group(found(v2))
    group.counts()
    place = tmp_path / "unified" / "system.slice" / f"docker-{ID}.scope"
    group.close()
    (place / "memory.current").unlink()
    (place / "memory.current").write_text("7\n")
    assert group.counts()["memory_bytes"] == 7


@pytest.mark.parametrize("member", ["", "no line\n", "0::/\n", f"0::/docker/{ID}\n", "9:memory:/gone\n"])
def test_a_process_in_no_group_of_its_own_has_no_folders(v2, member):
    table, _ = v2
    assert found((table, member)) == {}


def test_a_group_that_has_gone_has_no_processes_and_no_counts(tmp_path):
    group = Group({"pids": str(tmp_path / "gone"), "memory": str(tmp_path / "gone")})
    assert (group.pids(), group.counts()) == ([], {})


def test_this_machine_lists_a_process_in_its_group():
    process = subprocess.Popen(["sleep", "60"])
    try:
        with open(f"/proc/{process.pid}/cgroup", encoding="ascii") as stream:
            place = groups.folders(stream.read(), groups.points(mounts.current()))
        if not place:
            pytest.skip("this machine's processes are in no group below the top of its hierarchies")
        assert process.pid in Group(place).pids()
        assert os.getpid() in Group(place).pids()
    finally:
        process.kill()
        process.wait()
