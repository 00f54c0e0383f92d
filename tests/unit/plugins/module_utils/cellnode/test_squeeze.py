# SPDX-License-Identifier: MIT
"""When contents are compressed, by clocks that the test sets: how long a byte takes on the wire and in zlib."""

from __future__ import annotations

import os
import zlib

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames, squeeze

BLOCK = 1 << 20
TEXT = b"the same words again " * (BLOCK // 21)
NOISE = os.urandom(BLOCK)


class Wire:
    """A wire and a zlib of known speed, in bytes a second, and the time that passes with them."""

    def __init__(self, monkeypatch, wire, cpu):
        self.now = 0.0
        self.wire = wire
        self.out = frames.Outlet(self._write, lambda: self.now)
        real = zlib.compress

        def compress(content, level):
            self.now += len(content) / cpu
            return real(content, level)

        monkeypatch.setattr(squeeze.zlib, "compress", compress)
        self.squeeze = squeeze.Squeeze("auto", self.out, lambda: self.now)

    def _write(self, piece):
        self.now += len(piece) / self.wire

    def send(self, content, blocks):
        """Return how many of so many blocks went compressed."""
        count = 0
        for _ in range(blocks):
            packed = self.squeeze.packed([content[:9], content[9:]])
            self.out.frame(frames.DATA, content if packed is None else packed)
            count += packed is not None
        return count


@pytest.mark.parametrize(
    ("wire", "cpu", "content", "pays"),
    [
        pytest.param(1e6, 1e8, TEXT, True, id="slow-wire"),
        pytest.param(50e6, 1e8, TEXT, True, id="zlib-twice-as-fast"),
        pytest.param(95e6, 1e8, TEXT, False, id="zlib-hardly-faster"),
        pytest.param(1e9, 1e8, TEXT, False, id="fast-wire"),
        pytest.param(1e6, 1e8, NOISE, False, id="nothing-to-gain"),
    ],
)
def test_contents_are_compressed_where_that_is_faster(monkeypatch, wire, cpu, content, pays):
    way = Wire(monkeypatch, wire, cpu)
    assert (way.send(content, 200) > 150) == pays
    assert pays or way.send(content, 100) == 0


def test_the_first_block_goes_plain_as_nothing_is_known_yet(monkeypatch):
    assert Wire(monkeypatch, 1e6, 1e8).send(TEXT, 1) == 0


def test_a_wire_that_becomes_fast_is_noticed(monkeypatch):
    way = Wire(monkeypatch, 1e6, 1e8)
    assert way.send(TEXT, 50) > 40
    way.wire = 1e9
    way.send(TEXT, squeeze.BLOCKS)
    assert way.send(TEXT, 200) == 0


def test_contents_that_become_noise_go_plain_at_once(monkeypatch):
    way = Wire(monkeypatch, 1e6, 1e8)
    assert way.send(TEXT, 20) > 10
    assert way.send(NOISE, 20) == 0


def test_on_a_very_fast_wire_nothing_is_tried(monkeypatch):
    way = Wire(monkeypatch, 1e9, 1e8)
    way.send(TEXT, 100)
    assert way.now == pytest.approx(100 * (BLOCK - BLOCK % 21 + frames.HEADER.size) / 1e9, rel=0.01)


@pytest.mark.parametrize(("mode", "count"), [("always", 3), ("never", 0)])
def test_the_user_can_decide(mode, count):
    way = squeeze.Squeeze(mode, frames.Outlet(lambda piece: None))
    assert sum(way.packed([TEXT]) is not None for _ in range(3)) == count
    assert way.packed([b""]) is None
