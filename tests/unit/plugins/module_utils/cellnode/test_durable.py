# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import durable
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


def test_file_is_replaced_whole_with_its_mode(folder_fd, tmp_path):
    durable.replace_bytes(folder_fd, "f", b"old")
    durable.replace_bytes(folder_fd, "f", b"new", 0o755)
    assert (tmp_path / "folder" / "f").read_bytes() == b"new"
    assert (tmp_path / "folder" / "f").stat().st_mode & 0o777 == 0o755
    assert os.listdir(folder_fd) == ["f"]


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "fchmod"])
def test_fault_at_any_step_keeps_the_old_file_and_leaves_no_temp(folder_fd, tmp_path, monkeypatch, call):
    durable.replace_bytes(folder_fd, "f", b"old")

    def fault(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, call, fault)
    with pytest.raises(OSError, match="No space"):
        durable.replace_bytes(folder_fd, "f", b"new")
    monkeypatch.undo()
    assert (tmp_path / "folder" / "f").read_bytes() == b"old"
    assert os.listdir(folder_fd) == ["f"]


def test_temp_of_a_killed_writer_is_replaced(folder_fd, monkeypatch):
    real = os.rename
    monkeypatch.setattr(durable.os, "rename", os.link)
    durable.replace_bytes(folder_fd, "f", b"one")
    assert len(os.listdir(folder_fd)) == 2
    monkeypatch.setattr(durable.os, "rename", real)
    durable.replace_bytes(folder_fd, "f", b"two")
    assert os.listdir(folder_fd) == ["f"]


def test_name_of_255_bytes_is_written(folder_fd):
    durable.replace_bytes(folder_fd, "x" * 255, b"")
    assert os.listdir(folder_fd) == ["x" * 255]


def test_json_round_trip_and_absence(folder_fd):
    durable.replace_json(folder_fd, "j", {"a": [1, None]})
    assert durable.read_json(folder_fd, "j") == {"a": [1, None]}
    assert durable.read_json(folder_fd, "none") is None


def test_json_without_numbers_that_json_lacks(folder_fd):
    with pytest.raises(ValueError, match="not JSON compliant"):
        durable.replace_json(folder_fd, "j", float("nan"))


def test_too_long_json_is_refused(folder_fd, monkeypatch):
    monkeypatch.setattr(durable, "JSON_LIMIT", 10)
    durable.replace_bytes(folder_fd, "j", json.dumps("x" * 20).encode())
    with pytest.raises(ValueError, match="over 10 bytes"):
        durable.read_json(folder_fd, "j")


def test_lock_that_somebody_holds_is_not_waited_for_without_end(tmp_path):
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    durable.take_lock(first, 1, "first")
    with pytest.raises(CellError) as caught:
        durable.take_lock(second, 0.05, "the first has it")
    assert caught.value.kind == "lock_held"
    os.close(first)
    durable.take_lock(second, 1, "free again")
    os.close(second)


def _fill(folder):
    with suppress(OSError), open(folder / "filler", "ab", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a file system that takes nothing more, with one JSON file of before: {"a": 1, "b": "xxxxx"}."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounts are not allowed here")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    durable.replace_json(fd, "j", {"a": 1, "b": "xxxxx"})
    _fill(tmp_path)
    yield fd
    os.close(fd)
    subprocess.run(["umount", "-l", tmp_path], check=True)


@pytest.mark.parametrize("value", [{"a": 2}, {"a": 2, "b": "yyyyyyyyyyyyyyyyyyyy"}], ids=["shorter", "longer"])
def test_f26_json_is_written_over_the_old_one_on_a_full_disk(full_disk, value):
    with pytest.raises(OSError, match="No space"):
        durable.replace_bytes(full_disk, "j", b"x")
    durable.replace_json(full_disk, "j", value)
    assert durable.read_json(full_disk, "j") == value
    assert sorted(os.listdir(full_disk)) == ["filler", "j"]


@pytest.mark.parametrize(
    ("name", "value"), [("new", {}), ("j", "x" * 5000)], ids=["without-an-old-one", "larger-than-the-old-one"]
)
def test_f26_what_has_no_room_on_a_full_disk_is_an_error_and_changes_nothing(full_disk, name, value):
    with pytest.raises(OSError, match="No space"):
        durable.replace_json(full_disk, name, value)
    assert durable.read_json(full_disk, "j") == {"a": 1, "b": "xxxxx"}
    assert sorted(os.listdir(full_disk)) == ["filler", "j"]


def test_f26_a_link_in_place_of_the_old_one_is_not_written_through(full_disk, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "x"
    outside.write_text("{}" + " " * 100)
    os.unlink("j", dir_fd=full_disk)
    os.symlink(outside, "j", dir_fd=full_disk)
    _fill(tmp_path)
    with pytest.raises(OSError, match="No space"):
        durable.replace_json(full_disk, "j", {"a": 1})
    assert outside.read_text() == "{}" + " " * 100
