# SPDX-License-Identifier: MIT
"""Ansible's own log on a disk that fills, with the handlers that Ansible makes."""

from __future__ import annotations

import logging
import os
from contextlib import closing

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import ansible_log
from small_disk import small_disk


@pytest.fixture
def disk(tmp_path):
    """A folder on a file system of 2 MiB."""
    with small_disk(tmp_path / "disk", "2m") as folder:
        yield folder


@pytest.fixture
def log(disk):
    """A logger that writes to a file on the small disk."""
    logger = logging.Logger("ansible")
    with closing(logging.FileHandler(disk / "ansible.log")) as handler:
        logger.addHandler(handler)
        yield logger


def fill(folder, left=0):
    with (folder / "filler").open("ab", buffering=0) as stream:
        stream.write(bytes(ansible_log.reserve.free_bytes(folder) - left))


def test_f28_a_line_that_the_disk_refuses_is_told_once_with_the_path_and_the_bytes(disk, log, capsys):
    told = []
    ansible_log.tell_once(log.handlers, told.append)
    log.warning("kept")
    fill(disk)
    for number in range(3):
        log.warning("lost %d %s", number, "x" * 9000)
    (disk / "filler").unlink()
    log.warning("kept again")
    path = disk / "ansible.log"
    assert told == [
        f"the controller cannot write {path}: No space left on device; lines of this log are lost; "
        f"the disk of {path} is full: 1048576 bytes are needed there, 0 are free"
    ]
    assert path.read_text().startswith("kept\n") and path.read_text().endswith("kept again\n")
    assert capsys.readouterr().err == ""


def test_a_line_that_cannot_be_put_together_is_told_too(log):
    told = []
    ansible_log.tell_once(log.handlers, told.append)
    log.warning("%d", "no number")
    (words,) = told
    assert "%d format" in words and "lines of this log are lost" in words and "bytes" not in words


@pytest.mark.parametrize(
    ("left", "is_full"), [(0, True), (ansible_log.ROOM_BYTES - 4096, True), (ansible_log.ROOM_BYTES, False)]
)
def test_f28_a_log_whose_disk_lacks_room_is_named_with_the_bytes(disk, log, left, is_full):
    fill(disk, left)
    logs = ansible_log.files(log.handlers)
    words = f"the disk of {disk / 'ansible.log'} is full: 1048576 bytes are needed there, {left} are free"
    assert ansible_log.no_room(logs) == (words if is_full else "")


def test_a_log_that_is_no_file_needs_no_room():
    with closing(logging.FileHandler(os.devnull)) as device, closing(logging.StreamHandler()) as stream:
        assert ansible_log.files([device, stream]) == []
    assert ansible_log.no_room([]) == ""
