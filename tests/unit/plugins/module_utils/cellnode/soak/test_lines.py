# SPDX-License-Identifier: MIT
"""The file of samples: whole lines below its cap, and of a long soak every second, fourth, eighth one."""

from __future__ import annotations

import errno
import json
import os

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import lines
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak.lines import Lines

CAP = 4096


def line(number, interval_s=1.0):
    text = json.dumps({"b": number, "i": interval_s, "text": "x" * 60}, separators=(",", ":"))
    return text.encode() + b"\n"


def written(path):
    raw = (path / lines.NAME).read_bytes()
    assert raw.endswith(b"\n")
    return [json.loads(text) for text in raw.splitlines()]


@pytest.fixture
def folder(folder_fd, tmp_path):
    return folder_fd, tmp_path / "folder"


def fill(folder_fd, count, interval_s=1.0):
    """Write as the unit does: one line an interval, whose time goes on as long as the interval is."""
    out, at = Lines(folder_fd, CAP, interval_s), 0.0
    for _ in range(count):
        out.add(line(at, out.interval_s))
        at += out.interval_s
    return out


def test_lines_are_there_as_soon_as_they_are_added(folder):
    folder_fd, path = folder
    out = Lines(folder_fd, CAP, 1.0)
    for number in range(3):
        out.add(line(number))
        assert [one["b"] for one in written(path)] == list(range(number + 1))
    assert (out.lines, out.size) == (3, (path / lines.NAME).stat().st_size)


@pytest.mark.parametrize("count", [45, 46, 47, 66, 100, 500])
def test_a_full_file_keeps_every_second_line_of_the_whole_time(folder, count):
    folder_fd, path = folder
    out = fill(folder_fd, count)
    found = written(path)
    assert (path / lines.NAME).stat().st_size <= CAP
    assert (len(found), out.size) == (out.lines, (path / lines.NAME).stat().st_size)
    assert found[0]["b"] <= out.interval_s and len(found) >= 20
    steps = {after["b"] - before["b"] for before, after in zip(found, found[1:], strict=False)}
    assert steps == {out.interval_s} == {one["i"] for one in found}


def test_the_interval_doubles_with_each_halving(folder):
    folder_fd, _path = folder
    assert [fill(folder_fd, 1).interval_s, fill(folder_fd, 60).interval_s] == [1.0, 2.0]


def test_a_file_that_was_there_is_gone_on_with(folder):
    folder_fd, path = folder
    Lines(folder_fd, CAP, 1.0).add(line(1))
    Lines(folder_fd, CAP, 1.0).add(line(2))
    assert [one["b"] for one in written(path)] == [1, 2]


def test_f26_a_disk_that_takes_a_part_of_a_line_keeps_whole_lines(folder, monkeypatch):
    """F26"""
    folder_fd, path = folder
    out = Lines(folder_fd, CAP, 1.0)
    out.add(line(1))

    def full(fd, data):
        os.write(fd, data[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(lines, "write_all", full)
        out.add(line(2))
    out.add(line(3))
    assert [one["b"] for one in written(path)] == [1, 3]


def test_a_halving_that_fails_loses_nothing_and_is_tried_again(folder, monkeypatch):
    folder_fd, path = folder
    out = fill(folder_fd, 45)
    before = written(path)

    def refuse(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(lines.os, "fsync", refuse)
        for number in range(46, 60):
            out.add(line(number))
    assert written(path)[: len(before)] == before
    assert os.listdir(path) == [lines.NAME]
    refused = 0
    for number in range(60, 60 + lines.AGAIN_AFTER):
        try:
            out.add(line(number, out.interval_s))
        except OSError as exc:
            assert "no room to halve it" in str(exc)
            refused += 1
    assert refused == lines.AGAIN_AFTER - 1
    assert (written(path)[-1]["b"], out.interval_s) == (60 + lines.AGAIN_AFTER - 1, 2.0)


def test_a_line_that_never_fits_is_refused(folder):
    folder_fd, _path = folder
    with pytest.raises(OSError, match="has no room below 4096 bytes"):
        Lines(folder_fd, CAP, 1.0).add(b"x" * 5000 + b"\n")
