# SPDX-License-Identifier: MIT
"""Leaks are exact over time, however small their rate and however late the ticks."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_sim.faults import Drawn, parse
from engine_sim.leaks import ARENA_BYTES, Hoard, Leaks

PAGE = mmap.PAGESIZE


def resident() -> int:
    """Return the anonymous resident memory of this process in bytes, counted by the kernel page by page."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


@pytest.fixture
def leaking() -> Iterator[list[Leaks]]:
    made: list[Leaks] = []
    yield made
    for leaks in made:
        leaks.close()


def started(made: list[Leaks], faults: str) -> Leaks:
    made.append(Leaks(Drawn({fault.name: fault for fault in parse(faults)})))
    return made[-1]


@pytest.mark.parametrize(
    ("rate", "hours"), [("1KiB", 1), ("1KiB", 8), ("300", 8), ("64KiB", 0.25), ("1MiB", 0.01)], ids=str
)
def test_memory_leaks_at_its_rate_to_a_page(leaking: list[Leaks], rate: str, hours: float) -> None:
    leaks = started(leaking, f"leak_memory_per_s={rate}")
    bytes_per_s = {"1KiB": 1024, "300": 300, "64KiB": 65536, "1MiB": 1 << 20}[rate]
    seconds = hours * 3600
    before = resident()
    for tick in range(1, 1001):
        leaks.leak(seconds * tick / 1000)
    grown = resident() - before
    assert grown == pytest.approx(bytes_per_s * seconds, abs=256 * 1024), "of which the test itself needs some"
    leaks.close()
    assert resident() - before < 256 * 1024


def test_a_hoard_is_resident_page_by_page_and_not_before() -> None:
    hoard = Hoard()
    try:
        hoard.grow(PAGE - 1)
        before = resident()
        hoard.grow(ARENA_BYTES)
        assert ARENA_BYTES <= resident() - before <= ARENA_BYTES + 64 * 1024
    finally:
        hoard.clear()


def test_descriptors_leak_at_their_rate_and_late_ticks_lose_none(leaking: list[Leaks]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    leaks = started(leaking, "leak_fds_per_s=0.5")
    for seconds in (0.1, 1.9, 2.0, 2.5, 9.7, 40.0):
        leaks.leak(seconds)
        assert len(os.listdir("/proc/self/fd")) - before == int(seconds / 2)
    leaks.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_threads_leak_at_their_rate_and_end_with_the_service(leaking: list[Leaks]) -> None:
    before = threading.active_count()
    leaks = started(leaking, "leak_threads_per_s=2")
    leaks.leak(0.4)
    assert threading.active_count() == before
    leaks.leak(5.0)
    assert threading.active_count() - before == 10
    leaks.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("seconds", [1.0, 3600.0])
def test_nothing_leaks_unless_told_so(leaking: list[Leaks], seconds: float) -> None:
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    started(leaking, "").leak(seconds)
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
