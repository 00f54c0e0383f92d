# SPDX-License-Identifier: MIT
"""What a container's processes use: of recorded trees of a kernel, and of a real process of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import processes

PAGE = processes.PAGE_BYTES
STAT = "{pid} (a) b) c) S 1 2 3 4 5 6 7 8 9 10 {user} {system} 0 0 20 0 {threads} 0 1000 0 0\n"
HOLDER = """
import socket, sys
kept = [bytearray(1 << 20) for _ in range(8)]
pairs = [socket.socketpair() for _ in range(5)]
print("ready", flush=True)
sys.stdin.read()
"""


class Counted:
    """A control group of some processes. counts: what it counts."""

    def __init__(self, pids, **counts):
        self._pids, self._counts = pids, counts

    def pids(self):
        return list(self._pids)

    def counts(self):
        return dict(self._counts)


def put(proc, pid, statm, descriptors, user=100, system=50, threads=2):
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "statm").write_text(statm)
    (folder / "stat").write_text(STAT.format(pid=pid, user=user, system=system, threads=threads))
    for number, target in enumerate(descriptors):
        (folder / "fd" / str(number)).symlink_to(target)


@pytest.fixture
def proc(tmp_path):
    put(tmp_path, 11, "1000 300 100 1 0 200 0\n", ["/dev/null", "socket:[7]", "socket:[8]"])
    put(tmp_path, 12, "1000 50 20 1 0 200 0\n", ["socket:[7]", "pipe:[9]"])
    return tmp_path


def test_processes_are_summed_and_what_their_group_counts_is_taken_from_it(proc):
    counts = {"anon_bytes": 5, "threads": 9, "cpu_s": 1.25}
    found, alive = processes.measure(Counted([11, 12], **counts), str(proc))
    assert alive == [11, 12]
    assert (found["rss_bytes"], found["processes"]) == (350 * PAGE, 2)
    assert {name: found[name] for name in counts} == counts


def test_without_a_group_that_counts_the_processes_tell(proc):
    found, _ = processes.measure(Counted([11, 12]), str(proc))
    ticks = 300 / processes.TICKS
    assert (found["anon_bytes"], found["threads"], found["cpu_s"]) == (230 * PAGE, 4, ticks)


def test_who_is_gone_does_not_count(proc):
    found, alive = processes.measure(Counted([11, 13]), str(proc))
    assert (alive, found["rss_bytes"], found["processes"]) == ([11], 300 * PAGE, 1)
    assert processes.measure(Counted([13], threads=4), str(proc)) == ({}, [])
    assert processes.measure(Counted([]), str(proc)) == ({}, [])


@pytest.mark.parametrize("statm", ["", "1000", "not what it was\n"])
def test_an_odd_file_is_no_number(tmp_path, statm):
    put(tmp_path, 11, statm, [])
    if statm.startswith("not"):
        with pytest.raises(ValueError):  # told as the fault of its service
            processes.measure(Counted([11]), str(tmp_path))
    else:
        assert processes.measure(Counted([11]), str(tmp_path)) == ({}, [])


def test_a_socket_that_processes_share_is_one(proc):
    assert processes.sockets([11, 12, 13], str(proc)) == 2


def test_too_many_descriptors_are_not_looked_at(proc, monkeypatch):
    monkeypatch.setattr(processes, "MOST_LINKS", 4)
    assert processes.sockets([11], str(proc)) == 2
    assert processes.sockets([11, 12], str(proc)) is None


def test_a_real_process_is_told_as_the_kernel_tells_it():
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        found, alive = processes.measure(Counted([process.pid]), "/proc")
        with open(f"/proc/{process.pid}/status", encoding="ascii") as stream:
            status = dict(line.split(":", 1) for line in stream)
        assert alive == [process.pid]
        assert (found["fds"], found["threads"]) == (len(os.listdir(f"/proc/{process.pid}/fd")), int(status["Threads"]))
        kernel = int(status["VmRSS"].split()[0]) * 1024
        assert abs(found["rss_bytes"] - kernel) <= 1 << 20 and found["anon_bytes"] >= 8 << 20
        assert processes.sockets(alive, "/proc") == 10
        process.stdin.close()


def test_our_own_descriptors_are_counted_as_they_grow():
    def opened():
        return processes.measure(Counted([os.getpid()]), "/proc")[0]["fds"]

    before, sockets = opened(), processes.sockets([os.getpid()], "/proc")
    one, other = socket.socketpair()
    with one, other:
        assert opened() >= before + 2
        assert processes.sockets([os.getpid()], "/proc") >= sockets + 2
