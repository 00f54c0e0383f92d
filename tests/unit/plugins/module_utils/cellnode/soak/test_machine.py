# SPDX-License-Identifier: MIT
"""The node's own figures, of recorded files of a kernel and of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import machine

MEMORY = "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n"


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (
            {"meminfo": MEMORY, "loadavg": "1.50 1 1 1/2 3\n"},
            {"memory_used_bytes": 614400, "swap_used_bytes": 30720, "load_1m": 1.5},
        ),
        ({"meminfo": "MemTotal: 1000 kB\nMemFree: 1 kB\n"}, {}),
        ({"loadavg": "0.00 0 0 1/2 3\n"}, {"load_1m": 0.0}),
        ({}, {}),
    ],
)
def test_what_the_kernel_tells_is_told(tmp_path, files, wanted):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert machine.now(tmp_path) == wanted


def test_this_machine_tells_all_of_it():
    found = machine.now(Path("/proc"))
    assert found.keys() == {"memory_used_bytes", "swap_used_bytes", "load_1m"}
    assert 1 << 20 < found["memory_used_bytes"] < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_disk_is_told_once_where_engine_and_node_share_it(tmp_path):
    room = os.statvfs(tmp_path)
    found = machine.disks(str(tmp_path), str(tmp_path))
    assert found.keys() == {"disk_used_bytes", "disk_free_bytes"} == machine.disks(str(tmp_path), "").keys()
    assert found["disk_used_bytes"] + found["disk_free_bytes"] <= room.f_blocks * room.f_frsize


def test_two_disks_are_told_apart(tmp_path):
    found = machine.disks(str(tmp_path), "/dev/shm")
    assert found["disk_free_bytes"] != found["root_disk_free_bytes"]
