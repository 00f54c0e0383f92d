# SPDX-License-Identifier: MIT
"""Room on the controller's disk: what is set aside, given up, and asked for."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.bring import Bringing
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.policy import Policy
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.transfer import Transfer, Wanted
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.board import Board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal, limits, reserve
from small_disk import small_disk
from ways import Scripted


@pytest.fixture
def disk(tmp_path):
    """A folder on a file system of 6 MiB: one reserve has room there, two have not."""
    with small_disk(tmp_path / "disk", "6m") as folder:
        yield folder


def fill(folder):
    with (folder / "filler").open("ab", buffering=0) as stream, pytest.raises(OSError, match="No space"):
        while True:
            stream.write(bytes(4096))


def test_f28_a_reserve_is_made_once_and_found_again(disk):
    assert reserve.has_room(disk)
    free = reserve.free_bytes(disk)
    assert reserve.has_room(disk)
    assert reserve.free_bytes(disk) == free <= (6 << 20) - reserve.BYTES


def test_f28_without_room_there_is_no_reserve_and_no_half_of_one(disk):
    fill(disk)
    assert not reserve.has_room(disk)
    assert [path.name for path in disk.iterdir()] == ["filler"]
    assert reserve.shortage(disk, 5) == f"the disk of {disk} is full: 5 bytes are needed there, 0 are free"


def test_f28_work_on_a_full_disk_is_done_once_more_with_the_reserve(disk):
    reserve.has_room(disk)
    fill(disk)
    reserve.with_reserve(disk, lambda: (disk / "report").write_bytes(bytes(100_000)))
    assert (disk / "report").stat().st_size == 100_000
    assert not (disk / reserve.NAME).exists()


def test_other_faults_do_not_cost_the_reserve(disk):
    reserve.has_room(disk)
    with pytest.raises(FileNotFoundError):
        reserve.with_reserve(disk, lambda: (disk / "no" / "where").write_bytes(b""))
    assert (disk / reserve.NAME).exists()


def test_f28_an_entry_of_the_journal_is_whole_or_not_there(disk):
    for number in range(5):
        journal.append(disk, {"n": number})
    fill(disk)
    with pytest.raises(OSError, match="No space"):
        journal.append(disk, {"n": 5, "text": "x" * 9000})
    (disk / "filler").unlink()
    journal.append(disk, {"n": 6})
    assert [entry["n"] for entry in journal.read(disk)] == [0, 1, 2, 3, 4, 6]


def test_f28_a_note_that_has_no_room_leaves_nothing(disk):
    board = Board(disk / "board")
    board.post("known", {})
    fill(disk)
    for put in (board.post, board.claim):
        with pytest.raises(OSError, match="No space"):
            put("new", {"text": "x" * 9000})
    assert [path.name for path in board.folder.iterdir()] == ["known.json"]


def test_f28_files_without_room_are_refused_with_the_bytes_that_they_need(disk):
    wanted = Wanted(disk / "to", {"base_rel": "work"}, ("**",), 10, 1 << 30)
    pieces = []
    frames.Outlet(lambda data: pieces.append(bytes(data))).value(
        frames.PLAN, {"files": 1, "bytes": 5 << 20, "algorithm": "sha256", "same": 0}
    )
    node = Scripted({"work": b"".join(pieces)})
    (failure,) = Bringing(node, Policy()).bring([Transfer(wanted, Policy(), {"sha256": 1.0})]).failures
    assert (failure.kind, node.count) == ("disk_full", 1)
    assert f"{(5 << 20) + reserve.TO_FINISH_BYTES} bytes are needed there" in str(failure)
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (OSError(24, ""), "resource_limit"),
        (OSError(12, ""), "resource_limit"),
        (BlockingIOError(11, ""), "resource_limit"),
        (MemoryError(), "resource_limit"),
        (RuntimeError("can't start new thread"), "resource_limit"),
        (OSError(122, ""), "disk_full"),
        (OSError(30, ""), "fs_readonly"),
        (OSError(5, ""), "io_error"),
        (OSError(2, ""), ""),
        (RuntimeError("other"), ""),
        (ValueError("x"), ""),
    ],
    ids=lambda value: repr(value) if isinstance(value, Exception) else value or "none",
)
def test_f13_what_the_controller_refuses_has_its_kind(exc, kind):
    assert limits.kind_of(exc) == kind
