# SPDX-License-Identifier: MIT
from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import logfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CAP = 4096


def _stream(size: int) -> bytes:
    """Return bytes that differ along the stream."""
    return b"".join(b"%07d\n" % number for number in range(size // 8 + 1))[:size]


def _follow(folder_fd: int, step: int, offset: int = 0) -> bytes:
    """Return what a reader sees that reads step bytes at a time up to the present end."""
    out = []
    while True:
        chunk = logfile.read(folder_fd, offset, step)
        if chunk.offset == offset:
            return b"".join(out)
        out.append(chunk.data)
        offset = chunk.offset


@pytest.mark.parametrize("size", [0, 1, CAP // 2 - 1, CAP // 2, CAP // 2 + 1, CAP])
def test_stream_within_the_cap_is_kept_whole(folder_fd, size):
    log = logfile.CappedLog(folder_fd, CAP)
    log.write(_stream(size))
    assert _follow(folder_fd, 100) == _stream(size)
    layout = log.seal()
    assert (layout.total, layout.dropped) == (size, 0)
    assert _follow(folder_fd, 100) == _stream(size)


def _kept(stream: bytes, layout: logfile.Layout) -> bytes:
    """Return what the log must hold: the pieces of the stream with a marker at each gap."""
    out, end = [], 0
    for piece in layout.pieces:
        if piece.start > end:
            out.append(logfile.marker(piece.start - end))
        out.append(stream[piece.start : piece.end])
        end = piece.end
    return b"".join(out)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 3000), max_size=12), st.integers(1, 5000))
def test_log_is_head_marker_and_tail_however_it_is_written_and_read(tmp_path_factory, writes, step):
    folder_fd = os.open(tmp_path_factory.mktemp("log"), os.O_RDONLY)
    try:
        stream = _stream(sum(writes))
        log, at = logfile.CappedLog(folder_fd, CAP), 0
        for size in writes:
            log.write(stream[at : at + size])
            at += size
            live = logfile.live_layout(folder_fd)
            assert live.total == at
            assert _follow(folder_fd, step) == _kept(stream, live)
            assert sum(piece.size for piece in live.pieces) <= CAP
        layout = log.seal()
        assert layout.total == len(stream)
        assert _follow(folder_fd, step) == _kept(stream, layout)
        if writes:
            assert stream.endswith(_follow(folder_fd, step, max(0, len(stream) - CAP // 4)))
    finally:
        os.close(folder_fd)


def test_sealed_file_is_what_readers_saw(folder_fd, tmp_path):
    log = logfile.CappedLog(folder_fd, CAP)
    log.write(_stream(20_000))
    before = _follow(folder_fd, 1000)
    log.seal()
    assert (tmp_path / "folder" / "log").read_bytes() == before == _follow(folder_fd, 1000)
    assert sorted(os.listdir(tmp_path / "folder")) == ["log", "log.json"]


def test_sealing_again_changes_nothing(folder_fd):
    log = logfile.CappedLog(folder_fd, CAP)
    log.write(_stream(20_000))
    assert log.seal() == logfile.seal(folder_fd)


def test_seal_that_was_cut_before_its_rename_is_done_again(folder_fd, tmp_path, monkeypatch):
    log = logfile.CappedLog(folder_fd, CAP)
    log.write(_stream(20_000))
    before = _follow(folder_fd, 1000)
    with monkeypatch.context() as patch:
        patch.setattr(logfile, "SEALED", "nowhere/log")  # the rename fails
        log.seal()
    assert log.error is not None
    assert _follow(folder_fd, 1000) == before
    logfile.seal(folder_fd)
    assert (tmp_path / "folder" / "log").read_bytes() == before


def test_write_error_drops_bytes_and_later_ones_are_kept_again(folder_fd, monkeypatch):
    now = [0.0]
    log = logfile.CappedLog(folder_fd, 1 << 20, now=lambda: now[0])
    log.write(b"before\n")
    real = os.write

    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logfile.os, "write", full)
    log.write(b"lost\n")
    monkeypatch.setattr(logfile.os, "write", real)
    log.write(b"still in the pause\n")
    now[0] = 2.0
    log.write(b"after\n")
    layout = log.seal()
    assert log.error is not None
    assert log.error.errno == 28
    assert layout.dropped == len(b"lost\nstill in the pause\n")
    assert _follow(folder_fd, 1000) == b"before\n" + logfile.marker(layout.dropped) + b"after\n"


def test_f26_what_a_file_system_refuses_when_the_log_is_closed_is_told(folder_fd, monkeypatch):
    log = logfile.CappedLog(folder_fd, 1 << 20)
    log.write(b"written\n")
    real, refused = os.close, []

    def close(fd):
        real(fd)
        if not refused:
            refused.append(fd)
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(logfile.os, "close", close)
    log.seal()
    assert log.error is not None
    assert log.error.errno == 5


def test_bytes_lost_at_the_end_are_told(folder_fd, monkeypatch):
    log = logfile.CappedLog(folder_fd, 1 << 20)
    log.write(b"before\n")
    real = os.write
    monkeypatch.setattr(logfile.os, "write", lambda fd, data: (_ for _ in ()).throw(OSError(5, "I/O error")))
    log.write(b"lost\n")
    monkeypatch.setattr(logfile.os, "write", real)
    log.seal()
    assert _follow(folder_fd, 1000) == b"before\n" + logfile.marker(5)
    assert logfile.read(folder_fd, 0, 1000).total == 12


def test_reader_beyond_the_end_gets_nothing(folder_fd):
    log = logfile.CappedLog(folder_fd, CAP)
    log.write(b"x")
    chunk = logfile.read(folder_fd, 100, 10)
    assert (chunk.data, chunk.offset, chunk.total) == (b"", 100, 1)


def test_log_without_output_reads_as_empty(folder_fd):
    assert logfile.read(folder_fd, 0, 10) == logfile.Chunk(b"", 0, 0, 0)
