# SPDX-License-Identifier: MIT
"""The test's log as it leaves the node: whole without its secrets, whatever its length, the cap, and the speed of both sides."""

from __future__ import annotations

import os
import re

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import cleanlog
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.scrub import Scrubber
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import log_copy
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.log_copy import LogCopy
from kept_log import KeptLog

CAP = 1 << 18
KNOWN = "S3cr3t/Value+Known"
GAP = re.compile(rb"\n\[testcell: (\d+) bytes of output dropped here\]\n")


class Log(KeptLog):
    """A log that is answered without its secrets."""

    def __init__(self, folder):
        super().__init__(folder, CAP)
        self.scrubber = Scrubber([KNOWN])

    def read(self, offset=0, max_bytes=1 << 20, sample=False):
        return cleanlog.read(self.fd, cleanlog.Wish(offset, max_bytes, sample), self.scrubber, not self.ended)

    def chunk(self, offset, max_bytes, sample=False):
        chunk, _ = self.read(offset, max_bytes, sample)
        assert KNOWN.encode() not in chunk.data
        return chunk


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setattr(log_copy, "CHUNK_BYTES", 40_000)
    monkeypatch.setattr(log_copy, "SAMPLE_BYTES", 5000)
    made = Log(tmp_path / "unit")
    yield made
    os.close(made.fd)


def lines(size):
    line = b"%07d it is S3cr3t/Value+Known and hf_abcdefghijklmnopqrstuvwxyz here\n"
    return b"".join(line % number for number in range(size // 60 + 1))[:size]


@pytest.mark.parametrize(
    "size", [0, 1, 59, 60, 61, CAP // 2 - 1, CAP // 2, CAP // 2 + 1, CAP, CAP + 1, 6 * CAP], ids=str
)
@pytest.mark.parametrize("step", [30_011, 10**9], ids=["slow-test", "fast-test"])
def test_the_copy_is_the_log_without_its_secrets(log, tmp_path, size, step):
    stream = lines(size)
    copy = LogCopy(tmp_path / "test.log", CAP)
    log.copied(stream, step, copy)
    text, clean = (tmp_path / "test.log").read_bytes(), Scrubber([KNOWN]).whole(stream).clean
    assert KNOWN[:6].encode() not in text[:-60]
    assert b"hf_" not in text[:-60]
    head, *rest = GAP.split(text)
    if size <= CAP:
        assert text == clean
    else:
        dropped, tail = rest
        assert clean.startswith(head)
        assert clean.endswith(tail)
        assert int(dropped) > 0


@pytest.mark.parametrize("ahead", [CAP // 2 + 1, CAP, 6 * CAP], ids=str)
def test_f35_a_beginning_that_is_read_behind_a_gap_has_one_gap_at_the_end(log, tmp_path, ahead):
    """The test is far ahead of the reader, and drops more after the reader has come to what was dropped first."""
    stream = lines(12 * CAP)
    copy = LogCopy(tmp_path / "test.log", CAP)
    log.kept.write(stream[:ahead])
    for _ in range(20):
        log.answer(copy)
    assert copy.sampling
    log.copied(stream[ahead:], 100_000, copy)
    text, clean = (tmp_path / "test.log").read_bytes(), Scrubber([KNOWN]).whole(stream).clean
    head, _, tail = GAP.split(text)
    assert clean.startswith(head)
    assert clean.endswith(tail)


def test_what_is_dropped_is_counted_in_bytes_of_the_stream(log):
    stream = lines(6 * CAP).replace(b"S3cr3t/Value+Known", b"no").replace(b"hf_", b"hx_")
    log.kept.write(stream)
    log.end()
    out, offset = b"", 0
    while offset < len(stream):
        chunk, hidden = log.read(offset)
        assert hidden == 0
        out, offset = out + chunk.data, chunk.offset
    head, dropped, tail = GAP.split(out)
    assert len(head) + int(dropped) + len(tail) == len(stream)
    assert stream.startswith(head)
    assert stream.endswith(tail)
    assert head.endswith(b"\n")
    assert re.match(rb"\d{7} it", tail)


def test_an_open_line_waits_for_its_end_and_comes_at_the_end(log):
    log.kept.write(b"whole\nHF_TO")
    chunk, _ = log.read()
    assert (chunk.data, chunk.offset, chunk.total) == (b"whole\n", 6, 11)
    log.kept.write(b"KEN=abc")
    assert log.read(6)[0].data == b""
    log.end()
    chunk, hidden = log.read(6)
    assert (chunk.data, chunk.offset, hidden) == (b"HF_TOKEN=***", 18, 1)


def test_a_sample_from_within_a_line_begins_with_the_next_one(log):
    log.kept.write(b"it is S3cr3t/Value+Known\nnext\n")
    assert log.read(12, sample=True)[0].data == b"next\n"
    assert log.read(0, sample=True)[0].data == b"it is ***\nnext\n"


def test_a_key_of_which_the_beginning_was_dropped_is_not_shown(log):
    body = b"".join(b"%064d\n" % number for number in range(40))
    key = b"-----BEGIN PRIVATE KEY-----\n" + body + b"-----END PRIVATE KEY-----\n"
    log.kept.write(lines(CAP // 2) + b"\n" + key * 800)
    log.end()
    out, offset = b"", 0
    while offset < log.kept.total:
        chunk, _ = log.read(offset)
        out, offset = out + chunk.data, chunk.offset
    assert b"0000000" not in GAP.split(out)[-1]
