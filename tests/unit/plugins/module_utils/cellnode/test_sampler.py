# SPDX-License-Identifier: MIT
"""Samples of a machine: what changed between two looks at the kernel's counters, and nothing where it does not count."""

from __future__ import annotations

import io
import itertools

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import sampler
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.sampler import Counters

NET = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  900       1    0    0    0     0          0         0      900       1    0    0    0     0       0          0
  eth0: 5000      10    0    0    0     0          0         0     7000      11    0    0    0     0       0          0
"""
DISKS = "   8 0 sda 10 0 200 5 20 0 400 6 0 1500 0\n   8 1 sda1 1 0 99 5 2 0 99 6 0 99 0\n"
MEMORY = (
    "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\nHugePages_Total: 0\n"
)


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "net").mkdir()
    files = {"stat": "cpu  100 0 50 800 40 0 0 10 0 0\ncpu0 1 1\nprocs_running 3\n", "diskstats": DISKS, "net/dev": NET}
    for name, text in {**files, "meminfo": MEMORY, "loadavg": "1.50 1 1 1/2 3\n"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def row(before, after, proc, seconds=2.0):
    line = sampler.line_of(before, after, seconds, 1000.5, proc)
    return dict(zip(sampler.COLUMNS, line.split(","), strict=True))


def test_counters_are_read_of_what_counts(proc):
    found = sampler.count(proc, {"sda"}, {"eth0"})
    assert found == Counters((100, 0, 50, 800, 40, 0, 0, 10), {"sda": (200, 400, 1500)}, {"eth0": (5000, 7000)}, 3)


def test_a_line_tells_what_changed(proc):
    before = sampler.count(proc, {"sda"}, {"eth0"})
    after = Counters((150, 0, 60, 825, 50, 0, 0, 15), {"sda": (202, 404, 2500)}, {"eth0": (5200, 7100)}, 4)
    found = row(before, after, proc)
    assert (found["unix_s"], found["interval_s"], found["load_1m"], found["processes_running"]) == (
        "1000.500",
        "2.000",
        "1.50",
        "4",
    )
    assert (found["cpu_busy_pct"], found["cpu_iowait_pct"], found["cpu_steal_pct"]) == ("65.0", "10.0", "5.0")
    assert (found["memory_used_bytes"], found["memory_available_bytes"]) == (str(600 * 1024), str(400 * 1024))
    assert found["swap_used_bytes"] == str(30 * 1024)
    assert (found["disk_read_bytes_per_s"], found["disk_written_bytes_per_s"]) == ("512", "1024")
    assert (found["disk_busiest_pct"], found["net_received_bytes_per_s"], found["net_sent_bytes_per_s"]) == (
        "50.0",
        "100",
        "50",
    )


def test_a_counter_that_began_anew_counts_from_0(proc):
    before = Counters(net={"eth0": (1000, 1000)})
    assert row(before, Counters(net={"eth0": (100, 1200)}), proc)["net_received_bytes_per_s"] == "50"


def test_what_the_kernel_does_not_tell_is_empty(tmp_path):
    nothing = sampler.count(tmp_path, {"sda"}, {"eth0"})
    found = row(nothing, nothing, tmp_path)
    assert {name for name, value in found.items() if value} == {"unix_s", "interval_s"}


def test_a_disk_that_came_meanwhile_is_left_out(proc):
    assert row(Counters(), Counters(disks={"sdb": (1, 1, 1)}), proc)["disk_read_bytes_per_s"] == ""


def test_parts_and_views_of_disks_do_not_count_twice(tmp_path):
    for name in ("sda", "nvme0n1", "loop0", "dm-0", "md0", "zram0"):
        (tmp_path / name).mkdir()
    assert sampler.whole_disks(tmp_path) == {"sda", "nvme0n1"}
    assert sampler.whole_disks(tmp_path / "absent") == set()


def test_cards_count_and_bridges_do_not(tmp_path):
    for name in ("lo", "eth0", "veth1", "docker0"):
        (tmp_path / name).mkdir()
    assert sampler.cards(tmp_path) == {"eth0"}
    (tmp_path / "ib0" / "device").mkdir(parents=True)
    assert sampler.cards(tmp_path) == {"ib0"}


def test_thirty_days_are_some_thousand_lines():
    reached = itertools.takewhile(lambda at: at < sampler.LONGEST_S, itertools.accumulate(sampler.intervals()))
    assert 600 < len(list(reached)) < 10_000


class Closing(io.BytesIO):
    """A reader that goes away after some lines."""

    def write(self, data):
        if self.getvalue().count(b"\n") > 2:
            raise BrokenPipeError
        return super().write(data)


def test_samples_are_written_until_nobody_reads_them(monkeypatch):
    monkeypatch.setattr(sampler, "INTERVAL_S", 0.01)
    out = Closing()
    with pytest.raises(BrokenPipeError):
        sampler.write(out)
    title, *lines = out.getvalue().decode().splitlines()
    assert title == ",".join(sampler.COLUMNS)
    assert [line.count(",") for line in lines] == [title.count(",")] * 2
