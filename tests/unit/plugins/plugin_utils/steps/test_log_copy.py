# SPDX-License-Identifier: MIT
"""The copy of the test's log: what a real log of the node's program gives, byte for byte, whatever the speed of both."""

from __future__ import annotations

import os
import random
import re

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import log_copy
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.log_copy import LogCopy
from kept_log import KeptLog

CAP = 16384


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setattr(log_copy, "CHUNK_BYTES", 3000)
    monkeypatch.setattr(log_copy, "SAMPLE_BYTES", 500)
    made = KeptLog(tmp_path / "unit", CAP)
    yield made
    os.close(made.fd)


def lines(count):
    return b"".join(b"%06d\n" % number for number in range(count))


@pytest.mark.parametrize("size", [0, 1, CAP // 2 - 1, CAP // 2, CAP // 2 + 1, CAP, CAP + 1, 50 * CAP], ids=str)
@pytest.mark.parametrize("step", [700, 5000, 10**9], ids=["slow-test", "fast-test", "at-once"])
def test_f35_the_copy_is_the_node_s_log(log, tmp_path, size, step):
    stream = lines(size // 7 + 1)[:size]
    copy = LogCopy(tmp_path / "test.log", CAP)
    log.copied(stream, step, copy)
    assert (tmp_path / "test.log").read_bytes() == (tmp_path / "unit" / "log").read_bytes()


def test_f35_what_the_link_carries_does_not_grow_with_what_the_test_writes(log, tmp_path):
    copy, carried, dice = LogCopy(tmp_path / "test.log", CAP), 0, random.Random(1)
    for _ in range(200):
        log.kept.write(dice.randbytes(100_000))
        carried += log.answer(copy)
    assert copy.sampling
    assert carried < CAP // 2 + 200 * (500 + 100)
    assert (tmp_path / "test.log").stat().st_size == CAP // 2
    copy.close()


def test_last_sample_is_kept_when_the_end_is_never_heard_of(log, tmp_path):
    copy = LogCopy(tmp_path / "test.log", CAP)
    stream = lines(20_000)
    for at in range(0, len(stream), 5000):
        log.kept.write(stream[at : at + 5000])
        log.answer(copy)
    copy.close()
    text = (tmp_path / "test.log").read_bytes()
    head, *dropped, last = re.split(rb"\n\[testcell: (\d+) bytes of output dropped here\]\n", text)
    assert head == stream[: CAP // 2]
    assert len(dropped) >= 1
    assert stream[len(head) + sum(map(int, filter(None, dropped))) :].startswith(last)
    assert len(last) > 100
