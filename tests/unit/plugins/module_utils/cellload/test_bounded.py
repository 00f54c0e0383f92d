# SPDX-License-Identifier: MIT
"""The files of a soak: within their limit, and whole whatever the disk does."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.bounded import (
    LineFile,
    SomeRequests,
    WaitingLines,
    line_of,
)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond size bytes: a write that would is cut short, and the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    told = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, told)


def values_in(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_that_has_no_room_leaves_no_trace(tmp_path: Path) -> None:
    """F25, F27: a full disk cuts no line off, and the file goes on when there is room again."""
    file = LineFile(tmp_path / "lines")
    assert file.put(line_of({"n": 1}))
    with room_for(file.size + 3):
        assert not file.put(line_of({"n": 2}))
    assert values_in(tmp_path / "lines") == [{"n": 1}]
    assert file.put(line_of({"n": 3}))
    file.close()
    assert values_in(tmp_path / "lines") == [{"n": 1}, {"n": 3}]
    digest = hashlib.sha256((tmp_path / "lines").read_bytes()).hexdigest()
    assert file.facts() == {"name": "lines", "lines": 2, "sha256": digest}


def test_lines_that_wait_for_a_full_disk_come_later_and_in_order(tmp_path: Path) -> None:
    windows = WaitingLines(tmp_path / "windows")
    windows.append({"n": 0})
    with room_for(windows.file.size + 3):
        for number in (1, 2, 3):
            windows.append({"n": number})
        assert windows.lost == 3
    windows.append({"n": 4})
    windows.file.close()
    assert [value["n"] for value in values_in(tmp_path / "windows")] == [0, 1, 2, 3, 4]
    assert windows.lost == 0


def test_no_more_lines_wait_than_memory_may_hold(tmp_path: Path) -> None:
    windows = WaitingLines(tmp_path / "windows", most_waiting=3)
    with room_for(0):
        for number in range(10):
            windows.append({"n": number})
    assert windows.lost == 10
    windows.append({"n": 10})
    windows.file.close()
    assert [value["n"] for value in values_in(tmp_path / "windows")] == [7, 8, 9, 10]
    assert windows.lost == 7


def requests(folder: Path, failed: set[int], count: int, most: int) -> tuple[list[int], SomeRequests]:
    """Return the numbers of the requests that were kept of count."""
    log = SomeRequests(folder / "requests.jsonl", most)
    for index in range(count):
        log.append({"index": index, "ok": index not in failed, "filler": "x" * 70})
    log.close()
    return [value["index"] for value in values_in(folder / "requests.jsonl")], log


def test_all_requests_are_kept_while_there_is_room(tmp_path: Path) -> None:
    kept, log = requests(tmp_path, {3}, 40, 16_000)
    assert kept == list(range(40))
    assert log.left_out == {"completed": 0, "failed": 0}


def test_beyond_the_room_the_first_the_last_and_the_failures_are_kept(tmp_path: Path) -> None:
    failed = {600, 700, 701}
    kept, log = requests(tmp_path, failed, 1000, 16_000)
    size = (tmp_path / "requests.jsonl").stat().st_size
    assert 8_000 < size <= 16_000
    assert kept == sorted(set(kept)) and kept[0] == 0 and kept[-1] == 999
    assert failed < set(kept)
    assert kept[:50] == list(range(50)) and kept[-5:] == list(range(995, 1000))
    assert log.left_out == {"completed": 1000 - len(kept), "failed": 0}
    assert log.facts()["lines"] == len(kept)


def test_even_failures_have_a_limit_and_are_counted(tmp_path: Path) -> None:
    kept, log = requests(tmp_path, set(range(1000)), 1000, 16_000)
    assert (tmp_path / "requests.jsonl").stat().st_size <= 16_000
    assert kept[-1] == 999
    assert log.left_out == {"completed": 0, "failed": 1000 - len(kept)}


def test_requests_that_a_full_disk_does_not_take_are_counted(tmp_path: Path) -> None:
    log = SomeRequests(tmp_path / "requests.jsonl", 16_000)
    with room_for(20):
        log.append({"index": 0, "ok": True, "filler": "x" * 70})
        log.append({"index": 1, "ok": False, "filler": "x" * 70})
    log.append({"index": 2, "ok": True})
    log.close()
    assert [value["index"] for value in values_in(tmp_path / "requests.jsonl")] == [2]
    assert log.left_out == {"completed": 1, "failed": 1}


@pytest.mark.parametrize("size", [1, 2])
def test_a_record_larger_than_the_room_is_left_out(tmp_path: Path, size: int) -> None:
    kept, log = requests(tmp_path, set(), size, 64)
    assert kept == []
    assert log.left_out == {"completed": size, "failed": 0}
