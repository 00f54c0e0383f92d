# SPDX-License-Identifier: MIT
"""Files leave the staging folder together, and only when they are durable."""

from __future__ import annotations

import os

import odd
import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import durable, tree
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import staging as module
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.errors import ArtifactError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.frames import Entry
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.staging import Staging
from streams import content, sent, take


def entry(path, size=1, mode=0o644):
    return Entry(path, size, mode, 5, 6, "")


@pytest.fixture
def calls(monkeypatch):
    """What was synced and moved, in order."""
    seen = []

    def seeing(name, real):
        def call(*given, **more):
            seen.append(name)
            return real(*given, **more)

        return call

    for name in ("sync", "sync_names"):
        monkeypatch.setattr(durable, name, seeing(name, getattr(durable, name)))
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, seeing(name, getattr(os, name)))
    return seen


def test_an_absent_destination_comes_by_one_rename_when_all_is_durable(staging, tmp_path, calls):
    staging.put(entry("d/a"), b"1")
    staging.put(entry("b"), b"2")
    staging.publish(tmp_path / "deep" / "to")
    assert calls == ["sync", "rename"]
    assert content(tmp_path / "deep") == {b"to/d/a": b"1", b"to/b": b"2"}
    assert (tmp_path / "deep" / "to").stat().st_mode & 0o777 == 0o777 & ~staging._umask
    assert not staging.folder.exists()


def test_a_destination_that_is_there_gets_file_by_file_and_is_durable_behind_it(staging, tmp_path, calls):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "a").write_bytes(b"old")
    (tmp_path / "to" / "z").write_bytes(b"kept")
    staging.put(entry("a"), b"1")
    staging.put(entry("d/b"), b"2")
    staging.publish(tmp_path / "to")
    assert calls == ["sync", "replace", "replace", "sync_names"]
    assert content(tmp_path / "to") == {b"a": b"1", b"d/b": b"2", b"z": b"kept"}
    assert not staging.folder.exists()


@pytest.mark.parametrize("many", [0, 1000], ids=["file-system", "each-file"])
def test_f26_what_the_disk_refuses_at_the_last_moment_leaves_the_destination_absent(
    staging, tmp_path, monkeypatch, many
):
    def refuse(fd):
        raise OSError(5, "Input/output error")

    class Library:
        @staticmethod
        def syncfs(fd):
            return -1

    monkeypatch.setattr(durable, "MANY", many)
    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(durable, "_syncfs", lambda: Library.syncfs)
    monkeypatch.setattr(durable.ctypes, "get_errno", lambda: 5)
    staging.put(entry("a"), b"1")
    with pytest.raises(OSError, match="Input/output error") as caught:
        staging.publish(tmp_path / "to")
    assert caught.value.filename == str(tmp_path / "to")
    assert not (tmp_path / "to").exists()
    assert content(staging.folder) == {b"a": b"1"}


def test_f26_what_the_disk_says_once_while_files_come_still_keeps_the_destination_absent(
    staging, tmp_path, monkeypatch
):
    said = iter([-1])
    monkeypatch.setattr(durable, "MANY", 0)
    monkeypatch.setattr(durable, "_syncfs", lambda: lambda fd: next(said, 0))
    monkeypatch.setattr(durable.ctypes, "get_errno", lambda: 5)
    staging.put(entry("a"), b"1")
    staging.settle()
    with pytest.raises(OSError, match="Input/output error"):
        staging.publish(tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_the_disk_is_asked_as_files_come_and_at_the_end_of_all(staging, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(durable, "MANY", 0)
    monkeypatch.setattr(durable, "_syncfs", lambda: lambda fd: asked.append(len(content(staging.folder))) or 0)
    monkeypatch.setattr(module, "SETTLE_BYTES", 3)
    for name in "abcd":
        staging.put(entry(name), b"1")
    staging.publish(tmp_path / "to")
    assert (len(asked), asked[-1]) == (2, 4)


@pytest.mark.parametrize("many", [0, 1000], ids=["file-system", "each-file"])
def test_both_ways_to_make_a_folder_durable_take_every_name(staging, tmp_path, monkeypatch, many):
    monkeypatch.setattr(durable, "MANY", many)
    staging.put(entry(os.fsdecode(b"d/\xff\n")), b"1")
    staging.publish(tmp_path / "to")
    assert content(tmp_path / "to") == {b"d/\xff\n": b"1"}


@pytest.mark.parametrize("many", [0, 1000], ids=["file-system", "each-file"])
def test_what_else_is_in_a_destination_is_left_alone(staging, tmp_path, monkeypatch, many):
    monkeypatch.setattr(durable, "MANY", many)
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "to" / "fifo")
    staging.put(entry("d/a"), b"1")
    staging.publish(tmp_path / "to")
    assert (tmp_path / "to" / "d" / "a").read_bytes() == b"1"
    assert {path.name for path in (tmp_path / "to").iterdir()} == {"d", "link", "fifo"}


def test_every_folder_on_the_way_of_a_moved_file_is_made_durable(tmp_path, monkeypatch):
    for path in ("a/b/c", "a/d", "e/f"):
        odd.put(tmp_path / path)
    real, seen = os.fsync, []

    def fsync(fd):
        seen.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), tmp_path))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    base = os.open(tmp_path, os.O_RDONLY)
    durable.sync_names(base, ["a/b/c", "a/d", "x"])
    os.close(base)
    assert sorted(seen) == [".", "a", "a/b"]


@pytest.mark.parametrize(
    "work", [lambda fd: durable.sync(fd, 1), lambda fd: tree.clear(fd, {"d/a"})], ids=["sync", "clear"]
)
def test_a_folder_that_cannot_be_entered_is_not_passed_over(staging, monkeypatch, work):
    staging.put(entry("d/a"), b"1")
    real = os.open

    def opened(path, *given, **more):
        if path == "d":
            raise OSError(24, "Too many open files")
        return real(path, *given, **more)

    monkeypatch.setattr(os, "open", opened)
    base = real(staging.folder, os.O_RDONLY)
    with pytest.raises(OSError, match="Too many open files"):
        work(base)
    os.close(base)


def test_what_came_in_part_does_not_go_to_the_destination(node, staging, tmp_path):
    (node / "a").write_bytes(b"1")
    (node / "b").write_bytes(b"2" * (3 << 20))
    stream = sent(node)
    with pytest.raises(ArtifactError):
        take(stream[: len(stream) // 2], staging)
    assert set(content(staging.folder)) == {b"a", b"b"}
    staging.publish(tmp_path / "to")
    assert content(tmp_path / "to") == {b"a": b"1"}


def test_a_damaged_mode_of_a_proved_file_is_put_right_by_the_next_stream(node, staging):
    (node / "a").write_bytes(b"1")
    (node / "a").chmod(0o755)
    first = take(sent(node), staging).files
    staging.proved["a"] = first[0]._replace(mode=0o600)
    have = list(staging.proved.values())
    arrived = take(sent(node, have=[list(one) for one in have]), staging, have=have)
    assert (arrived.stats.raw, arrived.files) == (1, first)


def test_a_folder_deep_below_and_many_beside_need_few_descriptors(staging):
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        staging.put(entry(f"{number}/a/b/c"), b"1")
    assert len(os.listdir("/proc/self/fd")) <= before + 3
    assert len(content(staging.folder)) == 300


def test_a_staging_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_bytes(b"1")
    (tmp_path / "s").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Staging(tmp_path / "s")
    assert content(tmp_path / "elsewhere") == {b"kept": b"1"}


def test_discard_leaves_nothing(staging, tmp_path):
    staging.put(entry("d/a"), b"1")
    staging.discard()
    assert list(tmp_path.iterdir()) == []
